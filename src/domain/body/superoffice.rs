//! The SuperOffice notification.

use super::{Extras, event_time, push_json};
use crate::domain::{event::Event, id::TenantId, members::members};

/// The members, in their order.
const RESERVED: [&str; 9] = [
    "EventId",
    "Timestamp",
    "Changes",
    "Event",
    "PrimaryKey",
    "Entity",
    "ContextIdentifier",
    "ChangedByAssociateId",
    "WebhookName",
];

/// The reserved members, then static properties of other names, then enrichment blocks. Who the event is
/// (`EventId`, `Event`, `WebhookName`) is the server's to say; the rest is the
/// payload's where it has such a member, and nothing else of the payload is sent.
pub(super) fn body(
    tenant: &TenantId,
    event: &Event,
    extras: Extras<'_>,
    webhook_name: &str,
) -> String {
    let given = members(&event.payload);
    let entity = event.event_name.split('.').next().unwrap_or_default();
    let mut body = String::with_capacity(1_024);
    for (i, name) in RESERVED.into_iter().enumerate() {
        body.push_str(if i == 0 { "{" } else { "," });
        push_json(&mut body, name);
        body.push(':');
        // Of a name written twice the last one counts, as for most parsers.
        let own = || given.iter().rfind(|member| member.name == name).map(|member| member.value);
        match (name, own()) {
            ("EventId", _) => push_json(&mut body, &event.event_id.to_string()),
            ("Event", _) => push_json(&mut body, &event.event_name),
            ("WebhookName", _) => push_json(&mut body, webhook_name),
            (_, Some(value)) => body.push_str(value),
            ("Timestamp", None) => push_json(&mut body, &event_time(event)),
            ("Changes", None) => body.push_str("[]"),
            ("Entity", None) => push_json(&mut body, entity),
            ("ContextIdentifier", None) => push_json(&mut body, tenant.as_str()),
            // Numbers of the primary key and of the associate.
            (_, None) => body.push('0'),
        }
    }
    for member in members(extras.properties.unwrap_or_default()) {
        if !RESERVED.contains(&member.name.as_str()) && !extras.has_block(&member.name) {
            body.push(',');
            body.push_str(member.raw_name);
            body.push(':');
            body.push_str(member.value);
        }
    }
    extras.push_blocks(&mut body);
    body.push('}');
    body
}
