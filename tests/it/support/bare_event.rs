//! An event as the store takes it, with nothing but what it must have.

use tidings::domain::{event::Event, id::EventId, time::Timestamp};
use uuid::Uuid;

/// Named `a`, with an empty object as its payload.
pub(crate) fn bare_event(id: Uuid, ingest_time: Timestamp) -> Event {
    Event {
        event_id: EventId(id),
        event_name: "a".into(),
        ref_id: String::new(),
        request_id: String::new(),
        payload: "{}".into(),
        enrichments: None,
        occur_time: None,
        ingest_time,
        ordering_key: String::new(),
        attributes: Default::default(),
    }
}
