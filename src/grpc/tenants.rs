//! `TenantService`.

use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::tenant::show_tenant,
    mask::TenantPatch,
    proto::{self, tenant_service_server::TenantService},
    scoped::{Handlers, caller, required},
};
use crate::service::tenant_settings::UpdateTenant;

#[async_trait]
impl TenantService for Handlers {
    async fn get_tenant(
        &self,
        request: Request<proto::GetTenantRequest>,
    ) -> Result<Response<proto::GetTenantResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let tenants = &self.services.tenants;
        let tenant = tenants.get(caller(&extensions)?, &request.tenant_id).await?;
        Ok(Response::new(proto::GetTenantResponse { tenant: Some(show_tenant(&tenant)) }))
    }

    async fn list_tenants(
        &self,
        request: Request<proto::ListTenantsRequest>,
    ) -> Result<Response<proto::ListTenantsResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let proto::ListTenantsRequest { page_size, page_token } = request;
        let tenants = &self.services.tenants;
        let page = tenants.list(caller(&extensions)?, page_size, &page_token).await?;
        Ok(Response::new(proto::ListTenantsResponse {
            tenants: page.tenants.iter().map(show_tenant).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_tenant(
        &self,
        request: Request<proto::UpdateTenantRequest>,
    ) -> Result<Response<proto::UpdateTenantResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let proto::UpdateTenantRequest { tenant, update_mask, allow_missing } = request;
        let given = required(tenant, "tenant")?;
        let (tenant_id, etag) = (given.tenant_id.clone(), given.etag.clone());
        let patch = TenantPatch::new(given, update_mask.as_ref());
        let change = Box::new(move |current: &_, faults: &mut _| patch.apply(current, faults));
        let update = UpdateTenant { tenant_id, etag, change, allow_missing };
        let tenant = self.services.tenants.update(caller(&extensions)?, update).await?;
        Ok(Response::new(proto::UpdateTenantResponse { tenant: Some(show_tenant(&tenant)) }))
    }
}
