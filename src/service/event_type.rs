//! An event type, ready to check payloads.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use crate::domain::{
    catalogue,
    error::{Error, Reason, Result},
    event_metadata::{EventMetadata, EventMetadataSpec, EventOrigin, SchemaEnforcement},
    schema::Schema,
};

/// An event type with its schema compiled.
pub(super) struct EventType {
    pub(super) metadata: EventMetadata,
    schema: Option<Schema>,
}

static STANDARD: LazyLock<HashMap<&'static str, Arc<EventType>>> = LazyLock::new(|| {
    let standard = catalogue::STANDARD_EVENTS.iter();
    standard.map(|name| (*name, EventType::new(untouched(name)))).collect()
});

fn untouched(name: &str) -> EventMetadata {
    let schema_json = catalogue::schema(name).to_owned();
    EventMetadata {
        event_name: name.to_owned(),
        origin: EventOrigin::Standard,
        spec: EventMetadataSpec { schema_json, ..EventMetadataSpec::default() },
        version: 0,
        attribution: None,
    }
}

impl EventType {
    pub(super) fn new(metadata: EventMetadata) -> Arc<Self> {
        let spec = &metadata.spec;
        let checks = spec.enforcement != SchemaEnforcement::Off && !spec.schema_json.is_empty();
        // Schemas are compiled before they are stored, so they compile again.
        let schema = checks.then(|| Schema::compile(&spec.schema_json).ok()).flatten();
        Arc::new(Self { metadata, schema })
    }

    /// A standard event type as it is before a tenant changes it.
    pub(super) fn standard(name: &str) -> Option<Arc<Self>> {
        STANDARD.get(name).cloned()
    }

    /// Checks a payload; gives the warnings where mismatches are accepted.
    pub(super) fn check(&self, at: &str, payload: &str) -> Result<Vec<String>> {
        let Some(schema) = &self.schema else { return Ok(Vec::new()) };
        let faults = schema.faults(payload);
        if faults.is_empty() || self.metadata.spec.enforcement == SchemaEnforcement::Warn {
            return Ok(faults);
        }
        let mut all = crate::domain::error::Faults::default();
        for fault in faults {
            all.add(format!("{at}.json"), Reason::PayloadSchemaMismatch, fault);
        }
        Err(Error {
            message: format!(
                "the payload does not fit the schema of {:?}",
                self.metadata.event_name
            ),
            ..all.into_error()
        })
    }
}
