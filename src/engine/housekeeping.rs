//! What lanes do beside delivering: they divert what waits when their webhook was
//! stopped, and put back what somebody asks for.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{dispatcher::Dispatcher, input::Input};
use crate::{
    domain::{
        actor::Actor,
        error::{Error, Reason, Result},
        id::{EventKey, WebhookKey},
    },
    store::Requeued,
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
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.owned) else { return };
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
        let (tenant, busy, now) = (config.webhook.tenant_key, lane.busy(), self.now);
        let node = self.ownership.tenure.node;
        let background = Arc::clone(&self.background);
        self.tasks.spawn(async move {
            let result = {
                let _turn = background.acquire().await;
                store.divert_waiting(node, tenant, key, &busy, now, BATCH).await
            };
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

    /// Puts a delivery back by hand, unless an attempt of it is running here. Another
    /// node hears of it by the journal; one that is attempting it has done what is asked.
    pub(super) fn retry(
        &mut self,
        key: WebhookKey,
        event: EventKey,
        by: Actor,
        reply: oneshot::Sender<Result<Requeued>>,
    ) {
        // A caller that went away meanwhile misses the answer.
        let refuse = |reply: oneshot::Sender<_>, error: Error| drop(reply.send(Err(error)));
        let lane = self.lanes.get_mut(&key);
        let known = lane.and_then(|lane| Some((lane.config.as_ref()?.webhook.tenant_key, lane)));
        let Some((tenant, lane)) = known else {
            return refuse(reply, Error::overloaded("the lanes are still being taken up"));
        };
        let held = if lane.owned { lane.hold(event) } else { Some(0) };
        match held {
            None => {
                let message = "an attempt of this delivery is running";
                refuse(reply, Error::new(Reason::WebhookStateConflict, message));
            }
            Some(freed) => {
                self.bytes -= freed;
                let (store, inputs) = (self.store.clone(), self.inputs.clone());
                let now = self.now;
                self.tasks.spawn(async move {
                    let result = store.requeue(tenant, event, key, &by, now).await;
                    let requeued = result.as_ref().ok().cloned();
                    let _ = inputs.send(Input::Requeued { lane: key, event, requeued });
                    let _ = reply.send(result);
                });
            }
        }
    }

    /// The end of such a change.
    pub(super) fn requeued(
        &mut self,
        key: WebhookKey,
        event: EventKey,
        requeued: Option<Requeued>,
    ) {
        let now = self.now;
        let order = requeued.as_ref().and_then(|requeued| requeued.order);
        if !self.ownership.owns(key) {
            return;
        }
        self.lane(key).unhold(event, order, now);
        if requeued.is_none() {
            // Whether it stands in an order is not known: the lane starts over.
            self.forget_queued(key);
        }
        self.divert(key);
        self.touch(key);
    }
}
