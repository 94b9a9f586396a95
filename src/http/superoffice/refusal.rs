//! How SuperOffice's dialect refuses: a status and `{"Error","ErrorType","Message"}`.

use std::collections::HashSet;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::accept;
use crate::{
    domain::error::Error,
    http::{body::BodyFault, refusal::Cause, status},
};

/// A refused request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// As in any dialect.
    Cause(Cause),
    /// The caller takes no JSON.
    NotAcceptable,
    /// A `test` of a patch failed; in words.
    TestFailed(String),
    /// The webhook was changed after the time that the caller named.
    Modified,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    error: bool,
    error_type: String,
    message: String,
}

impl<C: Into<Cause>> From<C> for Refusal {
    fn from(cause: C) -> Self {
        Self::Cause(cause.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Cause(cause) => cause.answer(|cause| {
                let (status, message) = told(cause);
                refuse(status, message)
            }),
            Self::NotAcceptable => {
                refuse(StatusCode::NOT_ACCEPTABLE, "answers are application/json".to_owned())
            }
            Self::TestFailed(message) => refuse(StatusCode::CONFLICT, message),
            Self::Modified => {
                let message = "the webhook was changed since then".to_owned();
                refuse(StatusCode::PRECONDITION_FAILED, message)
            }
        }
    }
}

/// `ErrorType` is the name of the status, such as `BadRequest`.
fn refuse(status: StatusCode, message: String) -> Response {
    let error_type = status.canonical_reason().unwrap_or_default().replace(' ', "");
    accept::json(status, &Body { error: true, error_type, message })
}

fn told(cause: Cause) -> (StatusCode, String) {
    match cause {
        Cause::Error(error) => (status::of(error.reason), in_words(error)),
        Cause::Body(BodyFault::MediaType) => {
            let message = "the body must be application/json, text/json or \
                           application/x-www-form-urlencoded, that of PATCH \
                           application/json-patch+json or application/merge-patch+json; XML is \
                           not supported";
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned())
        }
        Cause::Body(fault) => (fault.status(), fault.to_string()),
        Cause::NotFound => (StatusCode::NOT_FOUND, "nothing is here".to_owned()),
        Cause::Method => (StatusCode::METHOD_NOT_ALLOWED, "the path has no such method".to_owned()),
    }
}

/// The faults in the dialect's own words, where there are any.
fn in_words(error: Error) -> String {
    if error.violations.is_empty() {
        return error.message;
    }
    // A member that could not be read is not there for the domain, which would say so.
    let unread: HashSet<&str> =
        error.violations.iter().filter(|v| !is_domain(&v.field)).map(|v| &*v.field).collect();
    let mut told: Vec<String> = Vec::with_capacity(error.violations.len());
    for fault in &error.violations {
        let member = member(&fault.field);
        let missing = is_domain(&fault.field) && unread.contains(member.as_str());
        let fault = format!("{member} {}", fault.message);
        // Both names of a webhook are one here.
        if !missing && !told.contains(&fault) {
            told.push(fault);
        }
    }
    match error.omitted_violations {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}

/// The dialect's names for fields of the domain; longer ones first.
const MEMBERS: [(&str, &str); 14] = [
    ("webhook.destination.http.headers", "Headers"),
    ("webhook.destination.http.url", "TargetUrl"),
    ("webhook.event_names", "Events"),
    ("webhook.display_name", "Name"),
    ("webhook.name", "Name"),
    ("webhook.signing.header_name", "Headers"),
    ("webhook.signing.secrets[0].value", "Secret"),
    ("webhook.signing", "Secret"),
    ("webhook.static_properties", "Properties"),
    ("webhook.failure_handling.notify_emails[0]", "ErrorsEmail"),
    ("webhook.failure_handling.notify_emails", "ErrorsEmail"),
    ("event_names[0]", "eventFilter"),
    ("event.event_name", "eventName"),
    ("event.json", "primaryKey"),
];

/// Whether a field is named as the domain does.
fn is_domain(field: &str) -> bool {
    field.starts_with("webhook.")
}

/// The dialect's name for a field.
fn member(field: &str) -> String {
    for (domain, name) in MEMBERS {
        if let Some(rest) = field.strip_prefix(domain) {
            return format!("{name}{rest}");
        }
    }
    field.strip_prefix("webhook.").unwrap_or(field).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::{Faults, Reason};

    #[test]
    fn faults_are_told_once_each_under_the_names_of_the_dialect() {
        let mut faults = Faults::default();
        faults.invalid("Name", "must be a string");
        faults.required("webhook.name");
        faults.add("webhook.event_names", Reason::EventNamesRequired, "needs one");
        faults.invalid("webhook.event_names[3]", "is named twice");
        faults.invalid("webhook.signing.secrets[0].value", "is bad");
        faults.invalid("webhook.signing.secrets[0].value", "is bad");
        let told = in_words(faults.into_error());
        let expected = "Name must be a string; Events needs one; Events[3] is named twice; \
                        Secret is bad";
        assert_eq!(told, expected);
    }
}
