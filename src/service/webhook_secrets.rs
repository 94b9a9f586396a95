//! Webhooks: the secrets that sign, and who may see them.

use std::{sync::Arc, time::Duration};

use super::{scope::Scope, webhooks::Webhooks};
use crate::domain::{
    error::{Faults, Result},
    limits,
    permission::Permission,
    signing::{Signing, SigningSecret},
    webhook::{Webhook, WebhookSpec},
};

/// A webhook with a new secret.
pub struct Rotated {
    /// As it is now.
    pub webhook: Arc<Webhook>,
    /// The id of the secret that was added.
    pub secret_id: String,
}

impl Webhooks {
    /// Finds a webhook whose secret values and sensitive headers are to be shown.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` without the permission secrets-read, `WEBHOOK_NOT_FOUND`,
    /// `STORE_UNAVAILABLE`.
    pub async fn reveal(&self, scope: &Scope, webhook_id: &str) -> Result<Arc<Webhook>> {
        scope.require(Permission::SecretsRead)?;
        self.get(scope, webhook_id).await
    }

    /// Adds a secret, made here where `value` is empty; the older ones expire after
    /// `overlap`, 24 hours when absent. A webhook that does not sign begins to, with
    /// Standard Webhooks. `faults` are those that the transport found.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, faults of value and overlap, `WEBHOOK_STATE_CONFLICT` where
    /// there are too many live secrets, `STORE_UNAVAILABLE`.
    pub async fn rotate_secret(
        &self,
        scope: &Scope,
        webhook_id: &str,
        value: &str,
        overlap: Option<Duration>,
        mut faults: Faults,
    ) -> Result<Rotated> {
        let overlap = overlap.unwrap_or(limits::DEFAULT_OVERLAP);
        if overlap > limits::LONGEST_SPAN {
            faults.invalid("overlap", "must be at most 365 days");
        }
        if webhook_id.is_empty() {
            faults.clone().check()?;
        }
        let changed = self
            .change(scope, webhook_id, "", |webhook, now| {
                let signing = webhook.spec.signing.get_or_insert_with(Signing::standard);
                let mut faults = faults.clone();
                signing.check_next(value, &mut faults);
                faults.check()?;
                signing.rotate(value.to_owned(), now, overlap, &mut rand::random)?;
                // The headers of the signature may be configured by hand so far.
                let mut faults = Faults::default();
                webhook.spec.check(&mut faults);
                faults.check()
            })
            .await?;
        let secret_id = added(&changed.before.spec, &changed.after.spec).pop().unwrap_or_default();
        Ok(Rotated { webhook: changed.after, secret_id })
    }
}

/// The ids of secrets that `after` has and `before` has not.
pub(super) fn added(before: &WebhookSpec, after: &WebhookSpec) -> Vec<String> {
    let new = ids(after).filter(|id| !ids(before).any(|known| known == *id));
    new.map(str::to_owned).collect()
}

/// The ids of all secrets.
pub(super) fn ids(spec: &WebhookSpec) -> impl Iterator<Item = &str> {
    let secrets = spec.signing.iter().flat_map(|signing| &signing.secrets);
    secrets.filter(|secret| secret.is_made()).map(|secret: &SigningSecret| &*secret.secret_id)
}
