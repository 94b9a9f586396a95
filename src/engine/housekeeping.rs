//! What lanes do beside delivering: they divert what waits when their webhook was
//! stopped, resume by themselves when a suspension ends, and put back what somebody
//! asks for.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    clock::Clock,
    dispatcher::{Dispatcher, Input},
};
use crate::{
    domain::{
        actor::Actor,
        error::{Error, Reason, Result},
        id::{EventKey, WebhookKey},
        time::Timestamp,
        webhook::{Suspension, SuspensionCause, Webhook},
    },
    store::{Requeued, Store},
};

/// Deliveries diverted in one transaction.
const BATCH: usize = 500;
/// Pause between two of them, and after an error.
const PACE: Duration = Duration::from_millis(5);
const AFTER_ERROR: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Diverts what waits at a webhook that takes no events, a batch at a time. To be
    /// called whenever something may have come to wait there: a batch passes over
    /// what is busy.
    pub(super) fn divert(&mut self, key: WebhookKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(config) = lane.config.as_ref().filter(|config| !config.webhook.takes_events())
        else {
            return;
        };
        if lane.diverting {
            lane.divert_again = true;
            return;
        }
        (lane.diverting, lane.divert_again) = (true, false);
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
        let again = lane.divert_again || result != Ok(0);
        if lane.config.as_ref().is_some_and(|config| config.webhook.takes_events()) {
            // Started again meanwhile: what was not diverted is taken up.
            self.touch(key);
        } else if again {
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
        self.change(key, move |webhook| {
            let still = webhook.suspension.as_ref().and_then(|s| s.resume_time);
            if still.is_some_and(|due| due <= now) {
                webhook.lift_suspension(now);
            }
        });
    }

    /// Suspends a webhook whose destination says that it is gone. What waits stays.
    pub(super) fn suspend_gone(&mut self, key: WebhookKey) {
        let now = self.clock.now();
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        // Closed at once; what is decided is read back with the webhook's next version.
        lane.suspending = true;
        self.change(key, move |webhook| {
            if webhook.suspension.is_none() {
                webhook.suspension = Some(Suspension {
                    suspend_time: now,
                    cause: SuspensionCause::Gone,
                    message: "the destination answered 410 Gone".to_owned(),
                    resume_time: None,
                });
            }
        });
    }

    /// Changes a webhook on the service's own account, and tells the lane.
    fn change(&self, key: WebhookKey, change: impl Fn(&mut Webhook) + Send + Sync + 'static) {
        let Some(config) = self.lanes.get(&key).and_then(|lane| lane.config.clone()) else {
            return;
        };
        let (store, inputs, clock) =
            (self.store.clone(), self.inputs.clone(), Arc::clone(&self.clock));
        self.tasks.spawn(async move {
            loop {
                let changed = changed(&store, key, &change, &*clock).await;
                match changed {
                    Ok(Some(webhook)) => {
                        let tenant = config.tenant.clone();
                        let webhook = Arc::new(webhook);
                        let _ = inputs.send(Input::Configured { tenant, webhook });
                        return;
                    }
                    Ok(None) => return,
                    // Somebody else was faster: what they made of it is looked at again.
                    Err(error) if error.reason == Reason::EtagMismatch => {}
                    Err(_) => tokio::time::sleep(AFTER_ERROR).await,
                }
            }
        });
    }

    /// Puts a delivery back by hand, unless an attempt of it is running.
    pub(super) fn retry(
        &mut self,
        key: WebhookKey,
        event: EventKey,
        reply: oneshot::Sender<Result<Requeued>>,
    ) {
        // A caller that went away meanwhile misses the answer.
        let refuse = |reply: oneshot::Sender<_>, error: Error| drop(reply.send(Err(error)));
        let lane = self.lanes.get_mut(&key);
        let known = lane.and_then(|lane| Some((lane.config.as_ref()?.webhook.tenant_key, lane)));
        let Some((tenant, lane)) = known else {
            return refuse(reply, Error::overloaded("the lanes are still being taken up"));
        };
        match lane.hold(event) {
            None => {
                let message = "an attempt of this delivery is running";
                refuse(reply, Error::new(Reason::WebhookStateConflict, message));
            }
            Some(freed) => {
                self.bytes -= freed;
                let (store, inputs) = (self.store.clone(), self.inputs.clone());
                let now = self.clock.now();
                self.tasks.spawn(async move {
                    let result = store.requeue(tenant, event, key, now).await;
                    let _ = inputs.send(Input::Requeued { lane: key, event });
                    let _ = reply.send(result);
                });
            }
        }
    }
}

/// The webhook after the change, or as it is where there is nothing to change.
async fn changed(
    store: &Store,
    key: WebhookKey,
    change: &(impl Fn(&mut Webhook) + Sync),
    clock: &dyn Clock,
) -> Result<Option<Webhook>> {
    let Some(current) = store.webhook(key).await?.filter(|w| w.delete_time.is_none()) else {
        return Ok(None);
    };
    let mut next = current.clone();
    change(&mut next);
    if next == current {
        return Ok(Some(current));
    }
    next.attribution = current.attribution.changed(clock.now(), Actor::system());
    store.update_webhook(&current, next).await.map(Some)
}
