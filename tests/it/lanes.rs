//! Lanes: limits that are kept, order, memory that spills to the database, and
//! one webhook that does not hold up another.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, DeliveryStatus, UpdateWebhookRequest, Webhook,
};
use tokio::sync::Semaphore;

use super::support::{
    api::{event, quick_retries, webhook},
    clock::ManualClock,
    receiver::{Receiver, Reply},
    server::TestServer,
};

/// Publishes that many events, numbered from `first`, a thousand at a time.
async fn publish(server: &TestServer, name: &str, first: usize, count: usize) {
    let numbers: Vec<usize> = (first..first + count).collect();
    for chunk in numbers.chunks(1_000) {
        let events = chunk.iter().map(|n| event(name, &format!("{{\"n\":{n}}}"))).collect();
        let request = BatchPublishEventsRequest { events, atomic: true, ..Default::default() };
        server.events().batch_publish_events(request).await.expect("published");
    }
}

fn number(received: &super::support::receiver::Received) -> u64 {
    received.json()["data"]["n"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_destination_that_never_answers_holds_up_nobody_else() {
    let server = TestServer::start().await;
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let dead = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
    let healthy = Receiver::start().await;
    server.create(webhook("dead", &dead.url(), &["both", "dead"])).await;
    server.create(webhook("healthy", &healthy.url(), &["both", "healthy"])).await;

    // More than the lane holds in memory.
    publish(&server, "dead", 0, 3_000).await;
    publish(&server, "both", 3_000, 300).await;
    publish(&server, "healthy", 0, 300).await;
    healthy.wait_for(600).await;
    assert!(dead.max_open() <= 10, "{} requests were open at once", dead.max_open());

    // Once it answers, all that waited arrives, what was spilled included.
    answers.close();
    let all = |received: &[super::support::receiver::Received]| {
        received.iter().map(number).collect::<HashSet<_>>().len() == 3_300
    };
    dead.wait_until("all 3300 arrived", all).await;
    assert!(dead.max_open() <= 10);
}

#[tokio::test]
async fn the_limit_of_connections_is_kept_through_failures_and_retries() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| match r.index % 5 {
        0 => Reply::status(500),
        1 => Reply::reset(),
        _ => Reply::status(200).after(Duration::from_millis(2)),
    })
    .await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.max_allowed_connections = Some(3);
    hook.retry_policy = Some(quick_retries(1_000));
    server.create(hook).await;
    publish(&server, "a", 0, 300).await;
    receiver
        .wait_until("each arrived with success", |received| {
            let ok = received.iter().filter(|r| r.index % 5 > 1).map(number);
            ok.collect::<HashSet<_>>().len() == 300
        })
        .await;
    assert!(receiver.max_open() <= 3, "{} requests were open at once", receiver.max_open());
}

#[tokio::test]
async fn deliveries_keep_the_rate_of_their_webhook_and_nobody_else_does() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let (slow, free) = (Receiver::start().await, Receiver::start().await);
    let mut hook = webhook("slow", &slow.url(), &["*"]);
    hook.max_deliveries_per_second = 2.0;
    let slow_id = server.create(hook).await.webhook_id;
    server.create(webhook("free", &free.url(), &["*"])).await;
    publish(&server, "a", 0, 10).await;
    for started in 1..=4 {
        slow.wait_for(started).await;
        // What comes after it goes to the other webhook at once: lanes were looked at.
        publish(&server, "a", 0, 1).await;
        free.wait_for(10 + started).await;
        assert_eq!(slow.count(), started);
        clock.advance(Duration::from_millis(500));
    }
    slow.wait_for(5).await;

    // Without a rate the rest goes at once.
    let webhook = Webhook { webhook_id: slow_id, ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["max_deliveries_per_second".into()] };
    let request = UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: Some(mask),
        ..Default::default()
    };
    server.webhooks().update_webhook(request).await.expect("updated");
    slow.wait_for(14).await;
}

#[tokio::test]
async fn deliveries_start_in_publish_order_from_memory_and_from_the_database() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.max_allowed_connections = Some(1);
    server.create(hook).await;
    publish(&server, "a", 0, 2_500).await;
    let numbers: Vec<u64> = receiver.wait_for(2_500).await.iter().map(number).collect();
    assert_eq!(numbers, (0..2_500).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_waits_is_taken_up_after_a_restart() {
    let server = TestServer::start().await;
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    publish(&server, "a", 0, 2_000).await;
    receiver.wait_for(10).await;
    let server = server.restart().await;
    answers.close();
    receiver
        .wait_until("all 2000 arrived", |received| {
            received.iter().map(number).collect::<HashSet<_>>().len() == 2_000
        })
        .await;
    // The last answers are on their way into the log.
    let mut settled = 0;
    while settled < 2_000 {
        let changes = server.all_changes().await;
        let records = changes.iter().filter_map(|change| change.event_log.as_ref());
        settled = records.filter(|r| r.status() == DeliveryStatus::Succeeded).count();
    }
    assert_eq!(settled, 2_000, "each settled once");
}
