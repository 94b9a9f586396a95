//! The dialect of Socotra's webhooks, diverted events and events: `/event/{tenantLocator}/…`.

mod definition;
mod diverted;
mod endpoint;
mod events;
mod failures;
mod refusal;
mod webhooks;

use axum::extract::{FromRequestParts, Path};
use http::{Method, request::Parts};
use serde::de::DeserializeOwned;

use self::refusal::Refusal;
use super::{
    parameters::Parameters,
    refusal::Cause,
    routes::{Dialect, Routes},
};
use crate::{domain::error::Faults, service::Services};

/// Results of a page that does not say how many.
const DEFAULT_COUNT: i32 = 25;
/// Results of a page, at most.
const MAX_COUNT: i32 = 100;

/// Its part of the OpenAPI document.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The routes of this dialect.
pub(super) fn routes(services: &Services) -> Dialect {
    let one_webhook = "/event/{tenantLocator}/webhooks/{locator}";
    let one_diverted = "/event/{tenantLocator}/diverted-events/{locator}";
    Routes::<Refusal>::new(services)
        .serve(Method::POST, "/event/{tenantLocator}/webhooks", webhooks::create)
        .serve(Method::GET, "/event/{tenantLocator}/webhooks/list", webhooks::list)
        .serve(Method::GET, one_webhook, webhooks::show)
        .serve(Method::PATCH, one_webhook, webhooks::change)
        .serve(Method::DELETE, one_webhook, webhooks::remove)
        .serve(
            Method::PATCH,
            "/event/{tenantLocator}/webhooks/{locator}/unsuspend",
            webhooks::unsuspend,
        )
        .serve(Method::GET, "/event/{tenantLocator}/diverted-events/list", diverted::list)
        .serve(Method::GET, one_diverted, diverted::show)
        .serve(Method::DELETE, one_diverted, diverted::discard)
        .serve(
            Method::POST,
            "/event/{tenantLocator}/diverted-events/{locator}/resend",
            diverted::resend,
        )
        .serve(Method::GET, "/event/{tenantLocator}/events/list", events::list)
        .serve(
            Method::GET,
            "/event/{tenantLocator}/events/request/{requestLocator}",
            events::of_request,
        )
        .serve(Method::GET, "/event/{tenantLocator}/events/{locator}", events::show)
        .nothing_at([
            "/event",
            "/event/",
            "/event/{tenantLocator}",
            "/event/{tenantLocator}/{*path}",
        ])
        .finish()
}

/// What a path names, decoded. A path that cannot be decoded names nothing.
struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|_| Cause::NotFound.into())
    }
}

/// Notes the parameters that nobody took out.
fn refuse_unknown(parameters: &Parameters, faults: &mut Faults) {
    for name in parameters.left() {
        faults.invalid(name, "is not known");
    }
}
