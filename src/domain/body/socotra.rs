//! The Socotra `EventResponse`.

use std::fmt::Write;

use super::{Extras, event_time, push_json};
use crate::domain::event::Event;

/// `{"locator","requestId","userLocator","timestamp","type","data"}` and `"properties"`
/// where there are any, and enrichment blocks. Nobody's user is known, so `userLocator` is null.
pub(super) fn body(event: &Event, extras: Extras<'_>) -> String {
    let mut body = String::with_capacity(event.payload.len() + 512);
    let _ = write!(body, "{{\"locator\":\"{}\",\"requestId\":", event.event_id);
    if event.request_id.is_empty() {
        body.push_str("null");
    } else {
        push_json(&mut body, &event.request_id);
    }
    let _ = write!(body, ",\"userLocator\":null,\"timestamp\":\"{}\",\"type\":", event_time(event));
    push_json(&mut body, &event.event_name);
    body.push_str(",\"data\":");
    body.push_str(&event.payload);
    extras.close(body)
}
