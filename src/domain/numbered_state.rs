//! What SuperOffice tells of a webhook's state: events `webhook7.started`, `webhook7.stopped` and
//! `webhook7.errors` of webhook number 7, for the webhooks that have its notification.

use serde_json::json;

use super::{
    body::PayloadFormat,
    event::Event,
    id::EventId,
    webhook::{Webhook, WebhookState},
};

const STARTED: &str = "started";
const STOPPED: &str = "stopped";
const ERRORS: &str = "errors";

/// Whether an event of this name tells of a state.
pub(super) fn is_event(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(webhook, change)| {
        is_numbered(webhook) && [STARTED, STOPPED, ERRORS].contains(&change)
    })
}

/// Whether a pattern of a webhook's event names covers such events and names their webhook.
pub(super) fn is_pattern(pattern: &str) -> bool {
    is_event(pattern) || pattern.strip_suffix(".*").is_some_and(is_numbered)
}

fn is_numbered(webhook: &str) -> bool {
    let number = webhook.strip_prefix("webhook").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The event of a change of state, where there is one. What is deleted has no state.
pub(super) fn event(before: &Webhook, after: &Webhook, event_id: EventId) -> Option<Event> {
    let change = match after.state() {
        WebhookState::Active => STARTED,
        WebhookState::Stopped | WebhookState::Suspended => STOPPED,
        WebhookState::TooManyErrors => ERRORS,
    };
    let told = after.spec.payload_format == PayloadFormat::SuperOffice;
    if !told || after.delete_time.is_some() || before.state() == after.state() {
        return None;
    }
    let payload = json!({
        "PrimaryKey": after.number,
        "Entity": "webhook",
        "Changes": ["State"],
        "webhookId": after.webhook_id.to_string(),
        "webhookName": after.spec.shown_name(),
    });
    Some(Event {
        event_id,
        event_name: format!("webhook{}.{change}", after.number),
        ref_id: after.webhook_id.to_string(),
        request_id: String::new(),
        ordering_key: after.webhook_id.to_string(),
        payload: payload.to_string().into(),
        enrichments: None,
        occur_time: None,
        ingest_time: after.attribution.update_time,
        attributes: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_events_and_patterns_are_told_from_others() {
        for name in ["webhook7.started", "webhook12.stopped", "webhook0.errors"] {
            assert!(is_event(name) && is_pattern(name), "{name}");
        }
        for name in ["webhook.started", "webhook7", "webhook7.x", "webhookx.errors", "a7.errors"] {
            assert!(!is_event(name) && !is_pattern(name), "{name}");
        }
        assert!(is_pattern("webhook7.*") && !is_event("webhook7.*"));
        assert!(!is_pattern("webhook.*") && !is_pattern("*"));
    }
}
