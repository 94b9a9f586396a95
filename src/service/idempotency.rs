//! Calls that may be repeated safely (AIP-155).

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::scope::Scope;
use crate::{
    domain::{
        error::{Error, Faults, Reason, Result},
        time::Timestamp,
    },
    store::{IdempotencyKey, Store},
};

/// A call with its key.
pub(super) struct Call {
    operation: &'static str,
    key: String,
    request_digest: String,
}

impl Call {
    /// Notes a fault where the key is neither empty nor a UUID. `request` is all
    /// that has to be the same in a repeated call.
    pub(super) fn new(
        operation: &'static str,
        key: &str,
        request: &impl Serialize,
        faults: &mut Faults,
    ) -> Option<Self> {
        if key.is_empty() {
            return None;
        }
        let Ok(uuid) = Uuid::try_parse(key) else {
            faults.invalid("idempotency_key", "must be a UUID");
            return None;
        };
        let digest = Sha256::digest(serde_json::to_vec(request).unwrap_or_default());
        let request_digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { operation, key: uuid.to_string(), request_digest })
    }

    /// What the answer is stored under.
    pub(super) fn stored(&self) -> IdempotencyKey<'_> {
        IdempotencyKey {
            operation: self.operation,
            key: &self.key,
            request_digest: &self.request_digest,
        }
    }

    /// The answer of an earlier call of this key.
    ///
    /// # Errors
    ///
    /// `IDEMPOTENCY_KEY_REUSED` where that call asked for something else.
    pub(super) async fn answered<T: DeserializeOwned>(
        &self,
        store: &Store,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Option<T>> {
        let earlier = store.answered(scope.tenant_key, &self.stored(), now).await?;
        match earlier {
            None => Ok(None),
            Some(earlier) if earlier.request_digest == self.request_digest => {
                Ok(Some(earlier.answer))
            }
            Some(_) => {
                let message = "the idempotency key was used with another request";
                Err(Error::new(Reason::IdempotencyKeyReused, message))
            }
        }
    }
}
