//! What every answer of this dialect is wrapped in.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::codes::Code;
use crate::http::{answer, parameters::Parameters};

/// An error or a warning.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Remark {
    /// Whether the request was carried out all the same.
    status: bool,
    code: u32,
    message: String,
    /// Of a tail that cannot resume: the oldest `Last-Event-ID` that still works.
    #[serde(rename = "oldestLastEventId", skip_serializing_if = "Option::is_none")]
    oldest_last_event_id: Option<String>,
}

impl Remark {
    /// On a request that failed.
    pub(super) fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(false, code, message)
    }

    /// On a request that was carried out.
    pub(super) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(true, code, message)
    }

    fn new(status: bool, code: Code, message: impl Into<String>) -> Self {
        let (code, message) = (code.number(), message.into());
        Self { status, code, message, oldest_last_event_id: None }
    }

    /// Tells where a tail can resume instead.
    pub(super) fn resumable_from(self, oldest: Option<String>) -> Self {
        Self { oldest_last_event_id: oldest, ..self }
    }
}

/// A warning for each parameter that nobody took out.
pub(super) fn ignored(parameters: &Parameters) -> Vec<Remark> {
    let told = parameters.left().map(|name| {
        Remark::warning(Code::ParameterIgnored, format!("{name} is not known and was ignored"))
    });
    told.collect()
}

#[derive(Serialize)]
struct Envelope<T> {
    data: Option<T>,
    errors: Option<Vec<Remark>>,
    warnings: Option<Vec<Remark>>,
}

/// The answer of a request that was carried out.
pub(super) fn done(status: StatusCode, data: impl Serialize, warnings: Vec<Remark>) -> Response {
    let warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    answer::json(status, &Envelope { data: Some(data), errors: None, warnings })
}

/// The answer of a request that failed.
pub(super) fn failed(status: StatusCode, errors: Vec<Remark>) -> Response {
    answer::json(status, &Envelope::<()> { data: None, errors: Some(errors), warnings: None })
}
