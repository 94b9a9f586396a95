//! Ends the streams of services that are not ours when the server drains: a watch of
//! its health would otherwise keep it from ending.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio_util::sync::CancellationToken;

use super::ending::Ending;
use crate::domain::error::Error;

/// Middleware: lets the responses of such services end with `SERVER_DRAINING`.
pub(super) async fn end_streams(
    State(draining): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let drained = async move {
        draining.cancelled_owned().await;
        Error::draining()
    };
    // What was said before, NOT_SERVING among it, comes first.
    response.map(|inner| Body::new(Ending::when_idle(inner, drained)))
}
