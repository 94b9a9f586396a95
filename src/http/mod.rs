//! The HTTP facades: documented APIs of others, as thin modules over the same services.
//!
//! Each dialect has its own paths, shapes and errors; no quirk of one leaves its module.
//! What they share is here: which permission each route needs (`access`) and who is let
//! through (`gate`), the OpenAPI document (`openapi`), how JSON is read, why requests are
//! refused, and which status a
//! [`Reason`](crate::domain::error::Reason) has.

mod access;
mod answer;
mod body;
mod gate;
mod members;
mod openapi;
mod pages;
mod parameters;
mod refusal;
mod routes;
mod socotra;
mod sonar;
mod status;
mod superoffice;
mod tenant;
mod v3;

use axum::Router;
use http::HeaderValue;

pub use self::access::ACCESS;
use crate::service::Services;

/// What handles the requests of all dialects.
#[derive(Clone)]
pub struct Facades {
    /// The use cases.
    pub services: Services,
}

/// The routes of all dialects. Pages of these origins may call v3 from a browser.
///
/// # Errors
///
/// In words, where the routes are not those of [`ACCESS`],
/// which no test would let pass.
pub fn routes(facades: Facades, origins: &[HeaderValue]) -> Result<Router, String> {
    let services = &facades.services;
    let dialects = [
        openapi::routes(services),
        v3::routes(services, origins),
        sonar::routes(services),
        socotra::routes(services),
        superoffice::routes(services),
    ];
    routes::check(&dialects)?;
    let all = dialects.into_iter().fold(Router::new(), |all, dialect| all.merge(dialect.router));
    Ok(all.with_state(facades))
}
