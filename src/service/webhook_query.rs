//! Lists of webhooks: which are wanted, and a page of them.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::domain::{
    error::Faults,
    subscription,
    webhook::{Webhook, WebhookSpec, WebhookState},
};

/// Conditions on webhooks, joined with AND.
#[derive(Clone, Debug, Default)]
pub struct WebhookQuery {
    /// At most this many; 50 when 0, capped at 1000.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// Results to skip.
    pub skip: i32,
    /// Exact name; any when empty.
    pub name: String,
    /// The owner's wish.
    pub enabled: Option<bool>,
    /// Suspended or not.
    pub suspended: Option<bool>,
    /// Enabled and not suspended.
    pub active: Option<bool>,
    /// Subscribed to any of these.
    pub event_names: Vec<String>,
    /// In any of these states.
    pub states: Vec<WebhookState>,
    /// Has all these labels.
    pub labels: BTreeMap<String, String>,
    /// This consumer group.
    pub consumer_group_id: Option<Uuid>,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A page of webhooks.
pub struct WebhookPage {
    /// Oldest first.
    pub webhooks: Vec<Arc<Webhook>>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// All matches, whatever the page.
    pub total_size: usize,
}

/// Whether a webhook subscribes to a name, or has the pattern itself.
fn subscribes(spec: &WebhookSpec, name: &str) -> bool {
    spec.event_names.iter().any(|pattern| pattern == name || subscription::fits(pattern, name))
}

impl WebhookQuery {
    pub(super) fn takes(&self, webhook: &Webhook) -> bool {
        let spec = &webhook.spec;
        (self.name.is_empty() || self.name == spec.name)
            && self.enabled.is_none_or(|wanted| wanted == spec.enabled)
            && self.suspended.is_none_or(|wanted| wanted == webhook.suspension.is_some())
            && self.active.is_none_or(|wanted| wanted == (webhook.state() == WebhookState::Active))
            && (self.event_names.is_empty() || self.event_names.iter().any(|n| subscribes(spec, n)))
            && (self.states.is_empty() || self.states.contains(&webhook.state()))
            && self.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
            && self.consumer_group_id.is_none_or(|id| id == webhook.consumer_group_id)
    }
}
