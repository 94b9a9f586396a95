//! Several nodes on one PostgreSQL: they share the lanes, replace each other, and keep what
//! one node alone promises. Without a PostgreSQL there is nothing to test here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, CreateWebhookRequest, DeliveryOrder, Event, Webhook,
    event_service_client::EventServiceClient, webhook_service_client::WebhookServiceClient,
};
use tonic::transport::Channel;

use super::support::{
    api::{event, webhook},
    database::{Database, is_postgres},
    process::ServerProcess,
    receiver::{Received, Receiver, Reply},
};

/// How long anything may take that waits for a lease to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events of each publisher, and their keys.
const EVENTS: usize = 600;
const KEYS: usize = 10;

async fn create(on: &ServerProcess, webhook: Webhook) {
    let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
    let mut webhooks = WebhookServiceClient::new(on.channel());
    webhooks.create_webhook(request).await.expect("a webhook");
}

fn ordered(name: &str, url: &str, order: DeliveryOrder) -> Webhook {
    let mut made = webhook(name, url, &["*"]);
    made.delivery_order = order.into();
    made.max_allowed_connections = Some(8);
    let policy = made.retry_policy.get_or_insert_default();
    policy.max_retries = Some(50);
    policy.initial_backoff = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
    policy.max_backoff = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    made
}

/// Event `n` of a publisher.
fn numbered(publisher: usize, n: usize) -> Event {
    Event {
        event_id: uuid::Uuid::new_v4().to_string(),
        ordering_key: format!("{publisher}.{}", n % KEYS),
        ..event("a", &format!(r#"{{"publisher":{publisher},"n":{n}}}"#))
    }
}

/// Which event a request brought.
fn told(received: &Received) -> (usize, usize) {
    let body: serde_json::Value = serde_json::from_slice(&received.body).expect("JSON");
    let number = |name: &str| body["data"][name].as_u64().expect("a number") as usize;
    (number("publisher"), number("n"))
}

/// Publishes all events of a publisher in order, each until it is acknowledged by one of
/// the nodes, beginning with its own.
async fn publish_all(publisher: usize, nodes: Vec<Channel>) {
    for first in (0..EVENTS).step_by(20) {
        let events = (first..first + 20).map(|n| numbered(publisher, n)).collect();
        let request = BatchPublishEventsRequest { events, atomic: true, ..Default::default() };
        let mut turn = publisher;
        loop {
            let mut client = EventServiceClient::new(nodes[turn % nodes.len()].clone());
            let asked = client.batch_publish_events(request.clone());
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(3), asked).await {
                break;
            }
            turn += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until a receiver has got all events of so many publishers with success.
async fn all_arrived(receiver: &Receiver, publishers: usize, failed: fn(&Received) -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let arrived: BTreeSet<_> =
            receiver.received().iter().filter(|r| !failed(r)).map(told).collect();
        if arrived.len() == publishers * EVENTS {
            return;
        }
        let missing: Vec<_> = (0..publishers)
            .flat_map(|publisher| (0..EVENTS).map(move |n| (publisher, n)))
            .filter(|event| !arrived.contains(event))
            .take(5)
            .collect();
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} arrived; missing {missing:?} …",
            arrived.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn fails(received: &Received) -> bool {
    received.index % 37 == 5
}

/// First successes of each key came in the order of publishing.
fn assert_ordered(receiver: &Receiver) {
    let mut seen = BTreeSet::new();
    let mut of_keys: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (publisher, n) in receiver.received().iter().filter(|r| !fails(r)).map(told) {
        if seen.insert((publisher, n)) {
            of_keys.entry((publisher, n % KEYS)).or_default().push(n);
        }
    }
    for (key, numbers) in of_keys {
        assert!(numbers.is_sorted(), "{key:?}: {numbers:?}");
    }
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
        create(&nodes[n % 2], ordered(&format!("w{n}"), &receiver.url(), DeliveryOrder::Unordered))
            .await;
        receivers.push(receiver);
    }
    let channels: Vec<_> = nodes.iter().map(ServerProcess::channel).collect();
    let publishers: Vec<_> =
        (0..2).map(|publisher| tokio::spawn(publish_all(publisher, channels.clone()))).collect();
    for publisher in publishers {
        publisher.await.expect("published");
    }
    for receiver in &receivers {
        all_arrived(receiver, 2, |_| false).await;
        // Nobody died, so nothing came twice.
        assert_eq!(receiver.received().len(), 2 * EVENTS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_stopped_and_come_back_lose_nothing_and_keep_the_order() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ServerProcess::start(&database).await);
    }
    let reply = |r: &Received| Reply::status(if fails(r) { 503 } else { 200 });
    let mut receivers = HashMap::new();
    for (name, order) in [
        ("unordered", DeliveryOrder::Unordered),
        ("by key", DeliveryOrder::ByKey),
        ("fifo", DeliveryOrder::Fifo),
    ] {
        let receiver = Receiver::with(reply).await;
        create(&nodes[0], ordered(name, &receiver.url(), order)).await;
        receivers.insert(name, receiver);
    }
    let channels: Vec<_> = nodes.iter().map(ServerProcess::channel).collect();
    let done = Arc::new(AtomicUsize::new(0));
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let (channels, done) = (channels.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                publish_all(publisher, channels).await;
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();

    receivers["by key"].wait_until("deliveries begin", |received| received.len() > 20).await;
    nodes[0].kill_and_restart().await;
    receivers["fifo"].wait_until("deliveries begin", |received| received.len() > 20).await;
    // Stopped for longer than its lease: others replace it, and it starts nothing more.
    nodes[1].pause().await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    nodes[1].resume().await;
    nodes[2].kill_and_restart().await;
    for publisher in publishers {
        publisher.await.expect("published");
    }
    assert_eq!(done.load(Ordering::SeqCst), 3);
    for receiver in receivers.values() {
        all_arrived(receiver, 3, fails).await;
    }
    assert_ordered(&receivers["by key"]);
    assert_ordered(&receivers["fifo"]);
}
