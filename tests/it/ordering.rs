//! The order of deliveries: BY_KEY and FIFO, through failures, restarts, changes by
//! hand and crashes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tidings::grpc::proto::{
    BatchPublishEventsRequest, CreateWebhookRequest, DeliveryOrder, DeliveryStatus, Event,
    GetEventRequest, RetryDeliveryRequest, Webhook, event_service_client::EventServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use tokio::sync::Semaphore;

use super::support::{
    api::{event, no_retries, quick_retries, update, webhook},
    database::Database,
    process::ServerProcess,
    receiver::{Received, Receiver, Reply},
    server::TestServer,
};

fn keyed(n: usize, key: &str) -> Event {
    Event { ordering_key: key.into(), ..event("a", &format!("{{\"n\":{n}}}")) }
}

fn ordered(name: &str, url: &str, order: DeliveryOrder) -> Webhook {
    let mut hook = webhook(name, url, &["a"]);
    hook.set_delivery_order(order);
    hook.retry_policy = Some(quick_retries(1_000));
    hook
}

fn number(received: &Received) -> u64 {
    received.json()["data"]["n"].as_u64().expect("a number")
}

fn numbers(received: &[Received]) -> Vec<u64> {
    received.iter().map(number).collect()
}

async fn publish(server: &TestServer, events: Vec<Event>) {
    let request = BatchPublishEventsRequest { events, atomic: true, ..Default::default() };
    server.events().batch_publish_events(request).await.expect("published");
}

