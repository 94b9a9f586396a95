//! Ends the streams of services that are not ours when the server drains: a watch of
//! its health would otherwise keep it from ending.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use hyper::body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

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
    let draining = Box::pin(draining.cancelled_owned());
    response.map(|inner| Body::new(Ending { inner, draining, ended: false }))
}

/// A body that ends with an error once the server drains and nothing more is ready.
struct Ending {
    inner: Body,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // What was said before, NOT_SERVING among it, comes first.
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.draining.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        let mut trailers = http::HeaderMap::new();
        let written = Status::from(Error::draining()).add_header(&mut trailers);
        Poll::Ready(written.is_ok().then(|| Ok(Frame::trailers(trailers))))
    }
}
