//! The core dialect: `/v3/webHooks`, its event types and logs, publishing, and the live tail.

mod codes;
mod cors;
mod definition;
mod envelope;
mod event_logs;
mod event_types;
mod events;
mod metrics;
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

use axum::middleware;
use http::{HeaderValue, Method};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use self::refusal::Refusal;
use super::routes::{Dialect, Routes};
use crate::service::{Services, scope::Scope};

/// Its part of the OpenAPI document.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The routes of this dialect. Pages of these origins may call them from a browser.
pub(super) fn routes(services: &Services, origins: &[HeaderValue]) -> Dialect {
    Routes::<Refusal>::new(services)
        .serve(Method::GET, "/v3/webHooks", webhooks::list)
        .serve(Method::POST, "/v3/webHooks", webhooks::create)
        .serve(Method::GET, "/v3/webHooks/{webHookId}", webhooks::show)
        .serve(Method::PUT, "/v3/webHooks/{webHookId}", webhooks::change)
        .serve(Method::DELETE, "/v3/webHooks/{webHookId}", webhooks::remove)
        .serve(Method::GET, "/v3/webHooks/eventMetaData", event_types::list)
        .serve(Method::POST, "/v3/webHooks/eventMetaData", event_types::create)
        .serve(Method::GET, "/v3/webHooks/eventMetaData/{eventName}", event_types::show)
        .serve_with_query_token(Method::GET, "/v3/webHooks/eventLog/tail", tail::follow)
        .serve(Method::GET, "/v3/webHooks/eventLog/{eventId}", event_logs::show)
        .serve(Method::GET, "/v3/webHooks/eventLog/requestId/{requestId}", event_logs::of_request)
        .serve(Method::GET, "/v3/webHooks/eventLog/refId/{refId}", event_logs::of_reference)
        .serve(Method::POST, "/v3/events", events::publish)
        .serve(Method::GET, metrics::PATH, metrics::show)
        .serve(Method::POST, "/v3/oauth/token/generate", session::generate)
        // The log by itself is not a webhook of that id.
        .nothing_at(["/v3", "/v3/", "/v3/{*path}", "/v3/webHooks/eventLog"])
        .finish()
        .answered_by_layer(Method::OPTIONS, "/v3/{*path}")
        .layered(|routes| {
            cors::allow(routes, origins).layer(middleware::from_fn(request_id::carry))
        })
}

/// The zone that times are written in: the tenant's.
fn zone(scope: &Scope) -> TimeZone {
    // Names of zones are looked up before they are stored.
    TimeZoneDatabase::bundled().get(&scope.time_zone()).unwrap_or(TimeZone::UTC)
}
