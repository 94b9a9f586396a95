//! Suspensions that the engine makes and ends: after failures, after 410, by a probe
//! that succeeds, or when their time is over.

use std::{sync::Arc, time::Duration};

use super::{clock::Clock, dispatcher::Dispatcher, input::Input};
use crate::{
    domain::{
        actor::Actor,
        delivery::DivertReason,
        error::{Reason, Result},
        failure_handling::FailureRow,
        id::WebhookKey,
        time::Timestamp,
        webhook::{Suspension, SuspensionCause, Webhook},
    },
    store::Store,
};

/// Pause before a change is tried again after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What an attempt says of its webhook.
pub(super) struct Judged {
    pub(super) success: bool,
    pub(super) start_time: Timestamp,
    /// The destination answered that it does not exist any more.
    pub(super) gone: bool,
    /// Failures in a row; absent where a state event failed, which suspends nothing.
    pub(super) row: Option<FailureRow>,
    /// Why the delivery was given up, where it was.
    pub(super) given_up: Option<DivertReason>,
}

impl Dispatcher {
    /// Decides after an attempt whether its webhook is suspended, or resumed.
    pub(super) fn judge(&mut self, key: WebhookKey, webhook: &Webhook, judged: Judged) {
        let handling = webhook.spec.failure_handling.as_ref();
        if let Some(suspension) = &webhook.suspension {
            // What was in flight when it was suspended is no probe.
            let probe = judged.start_time > suspension.suspend_time;
            if probe && suspension.cause != SuspensionCause::Operator {
                self.probed(key, judged.success);
            }
            return;
        }
        let Some(row) = &judged.row else { return };
        if judged.gone {
            let message = "the destination answered 410 Gone".to_owned();
            self.suspend(key, SuspensionCause::Gone, message);
        } else if !judged.success
            && let Some(why) = handling.and_then(|h| h.verdict(row, judged.given_up))
        {
            self.suspend(key, SuspensionCause::Failures, why);
        }
    }

    /// Suspends a webhook. What waits stays, and what comes waits.
    fn suspend(&mut self, key: WebhookKey, cause: SuspensionCause, message: String) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.suspending {
            return;
        }
        // Closed at once; what is decided is read back with the webhook's next version.
        lane.suspending = true;
        self.change(key, move |webhook| {
            if webhook.suspension.is_none() {
                let message = message.clone();
                let resume_time = probe_time(webhook, now);
                webhook.suspension =
                    Some(Suspension { suspend_time: now, cause, message, resume_time });
            }
        });
    }

    /// The end of a probe: it lifts the suspension, or the next one is due later.
    fn probed(&mut self, key: WebhookKey, success: bool) {
        let now = self.now;
        self.change(key, move |webhook| {
            if success {
                webhook.lift_suspension(now);
                return;
            }
            let next = probe_time(webhook, now);
            if let Some(suspension) = &mut webhook.suspension {
                suspension.resume_time = next;
            }
        });
    }

    /// When the time of a suspension is over: one that an operator made ends; one that
    /// failures made lets a probe through.
    pub(super) fn resume_if_due(&mut self, key: WebhookKey, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.owned) else { return };
        let Some(config) = &lane.config else { return };
        let Some(suspension) = &config.webhook.suspension else { return };
        if suspension.resume_time.is_none_or(|due| due > now) {
            return;
        }
        if suspension.cause != SuspensionCause::Operator {
            lane.pace.probe();
            return;
        }
        self.change(key, move |webhook| {
            let due = webhook.suspension.as_ref().and_then(|s| s.resume_time);
            if due.is_some_and(|due| due <= now) {
                webhook.lift_suspension(now);
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
}

/// When a suspended webhook is probed next, where it is.
fn probe_time(webhook: &Webhook, now: Timestamp) -> Option<Timestamp> {
    let handling = webhook.spec.failure_handling.as_ref();
    handling.and_then(|handling| handling.resume_after).map(|after| now.plus(after))
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
