//! What an alert URL is sent for each exhausted delivery.

use serde_json::json;

use super::{
    delivery::{DeliveryState, DeliveryStatus, DivertReason},
    event::Event,
    failure_handling::is_exhausted,
    id::TenantId,
    webhook::Webhook,
};

/// A POST to be made, once, to the alert URL that its webhook has by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its body, a JSON object.
    pub body: String,
}

impl Alert {
    /// The alert of a delivery that was given up; `None` where it is not exhausted or
    /// nobody wants to know.
    pub fn of_exhausted(
        tenant: &TenantId,
        webhook: &Webhook,
        event: &Event,
        state: &DeliveryState,
        given_up: DivertReason,
    ) -> Option<Self> {
        let url = &webhook.spec.failure_handling.as_ref()?.alert_url;
        if url.is_empty() || !is_exhausted(given_up) {
            return None;
        }
        let last = state.last.as_ref();
        let dropped = state.status == DeliveryStatus::Dropped;
        let body = json!({
            "type": "delivery.exhausted",
            "tenantId": tenant.as_str(),
            "webhookId": webhook.webhook_id.to_string(),
            "webhookName": webhook.spec.name,
            "eventId": event.event_id.to_string(),
            "eventName": event.event_name,
            "refId": event.ref_id,
            "status": if dropped { "DROPPED" } else { "DIVERTED" },
            "reason": reason_name(given_up),
            "attempts": state.attempt_count,
            "httpStatus": last.map_or(0, |last| last.http_status),
            "error": last.map_or("", |last| &last.error),
            "endTime": state.end_time.map(|time| time.rfc3339()),
        });
        Some(Self { body: body.to_string() })
    }
}

fn reason_name(reason: DivertReason) -> &'static str {
    match reason {
        DivertReason::RetriesExhausted => "RETRIES_EXHAUSTED",
        DivertReason::Rejected => "REJECTED",
        DivertReason::Expired => "EXPIRED",
        DivertReason::WebhookStopped => "WEBHOOK_STOPPED",
        DivertReason::Suspended => "SUSPENDED",
    }
}
