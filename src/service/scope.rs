//! On whose behalf a call is made, and in which tenant.

use std::{sync::Arc, time::Duration};

use super::{
    auth::Caller,
    quotas::Quotas,
    tenants::{TenantConfig, Tenants},
};
use crate::domain::{
    actor::Actor,
    error::Result,
    id::{TenantId, TenantKey},
    permission::{Permission, Permissions},
};

/// A caller at work in one tenant. Every use case takes one.
#[derive(Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its key.
    pub tenant_key: TenantKey,
    /// Who is at work.
    pub actor: Actor,
    pub(super) permissions: Permissions,
    /// Whether names that nobody registered become event types when they are used.
    pub(super) registers_names: bool,
    default_quotas: Quotas,
    pub(super) config: Arc<TenantConfig>,
}

impl Scope {
    /// What the tenant may take.
    pub(super) fn quotas(&self) -> Quotas {
        self.default_quotas.of(&self.config.settings())
    }

    /// How long the tenant's log is kept, where that is not the server's default.
    pub(super) fn retention(&self) -> Option<Duration> {
        self.config.settings().retention
    }

    /// The tenant's time zone, by its IANA name.
    pub fn time_zone(&self) -> String {
        self.config.settings().time_zone
    }

    /// The same, but event names of webhooks become event types when they are first used, as
    /// in a dialect that has no way to register them.
    #[must_use]
    pub fn registering_names(mut self) -> Self {
        self.registers_names = true;
        self
    }

    /// Refuses who may not do something that a part of a request asks for.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        self.permissions.require(permission)
    }
}

/// Turns callers into scopes.
#[derive(Clone)]
pub struct Scopes {
    tenants: Arc<Tenants>,
    open: bool,
    quotas: Quotas,
}

impl Scopes {
    /// Where `open`, tenants and event types come into being on first use.
    pub(super) fn new(tenants: Arc<Tenants>, open: bool, quotas: Quotas) -> Self {
        Self { tenants, open, quotas }
    }

    /// Enters the tenant that a request names, or the caller's own where it is empty, to do
    /// what needs `permission`.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED` where the caller may not do it, or may not enter the tenant, be there
    /// such a tenant or not; `FIELD_INVALID` where it is no tenant id, `FIELD_REQUIRED`
    /// where none is named and the caller is at home in all, `TENANT_NOT_FOUND`,
    /// `STORE_UNAVAILABLE`.
    pub async fn enter(
        &self,
        caller: &Caller,
        requested: &str,
        permission: Permission,
    ) -> Result<Scope> {
        caller.require(permission)?;
        let tenant_id = caller.tenant(requested)?;
        let config = self.tenants.enter(&tenant_id, self.open).await?;
        Ok(Scope {
            tenant_id,
            tenant_key: config.key,
            actor: caller.actor.clone(),
            permissions: caller.permissions,
            registers_names: self.open,
            default_quotas: self.quotas,
            config,
        })
    }
}
