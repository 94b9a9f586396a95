//! API keys: making, listing and revoking them.

use std::sync::Arc;

use super::{
    auth::{Auth, Caller},
    paging::page_size,
    tenants::Tenants,
};
use crate::{
    domain::{
        actor::Actor,
        api_key::{ApiKey, ApiKeyId, Realm},
        credential::key_token,
        error::{Error, Faults, Reason, Result},
        permission::{Permission, Permissions},
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::Clock,
    store::{ApiKeyCursor, Store},
};

/// The use cases of API keys.
#[derive(Clone)]
pub struct ApiKeys {
    store: Store,
    auth: Auth,
    tenants: Arc<Tenants>,
    open: bool,
    clock: Arc<dyn Clock>,
}

/// A key to be made.
pub struct CreateApiKey {
    /// The tenant, `*` for all; the caller's own when empty.
    pub tenant_id: String,
    /// Who calls with it; the key itself where it says nothing.
    pub actor: Actor,
    /// What it may do.
    pub permissions: Permissions,
    /// When it stops working.
    pub expire_time: Option<Timestamp>,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A page of keys.
pub struct ApiKeyPage {
    /// Oldest first.
    pub api_keys: Vec<ApiKey>,
    /// Empty on the last page.
    pub next_page_token: String,
}

impl ApiKeys {
    pub(super) fn new(
        store: Store,
        auth: Auth,
        tenants: Arc<Tenants>,
        open: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, auth, tenants, open, clock }
    }

    /// Makes a key, and its token, which nobody can ask for again.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` where the caller is no administrator, or the key would do more or
    /// elsewhere than the caller may itself; `TENANT_NOT_FOUND`, all faults of the key,
    /// `QUOTA_EXCEEDED` where the tenant has too many, `STORE_UNAVAILABLE`.
    pub async fn create(&self, caller: &Caller, request: CreateApiKey) -> Result<(ApiKey, String)> {
        let CreateApiKey { tenant_id, actor, permissions, expire_time, mut faults } = request;
        let realm = self.realm(caller, &tenant_id).await?;
        let now = self.clock.now();
        let key = ApiKey {
            id: ApiKeyId::new(rand::random()),
            realm,
            actor,
            permissions,
            create_time: now,
            expire_time,
            revoke_time: None,
        };
        let key = key.named();
        key.check(now, &mut faults);
        faults.check()?;
        let beyond = caller.permissions.missing_of(permissions);
        if !beyond.is_empty() {
            let message = format!("the credentials do not have what the key would have: {beyond}");
            return Err(Error::new(Reason::PermissionDenied, message));
        }
        let (token, hash) = key_token(rand::random());
        self.store.create_api_key(&key, hash).await?;
        tracing::info!(key = %key.id, tenant = %key.realm, by = caller.actor.code, "key made");
        Ok((key, token))
    }

    /// Lists the keys of a tenant; with `*` those that cover all tenants.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, `TENANT_NOT_FOUND`, faults of the query, `PAGE_TOKEN_INVALID`,
    /// `STORE_UNAVAILABLE`.
    pub async fn list(
        &self,
        caller: &Caller,
        tenant_id: &str,
        size: i32,
        token: &str,
    ) -> Result<ApiKeyPage> {
        let realm = self.realm(caller, tenant_id).await?;
        let mut faults = Faults::default();
        let size = page_size(size, &mut faults);
        faults.check()?;
        let fingerprint = Fingerprint::of(&("api keys", &realm));
        let after: ApiKeyCursor = read_page_token(token, fingerprint)?.unwrap_or_default();
        let mut page = self.store.api_keys(Some(&realm), after, size + 1).await?;
        let more = page.len() > size;
        page.truncate(size);
        let last = page.last().filter(|_| more);
        let next_page_token =
            last.map_or_else(String::new, |(cursor, _)| page_token(fingerprint, cursor));
        Ok(ApiKeyPage { api_keys: page.into_iter().map(|(_, key)| key).collect(), next_page_token })
    }

    /// Revokes a key: here at once, on other nodes within two seconds. One that was
    /// revoked before stays so.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, `TENANT_NOT_FOUND`, `API_KEY_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn revoke(&self, caller: &Caller, tenant_id: &str, id: &str) -> Result<()> {
        let realm = self.realm(caller, tenant_id).await?;
        if id.is_empty() {
            return Err(Error::field("api_key_id", Reason::FieldRequired, "is required"));
        }
        let missing = || Error::new(Reason::ApiKeyNotFound, "no such key");
        let id = id.parse().map_err(|_| missing())?;
        let revoked = self.store.revoke_api_key(id, Some(&realm), self.clock.now()).await?;
        self.auth.revoked(&revoked);
        tracing::info!(key = %id, tenant = %realm, by = caller.actor.code, "key revoked");
        Ok(())
    }

    async fn realm(&self, caller: &Caller, tenant_id: &str) -> Result<Realm> {
        caller.require(Permission::Admin)?;
        let realm = caller.realm(tenant_id)?;
        if let Realm::Tenant(tenant) = &realm {
            self.tenants.enter(tenant, self.open).await?;
        }
        Ok(realm)
    }
}
