//! The numbers of errors and warnings. `docs/errors-v3.md` lists them for callers.

use crate::domain::error::Reason;

/// Makes the enum, and the list that the documentation is compared with.
macro_rules! codes {
    ($($variant:ident = $number:literal $name:literal),+ $(,)?) => {
        /// What an error or a warning is about. Numbers below 900000 are documented for
        /// this dialect by others; those from there on are our own and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code { $($variant = $number),+ }

        /// Each number with its name.
        #[cfg(test)]
        const ALL: &[(u32, &str)] = &[$(($number, $name)),+];
    };
}

codes! {
    EventNamesRequired = 51_003 "EVENT_NAMES_REQUIRED",
    MaxAllowedConnectionsNotPositive = 51_007 "MAX_ALLOWED_CONNECTIONS_NOT_POSITIVE",
    MaxAllowedConnectionsRequired = 300_004 "MAX_ALLOWED_CONNECTIONS_REQUIRED",
    FieldRequired = 900_001 "FIELD_REQUIRED",
    FieldInvalid = 900_002 "FIELD_INVALID",
    FeatureNotAvailable = 900_003 "FEATURE_NOT_AVAILABLE",
    DestinationForbidden = 900_004 "DESTINATION_FORBIDDEN",
    WebhookNameTaken = 900_005 "WEBHOOK_NAME_TAKEN",
    WebhookNotFound = 900_006 "WEBHOOK_NOT_FOUND",
    WebhookStateConflict = 900_007 "WEBHOOK_STATE_CONFLICT",
    EventNameUnknown = 900_008 "EVENT_NAME_UNKNOWN",
    EventMetadataNotFound = 900_009 "EVENT_METADATA_NOT_FOUND",
    EventMetadataExists = 900_010 "EVENT_METADATA_EXISTS",
    EventMetadataInUse = 900_011 "EVENT_METADATA_IN_USE",
    EventMetadataReadOnly = 900_012 "EVENT_METADATA_READ_ONLY",
    SchemaInvalid = 900_013 "SCHEMA_INVALID",
    PayloadSchemaMismatch = 900_014 "PAYLOAD_SCHEMA_MISMATCH",
    EventNotFound = 900_015 "EVENT_NOT_FOUND",
    EventLogNotFound = 900_016 "EVENT_LOG_NOT_FOUND",
    PageTokenInvalid = 900_017 "PAGE_TOKEN_INVALID",
    ResumeTokenInvalid = 900_018 "RESUME_TOKEN_INVALID",
    ResumeTokenExpired = 900_019 "RESUME_TOKEN_EXPIRED",
    SlowConsumer = 900_020 "SLOW_CONSUMER",
    EtagMismatch = 900_021 "ETAG_MISMATCH",
    IdempotencyKeyReused = 900_022 "IDEMPOTENCY_KEY_REUSED",
    PermissionDenied = 900_023 "PERMISSION_DENIED",
    Overloaded = 900_024 "OVERLOADED",
    StoreUnavailable = 900_025 "STORE_UNAVAILABLE",
    ServerDraining = 900_026 "SERVER_DRAINING",
    Internal = 900_027 "INTERNAL",
    DivertedEventNotFound = 900_028 "DIVERTED_EVENT_NOT_FOUND",
    JobNotFound = 900_029 "JOB_NOT_FOUND",
    Unauthenticated = 900_030 "UNAUTHENTICATED",
    QuotaExceeded = 900_031 "QUOTA_EXCEEDED",
    TenantNotFound = 900_032 "TENANT_NOT_FOUND",
    ApiKeyNotFound = 900_033 "API_KEY_NOT_FOUND",
    FaultsOmitted = 900_050 "FAULTS_OMITTED",
    BodyMalformed = 900_051 "BODY_MALFORMED",
    BodyTooLarge = 900_052 "BODY_TOO_LARGE",
    MediaTypeNotSupported = 900_053 "MEDIA_TYPE_NOT_SUPPORTED",
    MethodNotAllowed = 900_054 "METHOD_NOT_ALLOWED",
    PathNotFound = 900_055 "PATH_NOT_FOUND",
    BodyTooSlow = 900_056 "BODY_TOO_SLOW",
    MemberIgnored = 900_101 "MEMBER_IGNORED",
    ParameterIgnored = 900_102 "PARAMETER_IGNORED",
    SeveralRecords = 900_103 "SEVERAL_RECORDS",
    MoreRecords = 900_104 "MORE_RECORDS",
    PayloadRemark = 900_105 "PAYLOAD_REMARK",
    RangeWidened = 900_106 "RANGE_WIDENED",
}

