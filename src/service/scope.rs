//! On whose behalf a call is made, and in which tenant.

use std::sync::Arc;

use super::tenants::{TenantConfig, Tenants};
use crate::domain::{
    actor::Actor,
    error::{Error, Reason, Result},
    id::{TenantId, TenantKey},
};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant meant by requests that name none.
    pub home: TenantId,
    /// Who it is; recorded in attributions.
    pub actor: Actor,
}

/// A caller at work in one tenant. Every use case takes one.
#[derive(Clone)]
pub struct Scope {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its key.
    pub tenant_key: TenantKey,
    /// Who is at work.
    pub actor: Actor,
    pub(super) config: Arc<TenantConfig>,
}

/// Turns callers into scopes.
#[derive(Clone)]
pub struct Scopes {
    tenants: Arc<Tenants>,
}

impl Scopes {
    pub(super) fn new(tenants: Arc<Tenants>) -> Self {
        Self { tenants }
    }

    /// Enters the tenant that a request names, or the caller's own where it is empty.
    ///
    /// # Errors
    ///
    /// `FIELD_INVALID` where it is no tenant id, `STORE_UNAVAILABLE`.
    pub async fn enter(&self, caller: &Caller, requested: &str) -> Result<Scope> {
        let tenant_id = match requested {
            "" => caller.home.clone(),
            named => named
                .parse()
                .map_err(|fault| Error::field("tenant_id", Reason::FieldInvalid, fault))?,
        };
        let config = self.tenants.enter(&tenant_id).await?;
        Ok(Scope { tenant_id, tenant_key: config.key, actor: caller.actor.clone(), config })
    }
}
