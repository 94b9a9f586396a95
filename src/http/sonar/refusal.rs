//! How Sonar refuses: a status and `{"error":"…"}`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    domain::error::{Error, Reason},
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
                Cause::Error(error) => told(error),
                Cause::Body(fault) => (fault.status(), fault.to_string()),
                Cause::NotFound => (StatusCode::NOT_FOUND, "Not Found".to_owned()),
                Cause::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()),
            };
            in_words(status, error)
        })
    }
}

fn told(error: Error) -> (StatusCode, String) {
    match error.reason {
        Reason::WebhookNotFound => (StatusCode::NOT_FOUND, "Not Found".to_owned()),
        Reason::Unauthenticated => (StatusCode::UNAUTHORIZED, "Bad Token".to_owned()),
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
        ("tenant_id", "Tidings-Tenant"),
        ("webhook.destination.http.url", "url"),
        ("webhook.destination.http.method", "http_method"),
        ("webhook.event_names", "settings"),
    ];
    let known = names.iter().find(|(domain, _)| field.starts_with(domain));
    known.map_or_else(|| field.strip_prefix("webhook.").unwrap_or(field), |(_, name)| name)
}
