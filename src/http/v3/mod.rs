//! The core dialect: `/v3/webHooks`, its event types and logs, publishing, and the live tail.

mod codes;
mod cors;
mod definition;
mod envelope;
mod event_logs;
mod event_types;
mod events;
mod object;
mod record;
mod refusal;
mod request_id;
mod segment;
mod session;
mod shown;
mod tail;
mod tail_query;
mod time;
mod webhooks;

use axum::{
    Router, middleware,
    routing::{any, get, post},
};
use http::HeaderValue;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use self::refusal::Refusal;
use super::{Facades, refusal::Cause};
use crate::service::scope::Scope;

/// The routes of this dialect. Pages of these origins may call them from a browser.
pub(super) fn routes(origins: &[HeaderValue]) -> Router<Facades> {
    let list = get(webhooks::list).post(webhooks::create);
    let one = get(webhooks::show).put(webhooks::change).delete(webhooks::remove);
    let types = get(event_types::list).post(event_types::create);
    let routes = Router::new()
        .route("/v3/webHooks", list.fallback(wrong_method))
        .route("/v3/webHooks/{id}", one.fallback(wrong_method))
        .route("/v3/webHooks/eventMetaData", types.fallback(wrong_method))
        .route("/v3/webHooks/eventMetaData/{name}", only_get(event_types::show))
        // Not a webhook of that id.
        .route("/v3/webHooks/eventLog", any(nothing_here))
        .route("/v3/webHooks/eventLog/tail", only_get(tail::follow))
        .route("/v3/webHooks/eventLog/{id}", only_get(event_logs::show))
        .route("/v3/webHooks/eventLog/requestId/{id}", only_get(event_logs::of_request))
        .route("/v3/webHooks/eventLog/refId/{id}", only_get(event_logs::of_reference))
        .route("/v3/events", post(events::publish).fallback(wrong_method))
        .route("/v3/oauth/token/generate", post(session::generate).fallback(wrong_method))
        .route("/v3", any(nothing_here))
        .route("/v3/", any(nothing_here))
        .route("/v3/{*rest}", any(nothing_here));
    cors::allow(routes, origins).layer(middleware::from_fn(request_id::carry))
}

/// A path that can only be read.
fn only_get<H, T>(handler: H) -> axum::routing::MethodRouter<Facades>
where
    H: axum::handler::Handler<T, Facades>,
    T: 'static,
{
    get(handler).fallback(wrong_method)
}

async fn wrong_method() -> Refusal {
    Cause::Method.into()
}

async fn nothing_here() -> Refusal {
    Cause::NotFound.into()
}

/// The zone that times are written in: the tenant's.
fn zone(scope: &Scope) -> TimeZone {
    // Names of zones are looked up before they are stored.
    TimeZoneDatabase::bundled().get(&scope.time_zone()).unwrap_or(TimeZone::UTC)
}
