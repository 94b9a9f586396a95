//! `ApiKeyService`.

use tonic::{Request, Response, Status, async_trait};

use super::{
    convert::api_key::{read_api_key, show_api_key},
    proto::{self, api_key_service_server::ApiKeyService},
    scoped::{Handlers, caller, required},
};

#[async_trait]
impl ApiKeyService for Handlers {
    async fn create_api_key(
        &self,
        request: Request<proto::CreateApiKeyRequest>,
    ) -> Result<Response<proto::CreateApiKeyResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let create = read_api_key(required(request.api_key, "api_key")?);
        let created = self.services.api_keys.create(caller(&extensions)?, create).await?;
        let (key, token) = created;
        let api_key = Some(show_api_key(&key));
        Ok(Response::new(proto::CreateApiKeyResponse { api_key, token }))
    }

    async fn list_api_keys(
        &self,
        request: Request<proto::ListApiKeysRequest>,
    ) -> Result<Response<proto::ListApiKeysResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let proto::ListApiKeysRequest { tenant_id, page_size, page_token } = request;
        let caller = caller(&extensions)?;
        let keys = &self.services.api_keys;
        let page = keys.list(caller, &tenant_id, page_size, &page_token).await?;
        Ok(Response::new(proto::ListApiKeysResponse {
            api_keys: page.api_keys.iter().map(show_api_key).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<proto::RevokeApiKeyRequest>,
    ) -> Result<Response<proto::RevokeApiKeyResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let proto::RevokeApiKeyRequest { tenant_id, api_key_id } = request;
        self.services.api_keys.revoke(caller(&extensions)?, &tenant_id, &api_key_id).await?;
        Ok(Response::new(proto::RevokeApiKeyResponse {}))
    }
}
