//! Webhooks: changing their definitions.

use std::{collections::HashSet, sync::Arc};

use super::{
    destinations, event_types,
    scope::Scope,
    webhook_notices::{ALERT_URL, new_alerts},
    webhook_secrets,
    webhooks::{CHANGE_TRIES, URL, Webhooks, Written, check, check_etag, complete, contended},
};
use crate::domain::{
    error::{Faults, Reason, Result},
    id::WebhookKey,
    unique_name::unique_name,
    webhook::{Webhook, WebhookSpec},
};

/// Computes the new definition from the current one and notes faults. May be
/// called more than once.
pub type Change = Box<dyn Fn(&WebhookSpec, &mut Faults) -> WebhookSpec + Send + Sync>;

/// A change of a webhook.
pub struct UpdateWebhook {
    /// Which webhook.
    pub webhook_id: String,
    /// Only this version; any when empty.
    pub etag: String,
    /// The change.
    pub change: Change,
    /// Check only.
    pub validate_only: bool,
}

/// What is to take the place of a definition.
pub struct Replacement {
    /// The new definition.
    pub spec: WebhookSpec,
    /// Faults that were found while it was made.
    pub faults: Faults,
    /// Ends a suspension, whatever its cause.
    pub resume: bool,
    /// Check only.
    pub validate_only: bool,
}

impl Webhooks {
    /// Changes a webhook.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, `ETAG_MISMATCH`, all faults of the new definition,
    /// `WEBHOOK_NAME_TAKEN`, `STORE_UNAVAILABLE`.
    pub async fn update(&self, scope: &Scope, request: UpdateWebhook) -> Result<Written> {
        for _ in 0..CHANGE_TRIES {
            let current = self.get(scope, &request.webhook_id).await?;
            check_etag(&current, &request.etag)?;
            let mut faults = Faults::default();
            let spec = (request.change)(&current.spec, &mut faults);
            let validate_only = request.validate_only;
            let replacement = Replacement { spec, faults, resume: false, validate_only };
            match self.replace(scope, &current, replacement).await {
                Err(error) if error.reason == Reason::EtagMismatch && request.etag.is_empty() => {}
                written => return written,
            }
        }
        Err(contended())
    }

    /// Replaces the definition of a webhook that nobody has changed since `current`. A name
    /// that is to be made (empty, beside a display name) is made.
    ///
    /// # Errors
    ///
    /// `ETAG_MISMATCH` where somebody has, all faults of the new definition,
    /// `WEBHOOK_NAME_TAKEN`, `STORE_UNAVAILABLE`.
    pub async fn replace(
        &self,
        scope: &Scope,
        current: &Arc<Webhook>,
        replacement: Replacement,
    ) -> Result<Written> {
        let Replacement { mut spec, mut faults, resume, validate_only } = replacement;
        let now = self.clock.now();
        if spec.name != current.spec.name && spec.display_name == current.spec.display_name {
            // What the old name was made of says nothing of the new one.
            spec.display_name = None;
        }
        self.complete_name(scope, &mut spec, Some(current.key)).await?;
        let target = check(&spec, now, self.mail, &mut faults);
        let added = event_types::named(&spec.event_names)
            .filter(|(_, name)| !current.spec.event_names.contains(name));
        event_types::refuse_unknown(&self.store, scope, added, &mut faults).await?;
        // One that leads elsewhere by now can still be stopped or given another name.
        let target = target.filter(|_| spec.destination.url != current.spec.destination.url);
        destinations::check(&self.sender, URL, target.as_ref(), &mut faults).await;
        let target = new_alerts(&spec, &current.spec);
        destinations::check(&self.sender, ALERT_URL, target.as_ref(), &mut faults).await;
        faults.check()?;
        let mut next = Webhook { spec, ..(**current).clone() };
        if resume {
            next.lift_suspension(now);
        }
        if next == **current {
            return Ok(Written::unchanged(Arc::clone(current)));
        }
        next.attribution = current.attribution.changed(now, scope.actor.clone());
        self.refuse_taken_name(scope, &next.spec, Some(current.key)).await?;
        if validate_only {
            return Ok(Written::unchanged(Arc::new(next)));
        }
        complete(&mut next.spec, now);
        let added = event_types::exact(&next.spec.event_names)
            .filter(|name| !current.spec.event_names.contains(name));
        event_types::register_missing(&self.store, scope, added, now).await?;
        let changed = self.store.update_webhook(current, next).await?;
        let webhook = self.tell(scope, changed).await?;
        let new_secrets = webhook_secrets::added(&current.spec, &webhook.spec);
        Ok(Written { webhook, new_secrets, warnings: Vec::new() })
    }

    /// Makes the name of a definition that only has a display name: the same, where it is
    /// free. `of` is the webhook whose definition it is, where there is one.
    pub(super) async fn complete_name(
        &self,
        scope: &Scope,
        spec: &mut WebhookSpec,
        of: Option<WebhookKey>,
    ) -> Result<()> {
        let Some(wanted) = &spec.display_name else { return Ok(()) };
        if !spec.name.is_empty() || wanted.is_empty() {
            return Ok(());
        }
        scope.config.refresh_if_stale(&self.store).await?;
        let others = scope.config.webhooks();
        let others = others.iter().filter(|webhook| Some(webhook.key) != of);
        let taken: HashSet<_> = others.map(|webhook| webhook.spec.name.as_str()).collect();
        spec.name = unique_name(wanted, |name| taken.contains(name));
        if spec.name == *wanted {
            spec.display_name = None;
        }
        Ok(())
    }
}
