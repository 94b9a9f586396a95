//! How this dialect refuses: all faults of a request, each with its number.

use std::collections::HashSet;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{codes::Code, envelope, envelope::Remark};
use crate::{
    domain::error::{Error, OLDEST_RESUME_TOKEN, Violation},
    http::{body::BodyFault, refusal::Cause, status},
};

/// A refused request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// As in any dialect.
    Cause(Cause),
    /// A change names a webhook that is not there.
    NoSuchWebhook,
}

impl<C: Into<Cause>> From<C> for Refusal {
    fn from(cause: C) -> Self {
        Self::Cause(cause.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Cause(cause) => cause.answer(answer),
            Self::NoSuchWebhook => {
                let error = Remark::error(Code::WebhookNotFound, "webHookId is invalid");
                envelope::failed(StatusCode::BAD_REQUEST, vec![error])
            }
        }
    }
}

fn answer(cause: Cause) -> Response {
    let (status, errors) = match cause {
        Cause::Error(error) => (status::of(error.reason), remarks(error)),
        Cause::Body(fault) => {
            (fault.status(), vec![Remark::error(code(&fault), fault.to_string())])
        }
        Cause::NotFound => {
            let error = Remark::error(Code::PathNotFound, "there is nothing at this path");
            (StatusCode::NOT_FOUND, vec![error])
        }
        Cause::Method => {
            let error = Remark::error(Code::MethodNotAllowed, "the path has no such method");
            (StatusCode::METHOD_NOT_ALLOWED, vec![error])
        }
    };
    envelope::failed(status, errors)
}

fn code(fault: &BodyFault) -> Code {
    match fault {
        BodyFault::MediaType => Code::MediaTypeNotSupported,
        BodyFault::TooLarge => Code::BodyTooLarge,
        BodyFault::TooSlow => Code::BodyTooSlow,
        BodyFault::Malformed(_) => Code::BodyMalformed,
    }
}

/// An error as the entries of an answer.
pub(super) fn remarks(error: Error) -> Vec<Remark> {
    if error.violations.is_empty() {
        let oldest = error.metadata.into_iter().find(|(name, _)| *name == OLDEST_RESUME_TOKEN);
        let remark = Remark::error(Code::of(error.reason, ""), error.message);
        return vec![remark.resumable_from(oldest.map(|(_, token)| token))];
    }
    // A member that could not be read is not there for the domain, which would say so.
    let unread: HashSet<&str> = (error.violations.iter())
        .filter(|fault| domain_path(&fault.field).is_none())
        .map(|fault| top(&fault.field))
        .collect();
    let told = error.violations.iter().filter_map(|fault| {
        let Violation { field, reason, message } = fault;
        let member = match domain_path(field) {
            Some(member) if unread.contains(top(&member)) => return None,
            Some(member) => member,
            None => field.clone(),
        };
        Some(Remark::error(Code::of(*reason, &member), format!("{member} {message}")))
    });
    let omitted = error.omitted_violations;
    let more = (omitted > 0)
        .then(|| Remark::error(Code::FaultsOmitted, format!("and {omitted} faults more")));
    told.chain(more).collect()
}

/// The dialect's names for the fields of the domain.
const NAMES: [(&str, &str); 35] = [
    ("webhook.name", "name"),
    ("webhook.event_names", "eventNames"),
    ("webhook.destination.http.url", "webHookUrl"),
    ("webhook.destination.http.headers", "webHookHeaders"),
    ("webhook.max_allowed_connections", "maxAllowedConnections"),
    ("webhook.sla", "slaInSeconds"),
    ("webhook.retry_policy.max_retries", "noOfRetryAttempts"),
    ("webhook.enrichment.customer_identifiers", "customerIdentifiersToBeEnriched"),
    ("webhook.enrichment", "enrichment"),
    ("event.event_id", "eventId"),
    ("event.event_name", "eventName"),
    ("event.ref_id", "refId"),
    ("event.request_id", "requestId"),
    ("event.json", "data"),
    ("event.enrichments_json", "enrichments"),
    ("event.ordering_key", "orderingKey"),
    ("event.attributes", "attributes"),
    ("event_metadata.event_name", "eventName"),
    ("event_metadata.description", "description"),
    ("event_metadata.schema_json", "schema"),
    ("filter.event_names", "eventName"),
    ("filter.webhook_ids", "webHookId"),
    ("filter.http_statuses", "httpStatus"),
    ("filter.ref_id", "refId"),
    ("filter.request_id", "requestId"),
    ("ingest_time.start_time", "startDate"),
    ("ingest_time.end_time", "endDate"),
    ("event_names", "eventName"),
    ("page_token", "pageToken"),
    ("page_size", "limit"),
    ("skip", "offset"),
    ("resume_token", "Last-Event-ID"),
    ("tenant_id", "X-CAP-API-AUTH-ORG-ID"),
    ("webhook_id", "webHookId"),
    ("event_id", "eventId"),
];

/// The dialect's name for a path of the domain; none for one that is the dialect's already.
fn domain_path(field: &str) -> Option<String> {
    NAMES.iter().find_map(|(domain, member)| {
        let rest = field.strip_prefix(domain)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{member}{rest}"))
    })
}

/// The member of the body that a path leads into.
fn top(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::{Faults, Reason};

    fn told(faults: Faults) -> Vec<String> {
        let remarks = remarks(faults.into_error());
        let told = remarks.iter().map(|r| serde_json::to_string(r).expect("JSON"));
        told.collect()
    }

    #[test]
    fn all_faults_are_told_under_the_names_of_the_dialect() {
        let mut faults = Faults::default();
        faults.add("webhook.event_names", Reason::EventNamesRequired, "is empty");
        faults.invalid("webhook.event_names[3]", "is named twice");
        faults.required("maxAllowedConnections");
        faults.invalid("webhook.destination.http.url", "is none");
        assert_eq!(
            told(faults),
            [
                r#"{"status":false,"code":51003,"message":"eventNames is empty"}"#,
                r#"{"status":false,"code":900002,"message":"eventNames[3] is named twice"}"#,
                r#"{"status":false,"code":300004,"message":"maxAllowedConnections is required"}"#,
                r#"{"status":false,"code":900002,"message":"webHookUrl is none"}"#,
            ]
        );
    }

    #[test]
    fn of_very_many_faults_the_first_are_told_and_the_others_counted() {
        let mut faults = Faults::default();
        for i in 0..10_000 {
            faults.invalid(format!("m{i}"), "is wrong");
        }
        let told = told(faults);
        assert!(told.len() < 1_000);
        assert!(told.last().is_some_and(|last| last.contains("900050")), "{:?}", told.last());
    }

    #[test]
    fn what_could_not_be_read_is_not_said_to_be_missing() {
        let mut faults = Faults::default();
        faults.invalid("eventNames", "must be an array");
        faults.add("webhook.event_names", Reason::EventNamesRequired, "is empty");
        faults.required("webhook.name");
        assert_eq!(
            told(faults),
            [
                r#"{"status":false,"code":900002,"message":"eventNames must be an array"}"#,
                r#"{"status":false,"code":900001,"message":"name is required"}"#,
            ]
        );
    }
}
