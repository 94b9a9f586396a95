//! Tenants, as administrators see and change them.

use std::sync::Arc;

use super::{auth::Caller, paging::page_size, tenants::Tenants};
use crate::{
    domain::{
        api_key::Realm,
        error::{Error, Faults, Reason, Result},
        permission::Permission,
        tenant::{Tenant, TenantSettings},
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::Clock,
    store::Store,
};

/// How often a change is tried again when others change the same tenant.
const CHANGE_TRIES: usize = 8;

/// The use cases of tenants.
#[derive(Clone)]
pub struct TenantAdmin {
    store: Store,
    tenants: Arc<Tenants>,
    open: bool,
    clock: Arc<dyn Clock>,
}

/// Computes the new settings from the current ones and notes faults. May be called more
/// than once.
pub type Change = Box<dyn Fn(&TenantSettings, &mut Faults) -> TenantSettings + Send + Sync>;

/// A change of a tenant.
pub struct UpdateTenant {
    /// Which one; the caller's own when empty.
    pub tenant_id: String,
    /// Only this version; any when empty.
    pub etag: String,
    /// The change.
    pub change: Change,
    /// Make the tenant where it does not exist.
    pub allow_missing: bool,
}

/// A page of tenants.
pub struct TenantPage {
    /// By id.
    pub tenants: Vec<Tenant>,
    /// Empty on the last page.
    pub next_page_token: String,
}

impl TenantAdmin {
    pub(super) fn new(
        store: Store,
        tenants: Arc<Tenants>,
        open: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, tenants, open, clock }
    }

    /// Finds a tenant.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` where it is not the caller's, be there such a tenant or not;
    /// `TENANT_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(&self, caller: &Caller, tenant_id: &str) -> Result<Tenant> {
        caller.require(Permission::WebhooksRead)?;
        let id = caller.tenant(tenant_id)?;
        self.tenants.enter(&id, self.open).await?;
        self.store.tenant_settings(&id).await?.ok_or_else(missing)
    }

    /// Lists all tenants, by id.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` where the caller is not at home in all, faults of the query,
    /// `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, caller: &Caller, size: i32, token: &str) -> Result<TenantPage> {
        caller.require(Permission::WebhooksRead)?;
        if caller.realm != Realm::Everywhere {
            let message = "only credentials that cover all tenants may list them";
            return Err(Error::new(Reason::PermissionDenied, message));
        }
        let mut faults = Faults::default();
        let size = page_size(size, &mut faults);
        faults.check()?;
        let fingerprint = Fingerprint::of(&"tenants");
        let after: String = read_page_token(token, fingerprint)?.unwrap_or_default();
        let mut tenants = self.store.tenants_after(&after, size + 1).await?;
        let more = tenants.len() > size;
        tenants.truncate(size);
        let last = tenants.last().filter(|_| more);
        let next_page_token =
            last.map_or_else(String::new, |last| page_token(fingerprint, &last.id.as_str()));
        Ok(TenantPage { tenants, next_page_token })
    }

    /// Changes a tenant's settings.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`, `TENANT_NOT_FOUND`, `ETAG_MISMATCH`, all faults of the new
    /// settings, `STORE_UNAVAILABLE`.
    pub async fn update(&self, caller: &Caller, request: UpdateTenant) -> Result<Tenant> {
        caller.require(Permission::Admin)?;
        let id = caller.tenant(&request.tenant_id)?;
        for _ in 0..CHANGE_TRIES {
            let current = self.store.tenant_settings(&id).await?;
            let mut faults = Faults::default();
            let before = current.as_ref().map(|tenant| tenant.settings.clone());
            let settings = (request.change)(&before.unwrap_or_default(), &mut faults);
            settings.check(&mut faults);
            if let Some(current) = &current
                && !request.etag.is_empty()
                && request.etag != current.etag()
            {
                return Err(Error::new(Reason::EtagMismatch, "the tenant has another version"));
            }
            if current.is_none() && !(request.allow_missing || self.open) {
                return Err(missing());
            }
            faults.check()?;
            let now = self.clock.now();
            let Some(current) = current else {
                // Whoever was faster is changed by the next turn.
                self.store.ensure_tenant(&id, now).await?;
                continue;
            };
            if settings == current.settings {
                return Ok(current);
            }
            let attribution = current.attribution.changed(now, caller.actor.clone());
            let version = current.version + 1;
            let next = Tenant { settings, attribution, version, ..current };
            if self.store.update_tenant(&next).await? {
                self.tenants.refresh(&id).await?;
                tracing::info!(tenant = %id, by = caller.actor.code, "tenant changed");
                return Ok(next);
            }
        }
        Err(Error::new(Reason::EtagMismatch, "the tenant is being changed by others all the time"))
    }
}

fn missing() -> Error {
    Error::new(Reason::TenantNotFound, "no such tenant")
}