#[tokio::test]
async fn a_key_whose_first_delivery_fails_holds_up_itself_only() {
    let server = TestServer::start().await;
    let broken = Arc::new(Mutex::new(true));
    let is_broken = Arc::clone(&broken);
    let receiver = Receiver::with(move |r| {
        let failing = number(r) == 0 && *is_broken.lock();
        Reply::status(if failing { 503 } else { 200 })
    })
    .await;
    server.create(ordered("w", &receiver.url(), DeliveryOrder::ByKey)).await;
    // More than a lane keeps in memory wait behind the first of key a.
    let mut events: Vec<_> = (0..900).map(|n| keyed(n, "a")).collect();
    events.extend((900..950).map(|n| keyed(n, "b")));
    events.extend((950..1_000).map(|n| keyed(n, "")));
    publish(&server, events).await;
    let received = receiver
        .wait_until("the others arrive, and the first is tried again and again", |received| {
            let all: HashSet<_> = received.iter().map(number).collect();
            (900..1_000).all(|n| all.contains(&n))
                && received.iter().filter(|r| number(r) == 0).count() > 3
        })
        .await;
    assert!(received.iter().all(|r| number(r) == 0 || number(r) >= 900), "key a waits");
    let of_b: Vec<_> = numbers(&received).into_iter().filter(|n| (900..950).contains(n)).collect();
    assert_eq!(of_b, (900..950).collect::<Vec<_>>());

    *broken.lock() = false;
    let received = receiver
        .wait_until("all arrive", |received| {
            received.iter().map(number).collect::<HashSet<_>>().len() == 1_000
        })
        .await;
    let of_a: Vec<_> = numbers(&received).into_iter().filter(|n| (1..900).contains(n)).collect();
    assert_eq!(of_a, (1..900).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_fifo_webhook_gets_one_at_a_time_and_survives_restarts_in_order() {
    let server = TestServer::start().await;
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let receiver = Receiver::with(move |r| {
        Reply::status(if r.index % 7 == 3 { 500 } else { 200 }).held_by(Arc::clone(&held))
    })
    .await;
    server.create(ordered("w", &receiver.url(), DeliveryOrder::Fifo)).await;
    publish(&server, (0..400).map(|n| keyed(n, &n.to_string())).collect()).await;
    receiver.wait_for(1).await;
    answers.add_permits(100);
    receiver.wait_for(101).await;
    // The first of those that wait is being attempted; after the start it is again.
    let server = server.restart().await;
    receiver.wait_for(102).await;
    publish(&server, (400..450).map(|n| keyed(n, "")).collect()).await;
    answers.close();
    let received = receiver
        .wait_until("all arrive", |received| {
            received.iter().map(number).collect::<HashSet<_>>().len() == 450
        })
        .await;
    assert!(numbers(&received).is_sorted(), "in order, some more than once");
    assert_eq!(receiver.max_open(), 1);
}

#[tokio::test]
async fn what_is_diverted_leaves_the_order_and_joins_at_the_end_when_it_is_put_back() {
    let server = TestServer::start().await;
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let receiver = Receiver::with(move |r| {
        let status = if r.index == 0 { 400 } else { 200 };
        Reply::status(status).held_by(Arc::clone(&held))
    })
    .await;
    let mut hook = ordered("w", &receiver.url(), DeliveryOrder::Fifo);
    hook.retry_policy = Some(no_retries());
    server.create(hook).await;
    let first = server.publish(keyed(0, "")).await.event_id;
    publish(&server, (1..4).map(|n| keyed(n, "")).collect()).await;
    answers.add_permits(1);
    receiver.wait_for(2).await;
    assert_eq!(server.log(&first).await.status(), DeliveryStatus::Diverted);

    let retry = RetryDeliveryRequest {
        event_log_id: server.log(&first).await.event_log_id,
        ..Default::default()
    };
    let record = server.event_logs().retry_delivery(retry).await.expect("put back").into_inner();
    let record = record.event_log.expect("the record");
    assert_eq!((record.status(), record.next_attempt_time), (DeliveryStatus::Pending, None));
    answers.close();
    assert_eq!(numbers(&receiver.wait_for(5).await), [0, 1, 2, 3, 0]);
}

#[tokio::test]
async fn the_first_of_an_order_can_be_asked_for_at_once_and_the_others_keep_their_places() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 503 } else { 200 })).await;
    let mut hook = ordered("w", &receiver.url(), DeliveryOrder::Fifo);
    let policy = hook.retry_policy.as_mut().expect("a policy");
    policy.initial_backoff = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    policy.max_backoff = policy.initial_backoff;
    server.create(hook).await;
    let first = server.publish(keyed(0, "")).await.event_id;
    let second = server.publish(keyed(1, "")).await.event_id;
    publish(&server, vec![keyed(2, "")]).await;
    receiver.wait_for(1).await;
    server.wait_log(&first, "it waits", |log| log.status() == DeliveryStatus::Retrying).await;
    for event_id in [second, first] {
        let event_log_id = server.log(&event_id).await.event_log_id;
        let retry = RetryDeliveryRequest { event_log_id, ..Default::default() };
        server.event_logs().retry_delivery(retry).await.expect("asked for");
    }
    assert_eq!(numbers(&receiver.wait_for(4).await), [0, 0, 1, 2]);
}

#[tokio::test]
async fn an_order_holds_for_what_is_published_after_it_was_asked_for() {
    let server = TestServer::start().await;
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
    let made = server.create(ordered("w", &receiver.url(), DeliveryOrder::Unordered)).await;
    assert_eq!(made.delivery_order(), DeliveryOrder::Unordered);
    publish(&server, (0..2).map(|n| keyed(n, "k")).collect()).await;
    receiver.wait_for(2).await;
    let by_key = Webhook { delivery_order: DeliveryOrder::ByKey.into(), ..made };
    let changed = server.update(update(by_key, &["delivery_order"])).await;
    assert_eq!(changed.delivery_order(), DeliveryOrder::ByKey);
    publish(&server, (2..5).map(|n| keyed(n, "k")).collect()).await;
    // One of the new ones beside the two that wait for nobody.
    assert_eq!(numbers(&receiver.wait_for(3).await)[2], 2);
    let event_id = server.publish(keyed(5, "other")).await.event_id;
    assert_eq!(numbers(&receiver.wait_for(4).await)[3], 5);
    answers.close();
    assert_eq!(numbers(&receiver.wait_for(6).await)[4..], [3, 4]);

    let request = GetEventRequest { event_id, ..Default::default() };
    let shown = server.events().get_event(request).await.expect("the event").into_inner();
    assert_eq!(shown.event.expect("the event").ordering_key, "other");
}

