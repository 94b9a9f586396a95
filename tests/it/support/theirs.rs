//! What another tenant has, for callers who must not hear of it.

use std::time::Duration;

use tidings::grpc::proto::{
    CreateEventMetadataRequest, CreateWebhookRequest, DeliveryStatus, DiscardDivertedEventsRequest,
    DivertedEventSelector, Event, EventMetadata, GetDivertedEventRequest, GetEventLogRequest,
    GetWebhookRequest, ListApiKeysRequest, PublishEventRequest, TailEventLogsRequest, TailStart,
    tail_event_logs_request::Start, tail_event_logs_response::Message,
};
use tokio::time::timeout;

use super::{
    api::{event, no_retries, webhook},
    clients::Clients,
    keys,
    server::TestServer,
};

/// The other tenant.
pub(crate) const OTHER: &str = "other";
/// An event type of it.
pub(crate) const EVENT_NAME: &str = "theirs";
/// The `ref_id` and the `request_id` of its events.
pub(crate) const REF: &str = "their-ref";
pub(crate) const REQUEST: &str = "their-request";

const PATIENCE: Duration = Duration::from_secs(30);

/// One thing of each kind.
pub(crate) struct Theirs {
    owner: Clients,
    pub(crate) webhook_id: String,
    pub(crate) consumer_group_id: String,
    /// Of an event that was diverted.
    pub(crate) event_id: String,
    pub(crate) diverted_event_id: String,
    pub(crate) event_log_id: String,
    pub(crate) job_id: String,
    pub(crate) api_key_id: String,
}

impl Theirs {
    /// A server that asks for credentials and lets deliveries go to this machine, and what
    /// another tenant has there.
    pub(crate) async fn make() -> (TestServer, Self) {
        let server = TestServer::with(|config| {
            config.dev = false;
            config.allow_destination = vec!["127.0.0.0/8".parse().expect("a range")];
        })
        .await;
        let owner = server.with_token(&keys::make(&server.database(), OTHER, "all").await);
        let event_metadata =
            Some(EventMetadata { event_name: EVENT_NAME.into(), ..Default::default() });
        let request = CreateEventMetadataRequest { event_metadata, ..Default::default() };
        owner.event_types().create_event_metadata(request).await.expect("an event type");
        let mut hook = webhook("w", "http://127.0.0.1:9/", &[EVENT_NAME]);
        hook.retry_policy = Some(no_retries());
        let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
        let made = owner.webhooks().create_webhook(request).await.expect("a webhook");
        let made = made.into_inner().webhook.expect("the webhook");
        let listed = owner.api_keys().list_api_keys(ListApiKeysRequest::default()).await;
        let keys = listed.expect("keys").into_inner().api_keys;
        let event_id = publish(&owner).await;
        let diverted_event_id = until_diverted(&owner, &event_id).await;
        let discarded = until_diverted(&owner, &publish(&owner).await).await;
        let record = GetEventLogRequest { event_id: event_id.clone(), ..Default::default() };
        let record = owner.event_logs().get_event_log(record).await.expect("a record");
        let theirs = Self {
            webhook_id: made.webhook_id,
            consumer_group_id: made.consumer_group_id,
            event_id,
            diverted_event_id,
            event_log_id: record.into_inner().event_log.expect("the record").event_log_id,
            job_id: discard(&owner, discarded).await,
            api_key_id: keys[0].api_key_id.clone(),
            owner,
        };
        (server, theirs)
    }

    /// What its owner sees of it, as text.
    pub(crate) async fn seen(&self) -> Vec<String> {
        let request =
            GetWebhookRequest { webhook_id: self.webhook_id.clone(), ..Default::default() };
        let webhook = self.owner.webhooks().get_webhook(request).await.expect("a webhook");
        let request = GetDivertedEventRequest {
            diverted_event_id: self.diverted_event_id.clone(),
            ..Default::default()
        };
        let event = self.owner.diverted_events().get_diverted_event(request).await;
        let keys = self.owner.api_keys().list_api_keys(ListApiKeysRequest::default()).await;
        vec![
            format!("{:?}", webhook.into_inner()),
            format!("{:?}", event.expect("a diverted event").into_inner()),
            format!("{:?}", keys.expect("keys").into_inner()),
        ]
    }
}

async fn publish(owner: &Clients) -> String {
    let event = Event { ref_id: REF.into(), request_id: REQUEST.into(), ..event(EVENT_NAME, "{}") };
    let request = PublishEventRequest { event: Some(event), ..Default::default() };
    let published = owner.events().publish_event(request).await.expect("published");
    published.into_inner().result.expect("a result").event_id
}

/// Waits until the delivery of an event is diverted; gives the diverted event's id.
async fn until_diverted(owner: &Clients, event_id: &str) -> String {
    let start = Some(Start::Position(TailStart::Earliest.into()));
    let request = TailEventLogsRequest { start, ..Default::default() };
    let mut tail = owner.event_logs().tail_event_logs(request).await.expect("a tail").into_inner();
    let follow = async {
        loop {
            let message = tail.message().await.expect("a message").expect("no end");
            let Some(Message::EventLogs(batch)) = message.message else { continue };
            let mut records = batch.changes.into_iter().filter_map(|change| change.event_log);
            let is_so = |record: &tidings::grpc::proto::EventLog| {
                record.event_id == event_id && record.status() == DeliveryStatus::Diverted
            };
            if let Some(record) = records.find(is_so) {
                return record.event_log_id;
            }
        }
    };
    timeout(PATIENCE, follow).await.expect("a diverted event")
}

/// Starts a job that discards a diverted event; gives the job's id.
async fn discard(owner: &Clients, diverted_event_id: String) -> String {
    let selector =
        DivertedEventSelector { diverted_event_ids: vec![diverted_event_id], ..Default::default() };
    let request = DiscardDivertedEventsRequest { selector: Some(selector), ..Default::default() };
    let started = owner.diverted_events().discard_diverted_events(request).await.expect("a job");
    started.into_inner().job.expect("the job").job_id
}
