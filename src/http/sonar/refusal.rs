//! How Sonar refuses: a status and `{"error":"…"}`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::{
    domain::error::{Error, Faults, Reason},
    http::{answer, body::BodyFault, status},
};

/// A refused request.
pub(super) enum Refusal {
    /// By the services, or for faults of the definition.
    Error(Error),
    /// Its body cannot be read.
    Body(BodyFault),
    /// There is nothing at this path.
    NotFound,
    /// The path has no such method.
    Method,
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Error(faults.into_error())
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        Self::Body(fault)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retry_after = match &self {
            Self::Error(error) => error.retry_after,
            _ => None,
        };
        let (status, error) = match self {
            Self::Error(error) => told(error),
            Self::Body(fault) => (fault.status(), fault.to_string()),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not Found".to_owned()),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()),
        };
        let mut response = answer::json(status, &Body { error });
        answer::retry_after(&mut response, retry_after);
        response
    }
}

fn told(error: Error) -> (StatusCode, String) {
    match error.reason {
        Reason::WebhookNotFound => (StatusCode::NOT_FOUND, "Not Found".to_owned()),
        reason if !error.violations.is_empty() => {
            // What is wrong with a definition is unprocessable here, a taken name too.
            let status = match status::of(reason) {
                StatusCode::BAD_REQUEST | StatusCode::CONFLICT => StatusCode::UNPROCESSABLE_ENTITY,
                other => other,
            };
            let faults = error.violations.iter();
            let told = faults.map(|fault| format!("{} {}", member(&fault.field), fault.message));
            (status, told.collect::<Vec<_>>().join("; "))
        }
        reason => (status::of(reason), error.message),
    }
}

/// The dialect's name for a field of the domain's definition.
fn member(field: &str) -> &str {
    let names = [
        ("webhook.destination.http.url", "url"),
        ("webhook.destination.http.method", "http_method"),
        ("webhook.event_names", "settings"),
    ];
    let known = names.iter().find(|(domain, _)| field.starts_with(domain));
    known.map_or_else(|| field.strip_prefix("webhook.").unwrap_or(field), |(_, name)| name)
}
