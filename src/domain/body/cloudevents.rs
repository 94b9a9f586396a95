//! CloudEvents 1.0, structured JSON. Static properties are extension attributes, which
//! have simple names and simple values; enrichment blocks are members of `data`.

use std::fmt::Write;

use super::{Extras, event_time, push_json};
use crate::domain::{error::Faults, event::Event, id::TenantId, members::members};

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

pub(super) fn body(tenant: &TenantId, event: &Event, extras: Extras<'_>) -> String {
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
    for member in members(extras.properties.unwrap_or_default()) {
        let _ = write!(body, ",{}:{}", member.raw_name, member.value);
    }
    body.push_str(",\"datacontenttype\":\"application/json\",\"data\":");
    push_data(&mut body, &event.payload, extras);
    body.push('}');
    body
}

/// The payload, byte for byte; with blocks added where there are any, which are no
/// simple values and so cannot be attributes.
fn push_data(body: &mut String, payload: &str, extras: Extras<'_>) {
    if extras.blocks.is_empty() {
        body.push_str(payload);
        return;
    }
    let mut data = String::with_capacity(payload.len() + 256);
    for member in members(payload) {
        // What the server says wins over members of the payload that have the same name.
        if !extras.has_block(&member.name) {
            let _ = write!(data, ",{}:{}", member.raw_name, member.value);
        }
    }
    extras.push_blocks(&mut data);
    body.push('{');
    body.push_str(data.trim_start_matches(','));
    body.push('}');
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
