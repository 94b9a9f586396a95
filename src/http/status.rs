//! Which HTTP status a reason has. The one place that says so.

use http::StatusCode;

use crate::domain::error::Reason;

/// The status of a request that failed for that reason.
pub(super) fn of(reason: Reason) -> StatusCode {
    match reason {
        Reason::EventNamesRequired
        | Reason::MaxAllowedConnectionsNotPositive
        | Reason::FieldRequired
        | Reason::FieldInvalid
        | Reason::EventNameUnknown
        | Reason::DestinationForbidden
        | Reason::PayloadSchemaMismatch
        | Reason::PageTokenInvalid
        | Reason::ResumeTokenInvalid
        | Reason::SchemaInvalid
        | Reason::FeatureNotAvailable => StatusCode::BAD_REQUEST,
        Reason::Unauthenticated => StatusCode::UNAUTHORIZED,
        Reason::PermissionDenied => StatusCode::FORBIDDEN,
        Reason::WebhookNotFound
        | Reason::EventMetadataNotFound
        | Reason::EventNotFound
        | Reason::EventLogNotFound
        | Reason::DivertedEventNotFound
        | Reason::TenantNotFound
        | Reason::ApiKeyNotFound
        | Reason::JobNotFound => StatusCode::NOT_FOUND,
        Reason::WebhookNameTaken
        | Reason::IdempotencyKeyReused
        | Reason::WebhookStateConflict
        | Reason::EventMetadataExists
        | Reason::EventMetadataInUse
        | Reason::EventMetadataReadOnly => StatusCode::CONFLICT,
        Reason::ResumeTokenExpired => StatusCode::GONE,
        Reason::EtagMismatch => StatusCode::PRECONDITION_FAILED,
        Reason::SlowConsumer | Reason::Overloaded | Reason::QuotaExceeded => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Reason::ServerDraining | Reason::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
