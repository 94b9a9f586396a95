//! Several nodes, as processes, on one PostgreSQL: they share the lanes and hand them over.
//! What becomes of nodes that do not end in good order is in `torture`. Without a PostgreSQL
//! there is nothing to test here.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, CreateWebhookRequest, Event, PublishEventRequest, Webhook,
    event_service_client::EventServiceClient, webhook_service_client::WebhookServiceClient,
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};
use uuid::Uuid;

use super::support::{
    api::{event, webhook},
    database::{Database, is_postgres},
    process::ServerProcess,
    receiver::{Received, Receiver, Reply},
};

/// Events of each publisher.
const EVENTS: usize = 600;
/// Webhooks that are surely of several shards.
const WEBHOOKS: usize = 24;

async fn create(on: &ServerProcess, webhook: Webhook) {
    let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
    let mut webhooks = WebhookServiceClient::new(on.channel());
    webhooks.create_webhook(request).await.expect("a webhook");
}

fn identified(n: usize) -> Event {
    Event { event_id: Uuid::new_v4().to_string(), ..event("a", &format!(r#"{{"n":{n}}}"#)) }
}

/// The events that have come, each once.
fn ids(received: &[Received]) -> BTreeSet<String> {
    let ids: BTreeSet<_> = received
        .iter()
        .map(|received| received.header("tidings-event-id").expect("an id").to_owned())
        .collect();
    assert_eq!(ids.len(), received.len(), "nobody died, so nothing came twice");
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_lanes_and_deliver_what_any_of_them_accepts() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let nodes = [ServerProcess::start(&database).await, ServerProcess::start(&database).await];
    let mut receivers = Vec::new();
    for n in 0..6 {
        let receiver = Receiver::start().await;
        create(&nodes[n % 2], webhook(&format!("w{n}"), &receiver.url(), &["*"])).await;
        receivers.push(receiver);
    }
    let mut publishers = JoinSet::new();
    for node in &nodes {
        let mut client = EventServiceClient::new(node.channel());
        publishers.spawn(async move {
            let mut published = Vec::new();
            for first in (0..EVENTS).step_by(20) {
                let events: Vec<_> = (first..first + 20).map(identified).collect();
                published.extend(events.iter().map(|event| event.event_id.clone()));
                let request = BatchPublishEventsRequest { events, ..Default::default() };
                client.batch_publish_events(request).await.expect("published");
            }
            published
        });
    }
    let published = publishers.join_all().await.concat().into_iter().collect();
    for receiver in &receivers {
        assert_eq!(ids(&receiver.wait_for(2 * EVENTS).await), published);
    }
}

/// Whether the server says so, or the connection ended: tonic calls a request cancelled that
/// it had not sent by then, and an internal error what the server left aside that was going
/// away in good order. Other clients send both again by themselves.
fn is_unavailable(status: &Status) -> bool {
    let not_sent = status.code() == Code::Cancelled && status.source().is_some();
    let left_aside =
        status.code() == Code::Internal && format!("{status:?}").contains("NO_ERROR, Remote");
    status.code() == Code::Unavailable || not_sent || left_aside
}

/// Publishes one event after the other until it is stopped. What fails is tried once more, on
/// the next node. Gives the events and the failures.
async fn publish_until(
    stop: CancellationToken,
    nodes: Vec<Channel>,
    first: usize,
) -> (Vec<String>, Vec<Status>) {
    let (mut published, mut failed) = (Vec::new(), Vec::new());
    let mut turn = first;
    while !stop.is_cancelled() {
        let event = identified(published.len());
        published.push(event.event_id.clone());
        let request = PublishEventRequest { event: Some(event), ..Default::default() };
        let mut events = EventServiceClient::new(nodes[turn % nodes.len()].clone());
        if let Err(status) = events.publish_event(request.clone()).await {
            assert!(is_unavailable(&status), "{status:?}");
            failed.push(status);
            turn += 1;
            let mut events = EventServiceClient::new(nodes[turn % nodes.len()].clone());
            events.publish_event(request).await.expect("another node takes it");
        }
    }
    (published, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_publish_that_is_tried_once_more() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ServerProcess::start(&database).await);
    }
    let receiver = Receiver::start().await;
    create(&nodes[0], webhook("w", &receiver.url(), &["*"])).await;
    let channels: Vec<_> = nodes.iter().map(ServerProcess::channel).collect();
    let (stop, mut publishers) = (CancellationToken::new(), JoinSet::new());
    for publisher in 0..6 {
        publishers.spawn(publish_until(stop.clone(), channels.clone(), publisher));
    }
    for node in &mut nodes {
        let before = receiver.count();
        receiver.wait_for(before + 50).await;
        node.terminate().await;
        let ended = Instant::now();
        // Its lanes are handed over: nobody waits for its lease to end.
        let before = receiver.count();
        receiver.wait_for(before + 50).await;
        assert!(
            ended.elapsed() < Duration::from_secs(5),
            "handed over after {:?}",
            ended.elapsed()
        );
        node.start_again().await;
    }
    stop.cancel();
    let (published, failed): (Vec<_>, Vec<_>) = publishers.join_all().await.into_iter().unzip();
    assert!(!failed.concat().is_empty(), "no publish met a node that was gone");
    let published: BTreeSet<_> = published.concat().into_iter().collect();
    assert_eq!(ids(&receiver.wait_for(published.len()).await), published);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_gives_up_and_takes_back_goes_on() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let one = ServerProcess::start(&database).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
    for n in 0..WEBHOOKS {
        create(&one, webhook(&format!("w{n}"), &receiver.url(), &["*"])).await;
    }
    let mut events = EventServiceClient::new(one.channel());
    let mut publish = async || {
        let request = PublishEventRequest { event: Some(event("a", "{}")), ..Default::default() };
        events.publish_event(request).await.expect("published");
    };
    publish().await;
    receiver.wait_for(WEBHOOKS).await;
    // It is asked to share, waits for what is under way, and the other one is gone by then.
    let mut other = ServerProcess::start(&database).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    other.terminate().await;
    gate.add_permits(2 * WEBHOOKS);
    publish().await;
    receiver.wait_for(2 * WEBHOOKS).await;
}
