//! Where a sealed value belongs.

use crate::domain::id::{TenantKey, WebhookId};

/// The place of a sealed value, which is authenticated with it: what was copied to
/// another row or column does not open there.
pub(in crate::store) struct Place(String);

impl Place {
    /// A webhook's definition.
    pub(in crate::store) fn spec(tenant: TenantKey, webhook_id: WebhookId) -> Self {
        Self::of("webhooks.spec", tenant, &[&webhook_id.to_string()])
    }

    /// The answer to an idempotency key.
    pub(in crate::store) fn answer(tenant: TenantKey, operation: &str, key: &str) -> Self {
        Self::of("idempotency_keys.answer", tenant, &[operation, key])
    }

    /// The digest of the request that an idempotency key came with.
    pub(in crate::store) fn digest(tenant: TenantKey, operation: &str, key: &str) -> Self {
        Self::of("idempotency_keys.request_digest", tenant, &[operation, key])
    }

    /// The key that session tokens are signed with.
    pub(in crate::store) fn session_key() -> Self {
        Self("database_identity.session_key".to_owned())
    }

    /// The value that a key is tried on.
    pub(super) fn canary(key_id: &str) -> Self {
        Self(format!("secret_keys.canary\0{key_id}"))
    }

    /// No part has U+0000 in it, so no two places are the same text.
    fn of(column: &str, tenant: TenantKey, row: &[&str]) -> Self {
        Self(format!("{column}\0{}\0{}", tenant.0, row.join("\0")))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// For messages: the column.
    pub(super) fn column(&self) -> &str {
        self.0.split('\0').next().unwrap_or_default()
    }
}
