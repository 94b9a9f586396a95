//! Event types: the kinds of events that a tenant knows, and the shape of their payloads.

use serde::{Deserialize, Serialize};

use super::{actor::Attribution, error::Faults, limits, text};

/// An event type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMetadata {
    /// Unique within the tenant.
    pub event_name: String,
    /// Standard or the tenant's own.
    pub origin: EventOrigin,
    /// What its owner can change.
    pub spec: EventMetadataSpec,
    /// Rises with each change; the etag.
    pub version: i64,
    /// Who made and changed it; absent for a standard type that nobody touched.
    pub attribution: Option<Attribution>,
}

/// What the owner of an event type decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMetadataSpec {
    /// Whether events of this type are accepted.
    pub active: bool,
    /// Text for humans.
    pub description: String,
    /// JSON Schema text, kept as it was sent; empty for none.
    pub schema_json: String,
    /// What to do with a payload that does not fit.
    pub enforcement: SchemaEnforcement,
}

impl Default for EventMetadataSpec {
    fn default() -> Self {
        Self {
            active: true,
            description: String::new(),
            schema_json: String::new(),
            enforcement: SchemaEnforcement::Warn,
        }
    }
}

/// Tells standard types from a tenant's own; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventOrigin {
    /// Defined for all tenants.
    Standard = 1,
    /// Defined by the tenant.
    Custom = 2,
}

/// What a schema mismatch does; the numbers are the contract's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SchemaEnforcement {
    /// The schema is documentation only.
    Off = 1,
    /// Accept, and answer with a warning.
    #[default]
    Warn = 2,
    /// Refuse the event.
    Reject = 3,
}

impl SchemaEnforcement {
    /// From the stored number; what is not known enforces nothing by itself.
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Off,
            3 => Self::Reject,
            _ => Self::Warn,
        }
    }
}

impl EventMetadata {
    /// The version as callers see it.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

impl EventMetadataSpec {
    /// Adds what is wrong to `faults`. Whether the schema is one that can be used
    /// is for the schema compiler to say.
    pub fn check(&self, faults: &mut Faults) {
        let at = "event_metadata.description";
        text::check(faults, at, &self.description, limits::DESCRIPTION_CHARS);
        let at = "event_metadata.schema_json";
        if self.schema_json.len() > limits::SCHEMA_BYTES {
            faults.invalid(at, format!("must be at most {} bytes", limits::SCHEMA_BYTES));
        } else {
            text::check(faults, at, &self.schema_json, limits::SCHEMA_BYTES);
        }
    }
}
