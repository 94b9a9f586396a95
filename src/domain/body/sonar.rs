//! The Sonar notification.

use std::fmt::Write;

use super::{Extras, push_json};
use crate::domain::{event::Event, members::members};

/// `action`, the event's name, and `uuid`, its id, then the payload's members as they
/// are written, then `properties` where there are any, then enrichment blocks. What the server says wins
/// over members of the payload that have the same name.
pub(super) fn body(event: &Event, extras: Extras<'_>) -> String {
    let mut body = String::with_capacity(event.payload.len() + 256);
    body.push_str("{\"action\":");
    push_json(&mut body, &event.event_name);
    let _ = write!(body, ",\"uuid\":\"{}\"", event.event_id);
    for member in members(&event.payload) {
        let ours = match member.name.as_str() {
            "action" | "uuid" => true,
            "properties" => extras.properties.is_some(),
            name => extras.has_block(name),
        };
        if !ours {
            let _ = write!(body, ",{}:{}", member.raw_name, member.value);
        }
    }
    extras.close(body)
}
