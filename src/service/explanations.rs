//! Explaining: for each webhook of the tenant, why an event goes to it, or does not.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    events::{Events, Incoming},
    scope::Scope,
};
use crate::{
    domain::{
        error::Result,
        event::Event,
        event_filter::read_payload,
        explanation::{Explanation, Subject, explain, explain_deleted},
        id::{EventId, EventLogId, WebhookId, WebhookKey},
        webhook::Webhook,
    },
    store::EventTarget,
};

/// Webhooks explained in one go; then others get their turn on the thread.
const CHUNK: usize = 64;

/// The verdict on one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookMatch {
    /// Which webhook.
    pub webhook_id: WebhookId,
    /// Its name.
    pub webhook_name: String,
    /// Whether, and why.
    pub explanation: Explanation,
    /// The delivery record, where there is one.
    pub event_log_id: Option<EventLogId>,
}

impl Events {
    /// Explains a published event: what became of it at each webhook, by name; with
    /// webhooks that it went to and that were deleted since.
    ///
    /// # Errors
    ///
    /// `EVENT_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn explain_published(
        &self,
        scope: &Scope,
        event_id: &str,
    ) -> Result<Vec<WebhookMatch>> {
        let (key, event) = self.find(scope, event_id).await?;
        let targets = self.store.event_targets(key).await?;
        let targets = targets.into_iter().map(|target| (target.webhook_key, target)).collect();
        self.explain_all(scope, &event, Some(targets)).await
    }

    /// Explains an event that need not exist, as if it were published now. Nothing is
    /// stored, and no event type comes into being.
    ///
    /// # Errors
    ///
    /// The faults for which publishing would refuse the event; `STORE_UNAVAILABLE`.
    pub async fn explain_hypothetical(
        &self,
        scope: &Scope,
        event: Incoming,
    ) -> Result<Vec<WebhookMatch>> {
        let checked = self.check(scope, "event", event, self.clock.now())?;
        self.explain_all(scope, &checked.event, None).await
    }

    /// `targets` are the webhooks that the event goes to, where it was published.
    async fn explain_all(
        &self,
        scope: &Scope,
        event: &Event,
        mut targets: Option<HashMap<WebhookKey, EventTarget>>,
    ) -> Result<Vec<WebhookMatch>> {
        scope.config.refresh_if_stale(&self.store).await?;
        let webhooks = scope.config.webhooks();
        let filtered = webhooks.iter().any(|webhook| !webhook.spec.event_filters.is_empty());
        let payload = filtered.then(|| read_payload(&event.payload)).flatten();
        let mut matches = Vec::with_capacity(webhooks.len());
        for chunk in webhooks.chunks(CHUNK) {
            for webhook in chunk {
                let subject = match &mut targets {
                    None => Subject::Hypothetical,
                    Some(targets) => {
                        let target = targets.remove(&webhook.key);
                        Subject::Published(event.ingest_time, target.map(|target| target.status))
                    }
                };
                matches.push(of_webhook(webhook, event, payload.as_ref(), subject));
            }
            tokio::task::yield_now().await;
        }
        // What is left over went to webhooks that are not there any more.
        let gone = targets.into_iter().flatten().map(|(_, target)| WebhookMatch {
            webhook_id: target.webhook_id,
            webhook_name: target.webhook_name,
            explanation: explain_deleted(),
            event_log_id: Some(record_of(event.event_id, target.webhook_id)),
        });
        matches.extend(gone);
        matches.sort_unstable_by(|a, b| {
            (&a.webhook_name, a.webhook_id).cmp(&(&b.webhook_name, b.webhook_id))
        });
        Ok(matches)
    }
}

fn of_webhook(
    webhook: &Arc<Webhook>,
    event: &Event,
    payload: Option<&Value>,
    subject: Subject,
) -> WebhookMatch {
    let delivered = matches!(subject, Subject::Published(_, Some(_)));
    WebhookMatch {
        webhook_id: webhook.webhook_id,
        webhook_name: webhook.spec.name.clone(),
        explanation: explain(webhook, &event.event_name, payload, subject),
        event_log_id: delivered.then(|| record_of(event.event_id, webhook.webhook_id)),
    }
}

fn record_of(event_id: EventId, webhook_id: WebhookId) -> EventLogId {
    EventLogId { event_id, webhook_id }
}
