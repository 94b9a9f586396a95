//! The only place that says how a failure looks in gRPC: which code, which
//! reason, which details. Internal detail goes to the log here, once.

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;
use uuid::Uuid;

use super::{convert::time, proto::ErrorReason};
use crate::domain::error::{Error, Reason, Violation};

/// Defines our reasons in `ErrorInfo`.
const DOMAIN: &str = "tidings";
const PREFIX: &str = "ERROR_REASON_";

/// Message and details (which have the message too) travel as headers, and some
/// clients refuse headers of more than 8 KiB in all. So texts are cut, and
/// violations that do not fit are counted.
const MESSAGE_BYTES: usize = 512;
const FIELD_BYTES: usize = 300;
const DESCRIPTION_BYTES: usize = 500;
const VIOLATIONS_BYTES: usize = 3_072;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        from_proto(to_proto(&error))
    }
}

/// The status of one event of several, with the same details that a failed call has.
pub(super) fn to_proto(error: &Error) -> pb::Status {
    let (code, _) = classify(error.reason);
    with_code(code, error)
}

/// An RPC of the contract, or a path, that this server does not serve.
pub(super) fn not_built(what: &str) -> Status {
    let message = format!("{what} is not available on this server");
    from_proto(with_code(Code::Unimplemented, &Error::new(Reason::FeatureNotAvailable, message)))
}

/// The same error under a code of the transport's own.
pub(super) fn with_other_code(code: Code, error: &Error) -> Status {
    from_proto(with_code(code, error))
}

fn from_proto(status: pb::Status) -> Status {
    let code = Code::from_i32(status.code);
    let details = Bytes::from(status.encode_to_vec());
    Status::with_details(code, status.message, details)
}

fn with_code(code: Code, error: &Error) -> pb::Status {
    let mut info = pb::ErrorInfo {
        reason: reason_name(error.reason).to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: (error.metadata.iter())
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    };
    let mut message = cut(&error.message, MESSAGE_BYTES);
    if error.reason == Reason::Internal {
        let error_id = Uuid::new_v4().to_string();
        tracing::error!(error_id, error = error.message, "a request failed for an internal reason");
        message = "the server failed; its log has more under the errorId".to_owned();
        info.metadata.insert("errorId".to_owned(), error_id);
    }
    let violations = field_violations(&error.violations);
    let omitted = error.violations.len() - violations.len() + error.omitted_violations;
    if omitted > 0 {
        info.metadata.insert("omittedViolations".to_owned(), omitted.to_string());
    }
    let mut details = vec![pack("ErrorInfo", &info)];
    if !violations.is_empty() {
        details.push(pack("BadRequest", &pb::BadRequest { field_violations: violations }));
    }
    if let Some(wait) = error.retry_after {
        let retry_delay = Some(time::show_duration(wait));
        details.push(pack("RetryInfo", &pb::RetryInfo { retry_delay }));
    }
    pb::Status { code: code.into(), message, details }
}

/// As many violations as fit, and the first one in any case.
fn field_violations(violations: &[Violation]) -> Vec<pb::bad_request::FieldViolation> {
    let mut room = VIOLATIONS_BYTES;
    (violations.iter())
        .map(|violation| pb::bad_request::FieldViolation {
            field: cut(&violation.field, FIELD_BYTES),
            description: cut(&violation.message, DESCRIPTION_BYTES),
            reason: reason_name(violation.reason).to_owned(),
            localized_message: None,
        })
        .map_while(|violation| {
            room = room.checked_sub(violation.encoded_len())?;
            Some(violation)
        })
        .collect()
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(bytes)])
}

fn pack(name: &str, detail: &impl Message) -> prost_types::Any {
    let type_url = format!("type.googleapis.com/google.rpc.{name}");
    prost_types::Any { type_url, value: detail.encode_to_vec() }
}

/// A reason as `ErrorInfo` and `FieldViolation` write it.
fn reason_name(reason: Reason) -> &'static str {
    let (_, reason) = classify(reason);
    let name = reason.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The code and the contract's name of each reason, as error.proto has them.
