//! Requests in few words.

use std::time::Duration;

use prost_types::FieldMask;
use tidings::grpc::proto::{
    CreateWebhookRequest, Destination, Event, EventLog, EventLogFilter, GetEventLogRequest,
    GetWebhookRequest, HttpDestination, HttpHeader, ListEventLogsRequest, ListWebhooksRequest,
    ListWebhooksResponse, PublishEventRequest, PublishResult, RetryPolicy, TailEventLogsRequest,
    TailStart, UpdateWebhookRequest, Webhook, destination::Kind, event::Payload,
    tail_event_logs_request::Start, tail_event_logs_response::Message,
};
use tokio::time::timeout;
use tonic::Status;

use super::server::TestServer;

/// How long [`TestServer::wait_log`] waits before it panics.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// A policy without retries.
pub(crate) fn no_retries() -> RetryPolicy {
    RetryPolicy { max_retries: Some(0), ..Default::default() }
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

/// A header with one value.
pub(crate) fn header(name: &str, value: &str) -> HttpHeader {
    HttpHeader { name: name.into(), values: vec![value.into()], sensitive: false }
}

/// The HTTP destination of a webhook.
pub(crate) fn http(webhook: &mut Webhook) -> &mut HttpDestination {
    match webhook.destination.as_mut().and_then(|destination| destination.kind.as_mut()) {
        Some(Kind::Http(http)) => http,
        other => panic!("no HTTP destination: {other:?}"),
    }
}

/// A duration of whole seconds.
pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// An update of what the mask names; of all that is set where it names nothing.
pub(crate) fn update(webhook: Webhook, mask: &[&str]) -> UpdateWebhookRequest {
    let paths = mask.iter().map(|&path| path.into()).collect();
    let update_mask = (!mask.is_empty()).then_some(FieldMask { paths });
    UpdateWebhookRequest { webhook: Some(webhook), update_mask, ..Default::default() }
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

    /// A webhook of the home tenant as it is now.
    pub(crate) async fn webhook(&self, webhook_id: &str) -> Webhook {
        let request = GetWebhookRequest { webhook_id: webhook_id.into(), ..Default::default() };
        let found = self.webhooks().get_webhook(request).await.expect("a webhook");
        found.into_inner().webhook.expect("the webhook")
    }

    /// Changes a webhook, or says why not.
    pub(crate) async fn try_update(
        &self,
        request: UpdateWebhookRequest,
    ) -> Result<Webhook, Status> {
        let changed = self.webhooks().update_webhook(request).await?;
        Ok(changed.into_inner().webhook.expect("the webhook"))
    }

    /// Changes a webhook.
    pub(crate) async fn update(&self, request: UpdateWebhookRequest) -> Webhook {
        self.try_update(request).await.expect("a change")
    }

    /// Starts or stops a webhook.
    pub(crate) async fn enable(&self, webhook: &Webhook, enabled: bool) -> Webhook {
        let webhook_id = webhook.webhook_id.clone();
        let change = Webhook { webhook_id, enabled: Some(enabled), ..Default::default() };
        self.update(update(change, &["enabled"])).await
    }

    /// A page of webhooks.
    pub(crate) async fn list(&self, request: ListWebhooksRequest) -> ListWebhooksResponse {
        self.webhooks().list_webhooks(request).await.expect("a page").into_inner()
    }

    /// The records that a filter takes, oldest first, at most 1000.
    pub(crate) async fn logs(&self, filter: EventLogFilter) -> Vec<EventLog> {
        let request = ListEventLogsRequest {
            filter: Some(filter),
            page_size: 1000,
            ascending: true,
            ..Default::default()
        };
        let page = self.event_logs().list_event_logs(request).await.expect("a page").into_inner();
        assert_eq!(page.next_page_token, "", "one page has them all");
        page.event_logs
    }

    /// Follows the log of an event until one of its records is such; panics after 30 seconds.
    pub(crate) async fn wait_log(
        &self,
        event_id: &str,
        what: &str,
        is_so: impl Fn(&EventLog) -> bool,
    ) -> EventLog {
        let request = TailEventLogsRequest {
            start: Some(Start::Position(TailStart::Earliest.into())),
            filter: Some(EventLogFilter { event_id: event_id.into(), ..Default::default() }),
            ..Default::default()
        };
        let mut seen = Vec::new();
        let follow = async {
            let mut tail =
                self.event_logs().tail_event_logs(request).await.expect("a tail").into_inner();
            loop {
                let message = tail.message().await.expect("a message").expect("no end");
                let Some(Message::EventLogs(batch)) = message.message else { continue };
                for record in batch.changes.into_iter().filter_map(|change| change.event_log) {
                    if is_so(&record) {
                        return record;
                    }
                    seen.push(record);
                }
            }
        };
        match timeout(PATIENCE, follow).await {
            Ok(record) => record,
            Err(_) => panic!("waited {PATIENCE:?} for {what}; seen: {seen:#?}"),
        }
    }
}