impl Code {
    /// The number as answers have it.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// Of a fault of this member, or of none.
    pub(super) fn of(reason: Reason, member: &str) -> Self {
        match reason {
            Reason::EventNamesRequired => Self::EventNamesRequired,
            Reason::MaxAllowedConnectionsNotPositive => Self::MaxAllowedConnectionsNotPositive,
            Reason::FieldRequired if member == "maxAllowedConnections" => {
                Self::MaxAllowedConnectionsRequired
            }
            Reason::FieldRequired => Self::FieldRequired,
            Reason::FieldInvalid => Self::FieldInvalid,
            Reason::EventNameUnknown => Self::EventNameUnknown,
            Reason::DestinationForbidden => Self::DestinationForbidden,
            Reason::PayloadSchemaMismatch => Self::PayloadSchemaMismatch,
            Reason::PageTokenInvalid => Self::PageTokenInvalid,
            Reason::WebhookNameTaken => Self::WebhookNameTaken,
            Reason::WebhookNotFound => Self::WebhookNotFound,
            Reason::EventMetadataNotFound => Self::EventMetadataNotFound,
            Reason::EventNotFound => Self::EventNotFound,
            Reason::EtagMismatch => Self::EtagMismatch,
            Reason::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            Reason::WebhookStateConflict => Self::WebhookStateConflict,
            Reason::ResumeTokenExpired => Self::ResumeTokenExpired,
            Reason::ResumeTokenInvalid => Self::ResumeTokenInvalid,
            Reason::SlowConsumer => Self::SlowConsumer,
            Reason::PermissionDenied => Self::PermissionDenied,
            Reason::ServerDraining => Self::ServerDraining,
            Reason::EventLogNotFound => Self::EventLogNotFound,
            Reason::EventMetadataExists => Self::EventMetadataExists,
            Reason::EventMetadataInUse => Self::EventMetadataInUse,
            Reason::EventMetadataReadOnly => Self::EventMetadataReadOnly,
            Reason::SchemaInvalid => Self::SchemaInvalid,
            Reason::FeatureNotAvailable => Self::FeatureNotAvailable,
            Reason::Overloaded => Self::Overloaded,
            Reason::StoreUnavailable => Self::StoreUnavailable,
            Reason::Internal => Self::Internal,
            Reason::DivertedEventNotFound => Self::DivertedEventNotFound,
            Reason::JobNotFound => Self::JobNotFound,
            Reason::Unauthenticated => Self::Unauthenticated,
            Reason::QuotaExceeded => Self::QuotaExceeded,
            Reason::TenantNotFound => Self::TenantNotFound,
            Reason::ApiKeyNotFound => Self::ApiKeyNotFound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_all_codes() {
        let text = include_str!("../../../docs/errors-v3.md");
        let listed: Vec<_> = (text.lines())
            .filter_map(|line| {
                let mut cells = line.split('|').map(str::trim).skip(1);
                let number: u32 = cells.next()?.parse().ok()?;
                Some((number, cells.next()?))
            })
            .collect();
        assert_eq!(listed, ALL);
    }

    #[test]
    fn only_missing_connections_have_a_number_of_their_own() {
        assert_eq!(Code::of(Reason::FieldRequired, "maxAllowedConnections").number(), 300_004);
        assert_eq!(Code::of(Reason::FieldRequired, "name").number(), 900_001);
    }
}
