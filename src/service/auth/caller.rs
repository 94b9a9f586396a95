//! An authenticated caller, and what it may do.

use crate::domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyId, Realm},
    claims::Identity,
    error::{Error, Reason, Result},
    id::TenantId,
    permission::{Permission, Permissions},
    time::Timestamp,
};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant meant by requests that name none.
    pub(crate) home: Option<TenantId>,
    /// The tenants that it may enter.
    pub(crate) realm: Realm,
    /// What it may do there.
    pub(crate) permissions: Permissions,
    /// Who it is; recorded in attributions.
    pub(crate) actor: Actor,
    /// The key that it proved to have; one of an identity provider has none.
    pub(super) key: Option<ApiKeyId>,
    /// When its credentials end.
    pub(super) end: Option<Timestamp>,
}

impl Caller {
    /// The administrator of all tenants that everybody is in development.
    pub fn developer(home: TenantId) -> Self {
        Self {
            home: Some(home),
            realm: Realm::Everywhere,
            permissions: Permissions::all(),
            actor: Actor::developer(),
            key: None,
            end: None,
        }
    }

    pub(super) fn of_key(key: &ApiKey, end: Option<Timestamp>) -> Self {
        Self {
            home: home(&key.realm),
            realm: key.realm.clone(),
            permissions: key.permissions,
            actor: key.actor.clone(),
            key: Some(key.id),
            end,
        }
    }

    pub(super) fn of_identity(identity: &Identity, end: Option<Timestamp>) -> Self {
        Self {
            home: home(&identity.realm),
            realm: identity.realm.clone(),
            permissions: identity.permissions,
            actor: identity.actor.clone(),
            key: None,
            end,
        }
    }

    /// Whether what it may do can end while it is at work.
    pub fn is_revocable(&self) -> bool {
        self.key.is_some() || self.end.is_some()
    }

    /// Refuses a caller that may not do something.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        self.permissions.require(permission)
    }

    /// The tenant that a request names, or the caller's own where it names none.
    ///
    /// # Errors
    ///
    /// `FIELD_INVALID` where it is no tenant id, `FIELD_REQUIRED` where the caller has no
    /// tenant of its own, `PERMISSION_DENIED` where it may not enter it, be there such a
    /// tenant or not.
    pub(crate) fn tenant(&self, requested: &str) -> Result<TenantId> {
        if requested.is_empty() {
            return self.home.clone().ok_or_else(|| {
                let message = "is required: the credentials cover all tenants";
                Error::field("tenant_id", Reason::FieldRequired, message)
            });
        }
        let named = requested
            .parse()
            .map_err(|fault| Error::field("tenant_id", Reason::FieldInvalid, fault))?;
        if self.realm.covers(&named) { Ok(named) } else { Err(other_tenant()) }
    }

    /// The tenant, or all of them, whose keys a request is about.
    pub(crate) fn realm(&self, requested: &str) -> Result<Realm> {
        if requested == "*" {
            return match self.realm {
                Realm::Everywhere => Ok(Realm::Everywhere),
                Realm::Tenant(_) => Err(other_tenant()),
            };
        }
        self.tenant(requested).map(Realm::Tenant)
    }
}

/// The tenant that one is at home in who may enter these.
fn home(realm: &Realm) -> Option<TenantId> {
    match realm {
        Realm::Tenant(tenant) => Some(tenant.clone()),
        Realm::Everywhere => None,
    }
}

fn other_tenant() -> Error {
    Error::new(Reason::PermissionDenied, "the credentials do not cover this tenant")
}
