//! The service as its clients see it, in few words.

use std::{net::SocketAddr, time::Duration};

use tonic::transport::{Channel, Endpoint};

use super::tail::Tail;
use crate::{
    cli::refusal::refused,
    grpc::proto::{
        CreateWebhookRequest, Event, EventLog, ListEventLogsRequest, PublishEventRequest,
        PublishResult, TailEventLogsRequest, Webhook,
        event_log_service_client::EventLogServiceClient, event_service_client::EventServiceClient,
        webhook_service_client::WebhookServiceClient,
    },
};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A gRPC client of the service, at home in the default tenant.
pub(super) struct Client {
    webhooks: WebhookServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    logs: EventLogServiceClient<Channel>,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, String> {
        let failed = |e: tonic::transport::Error| format!("cannot connect to {address}: {e}");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(failed)?;
        let channel = endpoint.connect_timeout(CONNECT_LIMIT).connect().await.map_err(failed)?;
        Ok(Self {
            webhooks: WebhookServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            logs: EventLogServiceClient::new(channel),
        })
    }

    /// Makes a webhook.
    pub(super) async fn create(&mut self, webhook: Webhook) -> Result<Webhook, String> {
        let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
        let made = self.webhooks.create_webhook(request).await;
        let made = made.map_err(|status| refused("CreateWebhook", &status))?;
        made.into_inner().webhook.ok_or_else(|| empty("CreateWebhook"))
    }

    /// Publishes an event.
    pub(super) async fn publish(&mut self, event: Event) -> Result<PublishResult, String> {
        let request = PublishEventRequest { event: Some(event), ..Default::default() };
        let published = self.events.publish_event(request).await;
        let published = published.map_err(|status| refused("PublishEvent", &status))?;
        published.into_inner().result.ok_or_else(|| empty("PublishEvent"))
    }

    /// The delivery log, oldest first.
    pub(super) async fn log(&mut self) -> Result<Vec<EventLog>, String> {
        let request = ListEventLogsRequest { ascending: true, ..Default::default() };
        let listed = self.logs.list_event_logs(request).await;
        let listed = listed.map_err(|status| refused("ListEventLogs", &status))?;
        Ok(listed.into_inner().event_logs)
    }

    /// Follows the delivery log from now on.
    pub(super) async fn tail(&mut self) -> Result<Tail, String> {
        let opened = self.logs.tail_event_logs(TailEventLogsRequest::default()).await;
        let opened = opened.map_err(|status| refused("TailEventLogs", &status))?;
        Tail::open(opened.into_inner()).await
    }
}

fn empty(call: &str) -> String {
    format!("{call} answered without a result")
}
