//! Reading the body of a request as JSON.

use std::time::Duration;

use axum::{
    body::{self, Body, HttpBody},
    extract::Request,
};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::Value;

use crate::domain::limits;

/// Why a body is no JSON that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It says that it is something else.
    MediaType,
    /// It is larger than a request may be.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// It is no JSON; in words.
    Malformed(String),
}

impl BodyFault {
    /// The status of the refusal.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MediaType => write!(f, "the body must be application/json"),
            Self::TooLarge => {
                write!(f, "the body is larger than {} MiB", limits::REQUEST_BYTES / 1024 / 1024)
            }
            Self::TooSlow => {
                write!(f, "the body took longer than {} s", limits::BODY_SPAN.as_secs())
            }
            Self::Malformed(why) => write!(f, "the body is no JSON: {why}"),
        }
    }
}

/// Reads a body that has to be JSON. A request that names no media type may have it.
pub(super) async fn read_json(request: Request) -> Result<Value, BodyFault> {
    let text = read_json_text(request).await?;
    serde_json::from_slice(&text).map_err(|error| BodyFault::Malformed(error.to_string()))
}

/// The text of a body that says that it is JSON, or nothing; whether it is, is not looked at.
pub(super) async fn read_json_text(request: Request) -> Result<Bytes, BodyFault> {
    if let Some(kind) = request.headers().get(header::CONTENT_TYPE)
        && !kind.to_str().is_ok_and(is_json)
    {
        return Err(BodyFault::MediaType);
    }
    read(request.into_body()).await
}

/// Reads a body of any kind.
pub(super) async fn read(body: Body) -> Result<Bytes, BodyFault> {
    read_within(body, limits::BODY_SPAN).await
}

async fn read_within(body: Body, span: Duration) -> Result<Bytes, BodyFault> {
    // What says that it is too large does not have to come.
    if body.size_hint().lower() > limits::REQUEST_BYTES as u64 {
        return Err(BodyFault::TooLarge);
    }
    let read = tokio::time::timeout(span, body::to_bytes(body, limits::REQUEST_BYTES)).await;
    read.map_err(|_| BodyFault::TooSlow)?.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source {
            Some(source) if source.is::<http_body_util::LengthLimitError>() => BodyFault::TooLarge,
            _ => BodyFault::Malformed("it ended before it was complete".to_owned()),
        }
    })
}

/// `application/json`, or a type of its own that is JSON.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: Option<&str>, body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        if let Some(kind) = kind {
            request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().expect("a value"));
        }
        request
    }

    #[tokio::test]
    async fn only_json_of_a_size_is_read() {
        for kind in [None, Some("application/json; charset=utf-8"), Some("Application/JSON")] {
            assert_eq!(read_json(request(kind, "[1]")).await, Ok(serde_json::json!([1])));
        }
        for kind in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", "ä"] {
            assert_eq!(read_json(request(Some(kind), "[1]")).await, Err(BodyFault::MediaType));
        }
        let long = vec![b' '; limits::REQUEST_BYTES + 1];
        assert_eq!(read_json(request(None, long)).await, Err(BodyFault::TooLarge));
        let deep = "[".repeat(100_000);
        for bad in ["", "{", "nul", "\"\u{0}\"", &deep] {
            let refused = read_json(request(None, bad.to_owned())).await;
            assert!(matches!(refused, Err(BodyFault::Malformed(_))), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_waited_for_no_longer() {
        let endless = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        assert_eq!(read_within(endless, Duration::from_millis(1)).await, Err(BodyFault::TooSlow));
    }
}
