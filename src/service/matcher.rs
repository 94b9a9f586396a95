//! Which webhooks of a tenant want an event: those whose event names it fits, and of these
//! the ones whose filters its payload fulfils.

use std::{collections::HashMap, sync::Arc};

use crate::{
    domain::{
        event::Event,
        event_filter::{self, EventFilter},
        id::WebhookKey,
        subscription::SubscriptionIndex,
        webhook::Webhook,
    },
    store::Target,
};

/// The webhooks of a tenant, under an index of their event names. What an event costs
/// depends on how many want its name, not on how many there are.
#[derive(Debug, Default)]
pub struct Matcher {
    webhooks: HashMap<WebhookKey, Arc<Webhook>>,
    subscriptions: SubscriptionIndex,
}

impl Matcher {
    /// Adds a webhook, in place of what was known of it.
    pub fn insert(&mut self, webhook: Arc<Webhook>) {
        self.remove(webhook.key);
        if webhook.takes_events() {
            self.subscriptions.insert(webhook.key, &webhook.spec.event_names);
        }
        self.webhooks.insert(webhook.key, webhook);
    }

    /// Takes a webhook out.
    pub fn remove(&mut self, key: WebhookKey) {
        if let Some(known) = self.webhooks.remove(&key) {
            self.subscriptions.remove(key, &known.spec.event_names);
        }
    }

    /// All webhooks by their keys.
    pub(super) fn webhooks(&self) -> &HashMap<WebhookKey, Arc<Webhook>> {
        &self.webhooks
    }

    /// The webhooks that want events of that name.
    pub fn candidates(&self, event: &Event) -> Candidates {
        let mut filtered = Vec::new();
        let names = self.subscriptions.matching(&event.event_name);
        let webhooks = names.into_iter().filter_map(|key| self.webhooks.get(&key));
        let targets = webhooks.map(|webhook| {
            let spec = &webhook.spec;
            if !spec.event_filters.is_empty() {
                filtered.push(Arc::clone(webhook));
            }
            Target {
                webhook_key: webhook.key,
                sla_due_time: (!spec.sla.is_zero()).then(|| event.ingest_time.plus(spec.sla)),
                order: spec.delivery_order.key(&event.ordering_key),
            }
        });
        Candidates { targets: targets.collect(), filtered }
    }
}

/// The webhooks that want the name of an event, whatever its payload. They stand for
/// themselves, so that a payload is not read under a lock.
pub struct Candidates {
    /// In key order.
    targets: Vec<Target>,
    /// Those of them that have filters, in key order.
    filtered: Vec<Arc<Webhook>>,
}

impl Candidates {
    /// Those whose filters a payload fulfils. It is read only where one has filters, and once.
    pub fn that_want(self, payload: &str) -> Vec<Target> {
        let Self { mut targets, filtered } = self;
        if filtered.is_empty() {
            return targets;
        }
        let payload = event_filter::read_payload(payload);
        let holds = |filters: &[EventFilter]| {
            event_filter::first_unfulfilled(filters, payload.as_ref()).is_none()
        };
        let mut filtered = filtered.iter().peekable();
        targets.retain(|to| match filtered.next_if(|webhook| webhook.key == to.webhook_key) {
            Some(webhook) => holds(&webhook.spec.event_filters),
            None => true,
        });
        targets
    }
}
