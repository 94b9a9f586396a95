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
}

impl Remark {
    /// On a request that failed.
    pub(super) fn error(code: Code, message: impl Into<String>) -> Self {
        Self { status: false, code: code.number(), message: message.into() }
    }

    /// On a request that was carried out.
    pub(super) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { status: true, code: code.number(), message: message.into() }
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
