//! gRPC clients that send a token, or none.

use tidings::grpc::proto::{
    api_key_service_client::ApiKeyServiceClient,
    diverted_event_service_client::DivertedEventServiceClient,
    event_log_service_client::EventLogServiceClient,
    event_metadata_service_client::EventMetadataServiceClient,
    event_service_client::EventServiceClient, tenant_service_client::TenantServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// Adds a bearer token to each call.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Api = InterceptedService<Channel, Bearer>;

/// The clients of one caller.
#[derive(Clone)]
pub(crate) struct Clients {
    api: Api,
}

impl Clients {
    pub(crate) fn new(channel: Channel, token: Option<&str>) -> Self {
        let bearer = token.map(|token| format!("Bearer {token}").parse().expect("a value"));
        Self { api: InterceptedService::new(channel, Bearer(bearer)) }
    }

    pub(crate) fn webhooks(&self) -> WebhookServiceClient<Api> {
        WebhookServiceClient::new(self.api.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Api> {
        EventServiceClient::new(self.api.clone())
    }

    pub(crate) fn event_logs(&self) -> EventLogServiceClient<Api> {
        EventLogServiceClient::new(self.api.clone())
    }

    pub(crate) fn event_types(&self) -> EventMetadataServiceClient<Api> {
        EventMetadataServiceClient::new(self.api.clone())
    }

    pub(crate) fn diverted_events(&self) -> DivertedEventServiceClient<Api> {
        DivertedEventServiceClient::new(self.api.clone())
    }

    pub(crate) fn tenants(&self) -> TenantServiceClient<Api> {
        TenantServiceClient::new(self.api.clone())
    }

    pub(crate) fn api_keys(&self) -> ApiKeyServiceClient<Api> {
        ApiKeyServiceClient::new(self.api.clone())
    }
}
