//! Response bodies that end with an error when something happens.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;
use tonic::{Status, body::Body};

use crate::domain::error::Error;

/// A body that ends with the error that a future resolves to.
pub(super) struct Ending {
    inner: Body,
    until: Pin<Box<dyn Future<Output = Error> + Send>>,
    at_once: bool,
    ended: bool,
}

impl Ending {
    /// What is ready by then comes first.
    pub(super) fn when_idle(
        inner: Body,
        until: impl Future<Output = Error> + Send + 'static,
    ) -> Self {
        Self { inner, until: Box::pin(until), at_once: false, ended: false }
    }

    /// Nothing comes after.
    pub(super) fn at_once(
        inner: Body,
        until: impl Future<Output = Error> + Send + 'static,
    ) -> Self {
        Self { inner, until: Box::pin(until), at_once: true, ended: false }
    }

    fn poll_end(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(error) = self.until.as_mut().poll(context) else { return Poll::Pending };
        self.ended = true;
        let mut trailers = http::HeaderMap::new();
        let written = Status::from(error).add_header(&mut trailers);
        Poll::Ready(written.is_ok().then(|| Ok(Frame::trailers(trailers))))
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.at_once
            && let end @ Poll::Ready(_) = self.poll_end(context)
        {
            return end;
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.at_once { Poll::Pending } else { self.poll_end(context) }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}
