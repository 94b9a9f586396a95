//! What handlers work with: the use cases, and who is calling in which tenant.

use tonic::Extensions;

use super::authorize::Authorized;
use crate::{
    domain::{
        error::{Error, Faults, Reason, Result},
        id::TenantId,
    },
    service::{Services, auth::Caller, scope::Scope},
};

/// What handles the calls of all mounted services: each RPC is a method of this.
#[derive(Clone)]
pub struct Handlers {
    /// The use cases.
    pub services: Services,
}

impl Handlers {
    /// The scope of a request that names this tenant, or none.
    pub(super) async fn scope(&self, extensions: &Extensions, tenant_id: &str) -> Result<Scope> {
        let Authorized { caller, permission } = authorized(extensions)?;
        self.services.scopes.enter(caller, tenant_id, *permission).await
    }
}

/// Who was let in.
pub(super) fn caller(extensions: &Extensions) -> Result<&Caller> {
    authorized(extensions).map(|authorized| &authorized.caller)
}

fn authorized(extensions: &Extensions) -> Result<&Authorized> {
    let missing = || Error::new(Reason::Internal, "a handler was reached without authorization");
    extensions.get().ok_or_else(missing)
}

/// Notes a resource whose own tenant is not the request's.
pub(super) fn check_tenant(faults: &mut Faults, field: &str, tenant_id: &str, tenant: &TenantId) {
    if !tenant_id.is_empty() && tenant_id != tenant.as_str() {
        faults.invalid(field, "is not the tenant of the request; leave it empty");
    }
}

/// The mandatory message of a request.
pub(super) fn required<T>(message: Option<T>, field: &str) -> Result<T> {
    message.ok_or_else(|| Error::field(field, Reason::FieldRequired, "is required"))
}

/// Notes a request that does not say which resource it means.
pub(super) fn note_named(faults: &mut Faults, field: &str, id: &str) {
    if id.is_empty() {
        faults.required(field);
    }
}

/// Refuses a request that does not say which resource it means, where that is all
/// that it can get wrong.
pub(super) fn check_named(field: &str, id: &str) -> Result<()> {
    let mut faults = Faults::default();
    note_named(&mut faults, field, id);
    faults.check()
}