fn classify(reason: Reason) -> (Code, ErrorReason) {
    use Code as C;
    use ErrorReason as E;
    match reason {
        Reason::EventNamesRequired => (C::InvalidArgument, E::EventNamesRequired),
        Reason::MaxAllowedConnectionsNotPositive => {
            (C::InvalidArgument, E::MaxAllowedConnectionsNotPositive)
        }
        Reason::FieldRequired => (C::InvalidArgument, E::FieldRequired),
        Reason::FieldInvalid => (C::InvalidArgument, E::FieldInvalid),
        Reason::DestinationForbidden => (C::InvalidArgument, E::DestinationForbidden),
        Reason::EventNameUnknown => (C::InvalidArgument, E::EventNameUnknown),
        Reason::PayloadSchemaMismatch => (C::InvalidArgument, E::PayloadSchemaMismatch),
        Reason::PageTokenInvalid => (C::InvalidArgument, E::PageTokenInvalid),
        Reason::WebhookNameTaken => (C::AlreadyExists, E::WebhookNameTaken),
        Reason::WebhookNotFound => (C::NotFound, E::WebhookNotFound),
        Reason::EventMetadataNotFound => (C::NotFound, E::EventMetadataNotFound),
        Reason::EventNotFound => (C::NotFound, E::EventNotFound),
        Reason::DivertedEventNotFound => (C::NotFound, E::DivertedEventNotFound),
        Reason::JobNotFound => (C::NotFound, E::JobNotFound),
        Reason::EtagMismatch => (C::Aborted, E::EtagMismatch),
        Reason::IdempotencyKeyReused => (C::AlreadyExists, E::IdempotencyKeyReused),
        Reason::WebhookStateConflict => (C::FailedPrecondition, E::WebhookStateConflict),
        Reason::ResumeTokenExpired => (C::OutOfRange, E::ResumeTokenExpired),
        Reason::ResumeTokenInvalid => (C::InvalidArgument, E::ResumeTokenInvalid),
        Reason::SlowConsumer => (C::ResourceExhausted, E::SlowConsumer),
        Reason::QuotaExceeded => (C::ResourceExhausted, E::QuotaExceeded),
        Reason::Unauthenticated => (C::Unauthenticated, E::Unauthenticated),
        Reason::TenantNotFound => (C::NotFound, E::TenantNotFound),
        Reason::ApiKeyNotFound => (C::NotFound, E::ApiKeyNotFound),
        Reason::PermissionDenied => (C::PermissionDenied, E::PermissionDenied),
        Reason::ServerDraining => (C::Unavailable, E::ServerDraining),
        Reason::EventLogNotFound => (C::NotFound, E::EventLogNotFound),
        Reason::EventMetadataExists => (C::AlreadyExists, E::EventMetadataExists),
        Reason::EventMetadataInUse => (C::FailedPrecondition, E::EventMetadataInUse),
        Reason::EventMetadataReadOnly => (C::FailedPrecondition, E::EventMetadataReadOnly),
        Reason::SchemaInvalid => (C::InvalidArgument, E::SchemaInvalid),
        Reason::FeatureNotAvailable => (C::InvalidArgument, E::FeatureNotAvailable),
        Reason::Overloaded => (C::ResourceExhausted, E::Overloaded),
        Reason::StoreUnavailable => (C::Unavailable, E::StoreUnavailable),
        Reason::Internal => (C::Internal, E::Internal),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;
    use crate::domain::error::Faults;

    #[test]
    fn details_decode_with_reason_faults_and_wait() {
        let mut error = Error::field("webhook.name", Reason::FieldRequired, "is required");
        error.retry_after = Some(std::time::Duration::from_millis(1_500));
        let status = Status::from(error.with("oldestResumeToken", "abc"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "webhook.name is required");

        let details = status.check_error_details().expect("details decode");
        let info = details.error_info().expect("ErrorInfo");
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("tidings", "FIELD_REQUIRED"));
        assert_eq!(info.metadata["oldestResumeToken"], "abc");
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(wait, Some(std::time::Duration::from_millis(1_500)));

        let raw = pb::Status::decode(status.details()).expect("a google.rpc.Status");
        assert_eq!(raw.details[1].type_url, "type.googleapis.com/google.rpc.BadRequest");
        let bad = pb::BadRequest::decode(&*raw.details[1].value).expect("BadRequest");
        assert_eq!(bad.field_violations[0].field, "webhook.name");
        assert_eq!(bad.field_violations[0].reason, "FIELD_REQUIRED");
    }

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        let status = Status::from(Error::new(Reason::Internal, "column secret missing"));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"));
        let details = status.get_error_details();
        let info = details.error_info().expect("ErrorInfo");
        assert!(info.metadata["errorId"].parse::<Uuid>().is_ok());
    }

    #[test]
    fn a_thousand_faults_fit_into_headers() {
        let mut faults = Faults::default();
        for i in 0..1_000 {
            faults.invalid(format!("webhook.event_names[{i}]"), "ü".repeat(400));
        }
        let status = Status::from(faults.into_error());
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).expect("headers");
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(size < 7_168, "{size}");
        let details = status.get_error_details();
        let shown = details.bad_request().expect("BadRequest").field_violations.len();
        let omitted = &details.error_info().expect("ErrorInfo").metadata["omittedViolations"];
        assert_eq!(omitted.parse(), Ok(1_000 - shown));
        assert!(shown > 0);
    }
}