/// How many events, and over how many keys.
const EVENTS: usize = 10_000;
const KEYS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn orders_hold_through_five_crashes_and_a_destination_that_fails_at_random() {
    let mut server = ServerProcess::start(&Database::new().await).await;
    // Of those with an order by key every 11th fails, in one way or another.
    let by_key = Receiver::with(|r| match r.index % 33 {
        7 => Reply::status(503),
        18 => Reply::reset(),
        29 => Reply::status(500),
        _ => Reply::status(200),
    })
    .await;
    let fifo = Receiver::with(|r| Reply::status(if r.index % 61 == 7 { 503 } else { 200 })).await;
    let mut webhooks = WebhookServiceClient::new(server.channel());
    for (name, url, order) in
        [("by key", by_key.url(), DeliveryOrder::ByKey), ("fifo", fifo.url(), DeliveryOrder::Fifo)]
    {
        let webhook = Some(ordered(name, &url, order));
        let request = CreateWebhookRequest { webhook, ..Default::default() };
        webhooks.create_webhook(request).await.expect("a webhook");
    }

    let publisher = tokio::spawn(publish_until_acknowledged(server.channel()));
    for crash in 1..=5 {
        by_key.wait_until("deliveries go on", |received| received.len() > crash * EVENTS / 8).await;
        server.kill_and_restart().await;
    }
    publisher.await.expect("all published");
    let by_key = first_successes(&by_key, |r| matches!(r.index % 33, 7 | 18 | 29)).await;
    let fifo = first_successes(&fifo, |r| r.index % 61 == 7).await;
    assert_eq!(fifo, (0..EVENTS as u64).collect::<Vec<_>>());
    let mut of_keys: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for n in by_key {
        of_keys.entry(n % KEYS as u64).or_default().push(n);
    }
    assert_eq!(of_keys.len(), KEYS);
    assert!(of_keys.values().all(|numbers| numbers.is_sorted()), "each key in publish order");
}

/// Publishes all events in order; what is not acknowledged is published again, with
/// the same ids.
async fn publish_until_acknowledged(channel: tonic::transport::Channel) {
    let mut client = EventServiceClient::new(channel);
    let numbers: Vec<usize> = (0..EVENTS).collect();
    for chunk in numbers.chunks(100) {
        let events = chunk.iter().map(|n| Event {
            event_id: uuid::Uuid::new_v4().to_string(),
            ..keyed(*n, &format!("key {}", n % KEYS))
        });
        let request = BatchPublishEventsRequest {
            events: events.collect(),
            atomic: true,
            ..Default::default()
        };
        while client.batch_publish_events(request.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The numbers in the order in which each arrived with success for the first time, once
/// all have.
async fn first_successes(receiver: &Receiver, failed: impl Fn(&Received) -> bool) -> Vec<u64> {
    let first = |received: &[Received]| {
        let mut seen = HashMap::new();
        for r in received.iter().filter(|r| !failed(r)) {
            seen.entry(number(r)).or_insert(r.index);
        }
        seen
    };
    let mut waited = 0;
    loop {
        let received = receiver.received();
        let mut seen: Vec<_> = first(&received).into_iter().collect();
        if seen.len() == EVENTS {
            seen.sort_unstable_by_key(|(_, index)| *index);
            return seen.into_iter().map(|(number, _)| number).collect();
        }
        waited += 1;
        assert!(waited < 1_800, "{} of {EVENTS} arrived", seen.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
