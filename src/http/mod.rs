//! The HTTP facades: documented APIs of others, as thin modules over the same services.
//!
//! Each dialect has its own paths, shapes and errors; no quirk of one leaves its module.
//! What they share is here: who is calling, how JSON is read, and which status a
//! [`Reason`](crate::domain::error::Reason) has.

mod answer;
mod body;
mod members;
mod sonar;
mod status;

use axum::Router;
use http::HeaderMap;

use crate::{
    domain::error::Result,
    service::{
        Services,
        scope::{Caller, Scope},
    },
};

/// What handles the requests of all dialects.
#[derive(Clone)]
pub struct Facades {
    /// The use cases.
    pub services: Services,
    /// On whose behalf every request is made.
    pub caller: Caller,
}

impl Facades {
    /// Who is calling. The one place where the credentials of HTTP requests are looked
    /// at: `--dev` asks for none, everybody is the same administrator.
    fn caller(&self, _headers: &HeaderMap) -> Result<Caller> {
        Ok(self.caller.clone())
    }

    /// The scope of a request in the caller's own tenant.
    async fn scope(&self, headers: &HeaderMap) -> Result<Scope> {
        let caller = self.caller(headers)?;
        self.services.scopes.enter(&caller, "").await
    }
}

/// The routes of all dialects.
pub fn routes(facades: Facades) -> Router {
    Router::new().merge(sonar::routes()).with_state(facades)
}
