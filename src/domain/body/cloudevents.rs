//! CloudEvents 1.0, structured JSON. Static properties are extension attributes, which
//! have simple names and simple values.

use std::fmt::Write;

use super::{event_time, members::members, push_json};
use crate::domain::{error::Faults, event::Event, id::TenantId};

/// Attributes that are set already, and `data`'s members of the JSON format.
const TAKEN: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "database64",
    "requestid",
];

pub(super) fn body(tenant: &TenantId, event: &Event, properties: Option<&str>) -> String {
    let mut body = String::with_capacity(event.payload.len() + 512);
    // A tenant's id needs no escape, neither in a URI nor in JSON.
    let _ = write!(
        body,
        "{{\"specversion\":\"1.0\",\"id\":\"{}\",\"source\":\"/tenants/{tenant}\",\"type\":",
        event.event_id
    );
    push_json(&mut body, &event.event_name);
    if !event.ref_id.is_empty() {
        body.push_str(",\"subject\":");
        push_json(&mut body, &event.ref_id);
    }
    let _ = write!(body, ",\"time\":\"{}\"", event_time(event));
    if !event.request_id.is_empty() {
        body.push_str(",\"requestid\":");
        push_json(&mut body, &event.request_id);
    }
    for member in members(properties.unwrap_or_default()) {
        let _ = write!(body, ",{}:{}", member.raw_name, member.value);
    }
    body.push_str(",\"datacontenttype\":\"application/json\",\"data\":");
    body.push_str(&event.payload);
    body.push('}');
    body
}

/// Adds what cannot be an extension attribute to `faults`, under the path `at`.
pub(in crate::domain) fn check_properties(properties: &str, at: &str, faults: &mut Faults) {
    for member in members(properties) {
        let name = &member.name;
        let at = format!("{at}.{}", name.escape_default());
        let simple = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if name.is_empty() || name.len() > 20 || !name.bytes().all(simple) {
            let message = "a CloudEvents attribute is named by at most 20 of a-z and 0-9";
            faults.invalid(at, message);
        } else if TAKEN.contains(&name.as_str()) {
            faults.invalid(at, "is an attribute that the server sets");
        } else if !is_simple(member.value) {
            let message = "a CloudEvents attribute is a text, a boolean or a 32-bit integer";
            faults.invalid(at, message);
        }
    }
}

fn is_simple(value: &str) -> bool {
    value.starts_with('"') || matches!(value, "true" | "false") || value.parse::<i32>().is_ok()
}
