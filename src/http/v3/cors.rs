//! Which pages may call this dialect from a browser.

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_id;
use crate::http::{Facades, tenant};

/// Headers that such a page may send, beside those that name a tenant.
const SENT: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    request_id::HEADER,
    HeaderName::from_static("x-cap-api-oauth-token"),
    HeaderName::from_static("last-event-id"),
];

/// Lets pages of these origins call the routes. Where there are none, answers say nothing
/// of origins, and browsers let only pages of the service's own origin read them.
pub(super) fn allow(routes: Router<Facades>, origins: &[HeaderValue]) -> Router<Facades> {
    if origins.is_empty() {
        return routes;
    }
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(SENT.iter().chain(&tenant::HEADERS).cloned().collect::<Vec<_>>())
        .expose_headers([request_id::HEADER, header::RETRY_AFTER]);
    routes.layer(cors)
}
