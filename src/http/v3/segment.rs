//! The one part of a path that names something.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use super::refusal::Refusal;
use crate::http::refusal::Cause;

/// What the path names, decoded. A path that cannot be decoded names nothing.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Cause::NotFound.into())
    }
}
