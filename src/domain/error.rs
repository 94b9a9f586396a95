//! The one error type. Each transport maps it once, by its [`Reason`].

use std::time::Duration;

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
    PermissionDenied,
    ServerDraining,
    EventLogNotFound,
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
    /// The faults of the request's fields, all of them.
    pub violations: Vec<Violation>,
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

/// Collects the faults of a request, so that the caller hears of all at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Violation>);

impl Faults {
    /// Notes one fault.
    pub fn add(&mut self, field: impl Into<String>, reason: Reason, message: impl Into<String>) {
        self.0.push(Violation { field: field.into(), reason, message: message.into() });
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
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether one of them is of this field.
    pub fn names(&self, field: &str) -> bool {
        self.0.iter().any(|fault| fault.field == field)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error that lists them all, where there are any.
    pub fn check(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    /// An error that lists them all; its reason is the first one's.
    pub fn into_error(self) -> Error {
        let reason = self.0.first().map_or(Reason::FieldInvalid, |fault| fault.reason);
        let faults: Vec<_> = self.0.iter().map(|v| format!("{} {}", v.field, v.message)).collect();
        Error { violations: self.0, ..Error::new(reason, faults.join("; ")) }
    }
}
