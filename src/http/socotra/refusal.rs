//! How Socotra's dialect refuses: a status and `{"error":"…"}`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    domain::error::Error,
    http::{
        refusal::{Cause, in_words},
        status,
    },
};

/// A refused request.
pub(super) struct Refusal(Cause);

impl<C: Into<Cause>> From<C> for Refusal {
    fn from(cause: C) -> Self {
        Self(cause.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.answer(|cause| {
            let (status, error) = match cause {
                Cause::Error(error) => (status::of(error.reason), told(error)),
                Cause::Body(fault) => (fault.status(), fault.to_string()),
                Cause::NotFound => (StatusCode::NOT_FOUND, "nothing is here".to_owned()),
                Cause::Method => {
                    (StatusCode::METHOD_NOT_ALLOWED, "the path has no such method".to_owned())
                }
            };
            in_words(status, error)
        })
    }
}

/// The faults in the dialect's own words, where there are any.
fn told(error: Error) -> String {
    if error.violations.is_empty() {
        return error.message;
    }
    let faults = error.violations.iter();
    let told: Vec<_> = faults.map(|v| format!("{} {}", member(&v.field), v.message)).collect();
    match error.omitted_violations {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}

/// The dialect's names for fields of the domain; longer ones first.
const MEMBERS: [(&str, &str); 13] = [
    ("webhook.destination.http", "endpoint"),
    ("webhook.event_names", "eventTypes"),
    ("webhook.signing.secrets", "endpoint.secret"),
    ("webhook.signing", "endpoint.hmacEnabled"),
    ("webhook.retry_policy.retry_on", "failureHandling.triggers"),
    ("webhook.retry_policy", "failureHandling.retryStrategy"),
    ("webhook.failure_handling.alert_url", "failureHandling.alertEndpoint"),
    ("webhook.failure_handling", "failureHandling"),
    ("ingest_time.end_time", "endTimestamp"),
    ("event_names", "eventTypes"),
    ("event_name", "type"),
    ("tenant_id", "tenantLocator"),
    ("page_token", "pagingToken"),
];

/// The dialect's name for a field.
fn member(field: &str) -> String {
    for (domain, name) in MEMBERS {
        if let Some(rest) = field.strip_prefix(domain) {
            return format!("{name}{rest}");
        }
    }
    field.strip_prefix("webhook.").unwrap_or(field).to_owned()
}
