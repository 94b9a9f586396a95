//! What every dialect says in words of its own: why a request is refused.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::{answer, body::BodyFault};
use crate::domain::error::Error;

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Cause {
    /// By the services, or for faults of the request.
    Error(Error),
    /// Its body cannot be read.
    Body(BodyFault),
    /// There is nothing at this path.
    NotFound,
    /// The path has no such method.
    Method,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<BodyFault> for Cause {
    fn from(fault: BodyFault) -> Self {
        Self::Body(fault)
    }
}

impl Cause {
    /// The answer that a dialect writes, and with it when to try again, where that is known.
    pub(super) fn answer(self, write: impl FnOnce(Self) -> Response) -> Response {
        let after = match &self {
            Self::Error(error) => error.retry_after,
            Self::Body(_) | Self::NotFound | Self::Method => None,
        };
        let mut response = write(self);
        answer::retry_after(&mut response, after);
        response
    }
}

/// The answer `{"error":"…"}`.
pub(super) fn in_words(status: StatusCode, error: String) -> Response {
    #[derive(Serialize)]
    struct Body {
        error: String,
    }
    answer::json(status, &Body { error })
}
