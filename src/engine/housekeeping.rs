//! What lanes do beside delivering: they divert what waits when their webhook was
//! stopped, and resume by themselves when a suspension ends.

use std::{sync::Arc, time::Duration};

use super::dispatcher::{Dispatcher, Input};
use crate::{
    domain::{
        actor::Actor,
        error::{Error, Reason, Result},
        id::WebhookKey,
        time::Timestamp,
        webhook::Webhook,
    },
    store::Store,
};

/// Deliveries diverted in one transaction.
const BATCH: usize = 500;
/// Pause between two of them, and after an error.
const PACE: Duration = Duration::from_millis(5);
const AFTER_ERROR: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Diverts what waits at a webhook that takes no events, a batch at a time.
    pub(super) fn divert(&mut self, key: WebhookKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(config) = lane.config.as_ref().filter(|config| !config.webhook.takes_events())
        else {
            return;
        };
        if lane.diverting {
            return;
        }
        lane.diverting = true;
        let (store, inputs) = (self.store.clone(), self.inputs.clone());
        let (tenant, busy, now) = (config.webhook.tenant_key, lane.busy(), self.clock.now());
        self.tasks.spawn(async move {
            let result = store.divert_waiting(tenant, key, &busy, now, BATCH).await;
            tokio::time::sleep(if result.is_ok() { PACE } else { AFTER_ERROR }).await;
            let _ = inputs.send(Input::Diverted { lane: key, result });
        });
    }

    pub(super) fn diverted(&mut self, key: WebhookKey, result: Result<usize>) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.diverting = false;
        if lane.config.as_ref().is_some_and(|config| config.webhook.takes_events()) {
            // Started again meanwhile: what was not diverted is taken up.
            self.touch(key);
        } else if result != Ok(0) {
            self.divert(key);
        }
    }

    /// Lifts a suspension whose time is over.
    pub(super) fn resume_if_due(&mut self, key: WebhookKey, now: Timestamp) {
        let Some(config) = self.lanes.get(&key).and_then(|lane| lane.config.clone()) else {
            return;
        };
        let due = config.webhook.suspension.as_ref().and_then(|s| s.resume_time);
        if due.is_none_or(|due| due > now) {
            return;
        }
        let (store, inputs, tenant) =
            (self.store.clone(), self.inputs.clone(), config.tenant.clone());
        let webhook = Arc::clone(&config.webhook);
        self.tasks.spawn(async move {
            // Whoever changed the webhook first has told the lane of it.
            while let Err(error) = resume(&store, &webhook, now).await.map(|resumed| {
                let _ = inputs
                    .send(Input::Configured { tenant: tenant.clone(), webhook: Arc::new(resumed) });
            }) {
                if error.reason == Reason::EtagMismatch {
                    return;
                }
                tokio::time::sleep(AFTER_ERROR).await;
            }
        });
    }
}

async fn resume(
    store: &Store,
    webhook: &Webhook,
    now: Timestamp,
) -> std::result::Result<Webhook, Error> {
    let mut resumed = webhook.clone();
    resumed.lift_suspension(now);
    resumed.attribution = resumed.attribution.changed(now, Actor::system());
    store.update_webhook(webhook, resumed).await
}
