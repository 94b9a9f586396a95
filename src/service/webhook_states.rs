//! Webhooks: holding, letting go, deleting.

use std::{sync::Arc, time::Duration};

use super::{
    scope::Scope,
    webhooks::{CHANGE_TRIES, Webhooks, check_etag, contended},
};
use crate::domain::{
    diverted::{DivertedSelector, Job},
    error::{Faults, Reason, Result},
    limits,
    permission::Permission,
    text,
    time::Timestamp,
    webhook::{Suspension, SuspensionCause, Webhook},
};

/// A webhook before and after a change.
pub(super) struct Changed {
    pub(super) before: Arc<Webhook>,
    pub(super) after: Arc<Webhook>,
}

impl Webhooks {
    /// Deletes a webhook and gives it as it was; what waits is diverted in the background.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND` unless `allow_missing`, `ETAG_MISMATCH`, `STORE_UNAVAILABLE`.
    pub async fn delete(
        &self,
        scope: &Scope,
        webhook_id: &str,
        etag: &str,
        allow_missing: bool,
    ) -> Result<Option<Arc<Webhook>>> {
        let deleted = self
            .change(scope, webhook_id, etag, |webhook, now| {
                webhook.delete_time = Some(now);
                Ok(())
            })
            .await;
        match deleted {
            Err(error) if error.reason == Reason::WebhookNotFound && allow_missing => Ok(None),
            deleted => deleted.map(|deleted| Some(deleted.before)),
        }
    }

    /// Holds deliveries until [`Self::unsuspend`], or for `duration`. `faults` are
    /// those that the transport found while reading the request.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, faults of message and duration, `STORE_UNAVAILABLE`.
    pub async fn suspend(
        &self,
        scope: &Scope,
        webhook_id: &str,
        message: &str,
        duration: Option<Duration>,
        mut faults: Faults,
    ) -> Result<Arc<Webhook>> {
        text::check(&mut faults, "message", message, limits::DESCRIPTION_CHARS);
        if duration.is_some_and(|d| d.is_zero() || d > limits::LONGEST_SPAN) {
            faults.invalid("duration", "must be greater than zero and at most 365 days");
        }
        faults.check()?;
        self.change(scope, webhook_id, "", |webhook, now| {
            let since = webhook.suspension.as_ref().map_or(now, |s| s.suspend_time);
            webhook.suspension = Some(Suspension {
                suspend_time: since,
                cause: SuspensionCause::Operator,
                message: message.to_owned(),
                resume_time: duration.map(|duration| now.plus(duration)),
            });
            Ok(())
        })
        .await
        .map(|changed| changed.after)
    }

    /// Lifts a suspension, whatever its cause. With `replay`, a job is made as well that
    /// replays what was diverted since it began; where none is in force, there is
    /// nothing to do.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, `OVERLOADED` where too many jobs run, `STORE_UNAVAILABLE`.
    pub async fn unsuspend(
        &self,
        scope: &Scope,
        webhook_id: &str,
        replay: bool,
    ) -> Result<(Arc<Webhook>, Option<Job>)> {
        if replay {
            scope.require(Permission::EventLogsWrite)?;
        }
        for _ in 0..CHANGE_TRIES {
            let current = self.get(scope, webhook_id).await?;
            let Some(suspension) = &current.suspension else { return Ok((current, None)) };
            let now = self.clock.now();
            let mut next = (*current).clone();
            next.attribution = current.attribution.changed(now, scope.actor.clone());
            next.lift_suspension(now);
            let lifted = if replay {
                let selector = DivertedSelector {
                    webhook_ids: vec![current.webhook_id],
                    start_time: Some(suspension.suspend_time),
                    ..DivertedSelector::default()
                };
                let job = self.diverted_events.replay_job(scope, &selector, now).await?;
                self.store.update_webhook_with_job(&current, next, job).await
            } else {
                self.store.update_webhook(&current, next).await.map(|webhook| (webhook, None))
            };
            match lifted {
                Ok((webhook, job)) => {
                    let webhook = self.tell(scope, webhook).await?;
                    self.engine.job_made();
                    return Ok((webhook, job));
                }
                Err(error) if error.reason == Reason::EtagMismatch => {}
                Err(error) => return Err(error),
            }
        }
        Err(contended())
    }

    /// Changes a webhook that nobody else changes at the same time, or again.
    pub(super) async fn change(
        &self,
        scope: &Scope,
        webhook_id: &str,
        etag: &str,
        change: impl Fn(&mut Webhook, Timestamp) -> Result<()>,
    ) -> Result<Changed> {
        for _ in 0..CHANGE_TRIES {
            let current = self.get(scope, webhook_id).await?;
            check_etag(&current, etag)?;
            let now = self.clock.now();
            let mut next = (*current).clone();
            next.attribution = current.attribution.changed(now, scope.actor.clone());
            change(&mut next, now)?;
            match self.store.update_webhook(&current, next).await {
                Ok(changed) => {
                    let after = self.tell(scope, changed).await?;
                    return Ok(Changed { before: current, after });
                }
                Err(error) if error.reason == Reason::EtagMismatch && etag.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Err(contended())
    }
}
