//! The dialect of Socotra's webhooks, diverted events and events: `/event/{tenantLocator}/…`.

mod definition;
mod diverted;
mod endpoint;
mod events;
mod failures;
mod refusal;
mod webhooks;

use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::request::Parts,
    routing::{any, get, patch, post},
};
use serde::de::DeserializeOwned;

use self::refusal::Refusal;
use super::{Facades, parameters::Parameters, refusal::Cause};
use crate::domain::error::Faults;

/// Results of a page that does not say how many.
const DEFAULT_COUNT: i32 = 25;
/// Results of a page, at most.
const MAX_COUNT: i32 = 100;

/// The routes of this dialect.
pub(super) fn routes() -> Router<Facades> {
    let webhook = get(webhooks::show).patch(webhooks::change).delete(webhooks::remove);
    let diverted = get(diverted::show).delete(diverted::discard);
    Router::new()
        .route("/event/{t}/webhooks", post(webhooks::create).fallback(wrong_method))
        .route("/event/{t}/webhooks/list", get(webhooks::list).fallback(wrong_method))
        .route("/event/{t}/webhooks/{id}", webhook.fallback(wrong_method))
        .route(
            "/event/{t}/webhooks/{id}/unsuspend",
            patch(webhooks::unsuspend).fallback(wrong_method),
        )
        .route("/event/{t}/diverted-events/list", get(diverted::list).fallback(wrong_method))
        .route("/event/{t}/diverted-events/{id}", diverted.fallback(wrong_method))
        .route(
            "/event/{t}/diverted-events/{id}/resend",
            post(diverted::resend).fallback(wrong_method),
        )
        .route("/event/{t}/events/list", get(events::list).fallback(wrong_method))
        .route("/event/{t}/events/request/{id}", get(events::of_request).fallback(wrong_method))
        .route("/event/{t}/events/{id}", get(events::show).fallback(wrong_method))
        .route("/event", any(nothing_here))
        .route("/event/", any(nothing_here))
        .route("/event/{t}", any(nothing_here))
        .route("/event/{t}/{*rest}", any(nothing_here))
}

async fn wrong_method() -> Refusal {
    Cause::Method.into()
}

async fn nothing_here() -> Refusal {
    Cause::NotFound.into()
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
