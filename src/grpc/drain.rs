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

/// Paths of services whose streams know nothing of draining.
const FOREIGN: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// Middleware: lets responses to such paths end with `SERVER_DRAINING`.
pub(super) async fn end_foreign_streams(
    State(draining): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let foreign = FOREIGN.iter().any(|path| request.uri().path().starts_with(path));
    let response = next.run(request).await;
    if !foreign {
        return response;
    }
    let drained = async move {
        draining.cancelled_owned().await;
        Error::draining()
    };
    // What was said before, NOT_SERVING among it, comes first.
    response.map(|inner| Body::new(Ending::when_idle(inner, drained)))
}
