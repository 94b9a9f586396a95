//! The HTTP facades: documented APIs of others, as thin modules over the same services.
//!
//! Each dialect has its own paths, shapes and errors; no quirk of one leaves its module.
//! What they share is here: who is calling, how JSON is read, why requests are refused, and
//! which status a [`Reason`](crate::domain::error::Reason) has.

mod answer;
mod body;
mod members;
mod parameters;
mod refusal;
mod socotra;
mod sonar;
mod status;
mod v3;

use std::convert::Infallible;

use axum::{Router, extract::FromRequestParts};
use http::{HeaderValue, request::Parts};

use crate::{
    domain::{error::Result, permission::Permission},
    service::{
        Services,
        auth::{Credentials, Peer},
        scope::Scope,
    },
};

/// What handles the requests of all dialects.
#[derive(Clone)]
pub struct Facades {
    /// The use cases.
    pub services: Services,
}

impl Facades {
    /// The scope of a request in the caller's own tenant, to do what needs `permission`.
    async fn scope(&self, presented: &Presented, permission: Permission) -> Result<Scope> {
        self.scope_in("", presented, permission).await
    }

    /// The scope of a request in the tenant that it names.
    async fn scope_in(
        &self,
        tenant: &str,
        presented: &Presented,
        permission: Permission,
    ) -> Result<Scope> {
        let caller = self.services.auth.caller(&presented.0).await?;
        self.services.scopes.enter(&caller, tenant, permission).await
    }
}

/// The credentials of a request, for handlers to take.
struct Presented(Credentials);

impl<S: Sync> FromRequestParts<S> for Presented {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        let from = parts.extensions.get::<Peer>().map(|peer| peer.0);
        Ok(Self(Credentials::read(&parts.headers, from)))
    }
}

/// The routes of all dialects. Pages of these origins may call v3 from a browser.
pub fn routes(facades: Facades, origins: &[HeaderValue]) -> Router {
    Router::new()
        .merge(sonar::routes())
        .merge(socotra::routes())
        .merge(v3::routes(origins))
        .with_state(facades)
}
