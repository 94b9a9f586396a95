//! The one error type. Each transport maps it once, by its [`Reason`].

use std::time::Duration;

use super::limits;

/// What metadata call the oldest token that a tail can resume from.
pub const OLDEST_RESUME_TOKEN: &str = "oldestResumeToken";

/// Why a request failed, as the contract's `ErrorReason` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's ErrorReason documents each")]
pub enum Reason {
    EventNamesRequired,
    MaxAllowedConnectionsNotPositive,
    FieldRequired,
    FieldInvalid,
    EventNameUnknown,
    DestinationForbidden,
    PayloadSchemaMismatch,
    PageTokenInvalid,
    WebhookNameTaken,
    WebhookNotFound,
    EventMetadataNotFound,
    EventNotFound,
    DivertedEventNotFound,
    JobNotFound,
    EtagMismatch,
    IdempotencyKeyReused,
    WebhookStateConflict,
    ResumeTokenExpired,
    ResumeTokenInvalid,
    SlowConsumer,
    QuotaExceeded,
    PermissionDenied,
    Unauthenticated,
    ServerDraining,
    EventLogNotFound,
    TenantNotFound,
    ApiKeyNotFound,
    EventMetadataExists,
    EventMetadataInUse,
    EventMetadataReadOnly,
    SchemaInvalid,
    FeatureNotAvailable,
    Overloaded,
    StoreUnavailable,
    Internal,
}

/// One fault of one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field from the request, such as `webhook.destination.http.url`.
    pub field: String,
    /// Why it is refused.
    pub reason: Reason,
    /// Text for humans; no secrets.
    pub message: String,
}

/// A failed request: what the caller is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Why.
    pub reason: Reason,
    /// Text for humans; no secrets, no internals.
    pub message: String,
    /// The faults of the request's fields; of a great many, the first ones.
    pub violations: Vec<Violation>,
    /// How many more there are.
    pub omitted_violations: usize,
    /// More for programs, by name.
    pub metadata: Vec<(&'static str, String)>,
    /// When to try again, where that helps.
    pub retry_after: Option<Duration>,
}

/// Short for a result with the domain's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of that reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            omitted_violations: 0,
            metadata: Vec::new(),
            retry_after: None,
        }
    }

    /// One bad field.
    pub fn field(field: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        let mut faults = Faults::default();
        faults.add(field, reason, message);
        faults.into_error()
    }

    /// The service is full for the moment.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Reason::Overloaded, message) }
    }

    /// The database does not answer; nothing was done.
    pub fn store_unavailable() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(Reason::StoreUnavailable, "the database does not answer; nothing was done")
        }
    }

    /// The server is shutting down.
    pub fn draining() -> Self {
        Self::new(Reason::ServerDraining, "the server is shutting down")
    }

    /// Adds a value for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }
}

/// Collects the faults of a request, so that the caller hears of all at once. Of a
/// great many (a request of 4 MiB can have two million) the first ones are kept and
/// the others counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    kept: Vec<Violation>,
    omitted: usize,
}

impl Faults {
    /// Notes one fault.
    pub fn add(&mut self, field: impl Into<String>, reason: Reason, message: impl Into<String>) {
        if self.kept.len() < limits::FAULTS {
            self.kept.push(Violation { field: field.into(), reason, message: message.into() });
        } else {
            self.omitted += 1;
        }
    }

    /// Notes a field whose value is not allowed.
    pub fn invalid(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.add(field, Reason::FieldInvalid, message);
    }

    /// Notes a mandatory field that is missing.
    pub fn required(&mut self, field: impl Into<String>) {
        self.add(field, Reason::FieldRequired, "is required");
    }

    /// Notes a field of the contract that has no effect yet.
    pub fn unavailable(&mut self, field: impl Into<String>) {
        self.add(field, Reason::FeatureNotAvailable, "is not supported yet by this server");
    }

    /// Takes over the faults of another collection.
    pub fn append(&mut self, other: Self) {
        let room = limits::FAULTS.saturating_sub(self.kept.len());
        self.omitted += other.omitted + other.kept.len().saturating_sub(room);
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// Whether one of them is of this field.
    pub fn names(&self, field: &str) -> bool {
        self.kept.iter().any(|fault| fault.field == field)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// An error that lists them all, where there are any.
    pub fn check(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    /// An error that lists them all; its reason is the first one's.
    pub fn into_error(self) -> Error {
        let Self { kept, omitted } = self;
        let reason = kept.first().map_or(Reason::FieldInvalid, |fault| fault.reason);
        let faults: Vec<_> = kept.iter().map(|v| format!("{} {}", v.field, v.message)).collect();
        let error = Error::new(reason, faults.join("; "));
        Error { violations: kept, omitted_violations: omitted, ..error }
    }
}
