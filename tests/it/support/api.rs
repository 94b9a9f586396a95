//! Requests in few words.

use tidings::grpc::proto::{
    CreateWebhookRequest, Destination, Event, EventLog, GetEventLogRequest, HttpDestination,
    PublishEventRequest, PublishResult, RetryPolicy, Webhook, destination::Kind, event::Payload,
};

use super::server::TestServer;

/// A webhook of that name for these events.
pub(crate) fn webhook(name: &str, url: &str, events: &[&str]) -> Webhook {
    Webhook {
        name: name.into(),
        event_names: events.iter().map(|&name| name.into()).collect(),
        destination: Some(Destination {
            kind: Some(Kind::Http(HttpDestination { url: url.into(), ..Default::default() })),
        }),
        ..Default::default()
    }
}

/// A policy that retries that often, a few milliseconds apart.
pub(crate) fn quick_retries(max_retries: i32) -> RetryPolicy {
    let wait = prost_types::Duration { seconds: 0, nanos: 20_000_000 };
    RetryPolicy {
        max_retries: Some(max_retries),
        initial_backoff: Some(wait),
        multiplier: Some(1.0),
        ..Default::default()
    }
}

/// An event of that name with a payload.
pub(crate) fn event(name: &str, json: &str) -> Event {
    Event {
        event_name: name.into(),
        payload: Some(Payload::Json(json.into())),
        ..Default::default()
    }
}

impl TestServer {
    /// Makes a webhook in the home tenant.
    pub(crate) async fn create(&self, webhook: Webhook) -> Webhook {
        let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
        let made = self.webhooks().create_webhook(request).await.expect("a webhook");
        made.into_inner().webhook.expect("the webhook")
    }

    /// Publishes an event to the home tenant.
    pub(crate) async fn publish(&self, event: Event) -> PublishResult {
        let request = PublishEventRequest { event: Some(event), ..Default::default() };
        let response = self.events().publish_event(request).await.expect("published");
        response.into_inner().result.expect("a result")
    }

    /// The record of an event.
    pub(crate) async fn log(&self, event_id: &str) -> EventLog {
        let request = GetEventLogRequest { event_id: event_id.into(), ..Default::default() };
        let response = self.event_logs().get_event_log(request).await.expect("a record");
        response.into_inner().event_log.expect("the record")
    }
}
