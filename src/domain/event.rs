//! Events: what publishers send, and how it is kept.

use std::{collections::BTreeMap, sync::Arc};

use super::{enrichment::Blocks, error::Faults, id::EventId, json, limits, text, time::Timestamp};

/// An event as a publisher sends it, checked for form but not against the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// The publisher's id, where it has one.
    pub event_id: Option<EventId>,
    /// Event type.
    pub event_name: String,
    /// What it is about.
    pub ref_id: String,
    /// The API call that caused it.
    pub request_id: String,
    /// JSON text, byte for byte as published.
    pub payload: Arc<str>,
    /// Details that only webhooks which ask for them receive.
    pub enrichments: Option<Blocks>,
    /// When it happened, as the publisher says.
    pub occur_time: Option<Timestamp>,
    /// Events of one key reach a webhook that asks for it in order; empty: no order.
    pub ordering_key: String,
    /// Labels for filters.
    pub attributes: BTreeMap<String, String>,
}

impl EventDraft {
    /// Adds what is wrong with the draft to `faults`, under the path `at`.
    pub fn check(&self, at: &str, faults: &mut Faults) {
        text::check_event_name(faults, &format!("{at}.event_name"), &self.event_name);
        text::check(faults, &format!("{at}.ref_id"), &self.ref_id, limits::NAME_CHARS);
        text::check(faults, &format!("{at}.request_id"), &self.request_id, limits::NAME_CHARS);
        text::check(faults, &format!("{at}.ordering_key"), &self.ordering_key, limits::NAME_CHARS);
        text::check_map(faults, &format!("{at}.attributes"), self.attributes.iter());
        if self.payload.is_empty() {
            faults.required(format!("{at}.json"));
        } else if let Err(fault) = json::check_payload(&self.payload) {
            faults.invalid(format!("{at}.json"), fault.to_string());
        }
    }
}

/// A published event. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Public id.
    pub event_id: EventId,
    /// Event type.
    pub event_name: String,
    /// What it is about.
    pub ref_id: String,
    /// The API call that caused it.
    pub request_id: String,
    /// JSON text, byte for byte as published.
    pub payload: Arc<str>,
    /// Details that only webhooks which ask for them receive.
    pub enrichments: Option<Blocks>,
    /// When it happened, as the publisher says.
    pub occur_time: Option<Timestamp>,
    /// When it was accepted.
    pub ingest_time: Timestamp,
    /// Events of one key reach a webhook that asks for it in order; empty: no order.
    pub ordering_key: String,
    /// Labels for filters.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// One for tests, named `a`, with nothing but what it must have.
    #[cfg(test)]
    pub(crate) fn bare(event_id: EventId, ingest_time: Timestamp) -> Self {
        Self {
            event_id,
            event_name: "a".into(),
            ref_id: String::new(),
            request_id: String::new(),
            payload: "{}".into(),
            enrichments: None,
            occur_time: None,
            ingest_time,
            ordering_key: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// What its texts of any length cost in memory.
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.enrichments.as_ref().map_or(0, |blocks| blocks.as_str().len())
    }
}
