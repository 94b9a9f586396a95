//! GetDeliveryStats: what is counted, over which time, and what changes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tidings::{
    domain::{id::WebhookKey, time::Timestamp},
    engine::Pruner,
    grpc::proto::{
        DeliveryStats, DiscardDivertedEventsRequest, DivertedEventSelector,
        GetDeliveryStatsRequest, RetryDeliveryRequest, SuspendWebhookRequest, TimeRange, Webhook,
    },
    store::{SecretKeys, Store},
};
use tonic::{Code, Status};

use super::{
    diverted_events::{failing, of},
    support::{
        api::{event, no_retries, seconds, webhook},
        clock::ManualClock,
        receiver::{Receiver, Reply},
        refusal::refused,
        server::TestServer,
        tailing::reason,
    },
    webhooks::delete,
};

/// Where [`ManualClock`] begins.
const START: i64 = 1_767_225_600;

async fn try_stats(
    server: &TestServer,
    ids: &[&str],
    range: Option<(i64, i64)>,
) -> Result<Vec<DeliveryStats>, Status> {
    let time = |seconds| Some(prost_types::Timestamp { seconds: START + seconds, nanos: 0 });
    let range =
        range.map(|(start, end)| TimeRange { start_time: time(start), end_time: time(end) });
    let request = GetDeliveryStatsRequest {
        webhook_ids: ids.iter().map(|&id| id.into()).collect(),
        ingest_time: range,
        ..Default::default()
    };
    Ok(server.event_logs().get_delivery_stats(request).await?.into_inner().stats)
}

async fn stats(server: &TestServer, range: Option<(i64, i64)>) -> Vec<DeliveryStats> {
    try_stats(server, &[], range).await.expect("statistics")
}

/// Total, succeeded, failed, retrying, pending and breached.
fn counts(stats: &DeliveryStats) -> [i64; 6] {
    [
        stats.total_count,
        stats.succeeded_count,
        stats.failed_count,
        stats.retrying_count,
        stats.pending_count,
        stats.sla_breached_count,
    ]
}

async fn only(server: &TestServer, range: Option<(i64, i64)>) -> [i64; 6] {
    match &stats(server, range).await[..] {
        [] => [0; 6],
        [one] => counts(one),
        several => panic!("{several:?}"),
    }
}

async fn settled(server: &TestServer, id: &str, attempts: i32) {
    server
        .wait_log(id, "an end", |log| log.end_time.is_some() && log.attempt_count == attempts)
        .await;
}

/// Asks for one more attempt, again while the lanes are still being taken up after a start.
async fn retry(server: &TestServer, event_log_id: &str) {
    let event_log_id = event_log_id.into();
    let request = RetryDeliveryRequest { event_log_id, ..Default::default() };
    while let Err(status) = server.event_logs().retry_delivery(request.clone()).await {
        assert_eq!(reason(&status), "OVERLOADED", "{status}");
    }
}

#[tokio::test]
async fn each_status_is_counted_and_webhooks_without_deliveries_are_left_out() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::with(|r| {
        Reply::status(match r.path.as_str() {
            "/good" => 200,
            "/bad" => 400,
            _ => 500,
        })
    })
    .await;
    let hook = |name: &str| Webhook {
        sla: Some(seconds(60)),
        ..webhook(name, &receiver.url_at(&format!("/{name}")), &["a"])
    };
    for name in ["good", "bad", "again"] {
        server.create(hook(name)).await;
    }
    let held = server.create(hook("held")).await;
    let suspend =
        SuspendWebhookRequest { webhook_id: held.webhook_id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    server.create(webhook("idle", &receiver.url(), &["b"])).await;
    assert_eq!(stats(&server, None).await, []);

    let mut tail = server.tail(super::support::tailing::earliest()).await.expect("a tail");
    for _ in 0..3 {
        server.publish(event("a", "{}")).await;
    }
    // Twelve are accepted, nine attempted.
    tail.changes(21).await;
    let told = stats(&server, None).await;
    let of: Vec<_> = told.iter().map(counts).collect();
    assert_eq!(of[0], [3, 3, 0, 0, 0, 0]);
    assert_eq!(of[1], [3, 0, 3, 0, 0, 0]);
    assert_eq!(of[2], [3, 0, 0, 3, 0, 0]);
    assert_eq!(of[3], [3, 0, 0, 0, 3, 0]);
    assert_eq!(of.len(), 4);
    assert_eq!(told[3].webhook_id, held.webhook_id);
    assert_eq!(told[3].oldest_pending_age, Some(seconds(0)));
    assert_eq!((told[3].delivery_time_p50, told[3].delivery_time_mean), (None, None));
    assert_eq!((told[0].oldest_pending_age, told[1].delivery_time_p99), (None, None));
    assert!(told[0].delivery_time_p50.is_some() && told[0].delivery_time_mean.is_some());
}

#[tokio::test]
async fn what_is_late_is_counted_while_it_waits() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let hook = Webhook { sla: Some(seconds(60)), ..webhook("held", "http://127.0.0.1:9/", &["a"]) };
    let webhook_id = server.create(hook).await.webhook_id;
    let suspend = SuspendWebhookRequest { webhook_id, ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let id = server.publish(event("a", "{}")).await.event_id;
    assert_eq!(counts(&stats(&server, None).await[0]), [1, 0, 0, 0, 1, 0]);
    clock.advance(Duration::from_secs(61));
    server.wait_log(&id, "it is late", |log| log.sla_breach_time.is_some()).await;
    let told = stats(&server, None).await.remove(0);
    assert_eq!((counts(&told), told.oldest_pending_age), ([1, 0, 0, 0, 1, 1], Some(seconds(61))));
}

#[tokio::test]
async fn what_succeeds_late_counts_as_late_and_as_succeeded() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 500 } else { 200 })).await;
    let policy = tidings::grpc::proto::RetryPolicy {
        schedule: vec![seconds(10)],
        jitter: Some(0.0),
        ..Default::default()
    };
    let hook = webhook("w", &receiver.url(), &["*"]);
    server.create(Webhook { retry_policy: Some(policy), sla: Some(seconds(5)), ..hook }).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    server.wait_log(&id, "a failure", |log| log.status == 2).await;
    assert_eq!(only(&server, None).await, [1, 0, 0, 1, 0, 0]);
    clock.advance(Duration::from_secs(6));
    server.wait_log(&id, "it is late", |log| log.sla_breach_time.is_some()).await;
    assert_eq!(only(&server, None).await, [1, 0, 0, 1, 0, 1]);
    clock.advance(Duration::from_secs(4));
    settled(&server, &id, 2).await;
    assert_eq!(only(&server, None).await, [1, 1, 0, 0, 0, 1]);
    // In time.
    let id = server.publish(event("a", "{}")).await.event_id;
    settled(&server, &id, 1).await;
    assert_eq!(only(&server, None).await, [2, 2, 0, 0, 0, 1]);
}

#[tokio::test]
async fn times_are_measured_and_only_the_range_counts() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver =
        Receiver::with(|r| Reply::status(if r.index % 2 == 0 { 500 } else { 200 })).await;
    let policy = tidings::grpc::proto::RetryPolicy {
        schedule: vec![seconds(10)],
        jitter: Some(0.0),
        ..Default::default()
    };
    let hook = webhook("w", &receiver.url(), &["*"]);
    server.create(Webhook { retry_policy: Some(policy), ..hook }).await;
    // One event in each of five windows of ten minutes, delivered after ten seconds.
    for _ in 0..5 {
        let id = server.publish(event("a", "{}")).await.event_id;
        server.wait_log(&id, "a failure", |log| log.status == 2).await;
        clock.advance(Duration::from_secs(10));
        settled(&server, &id, 2).await;
        clock.advance(Duration::from_secs(590));
    }
    let told = stats(&server, None).await.remove(0);
    assert_eq!(counts(&told), [5, 5, 0, 0, 0, 0]);
    assert_eq!(told.delivery_time_mean, Some(seconds(10)), "exact");
    for time in [told.delivery_time_p50, told.delivery_time_p99] {
        let time = time.expect("a time");
        let millis = time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
        assert!((9_680..=10_320).contains(&millis), "{millis}");
    }
    for (range, expected) in [
        ((0, 3_000), 5),
        ((0, 600), 1),
        ((600, 1_800), 2),
        // Between whole windows, and within one.
        ((1, 1_201), 2),
        ((1, 600), 0),
        ((0, 1), 1),
        ((2_399, 9_999), 1),
        ((-9_999, 1), 1),
    ] {
        assert_eq!(only(&server, Some(range)).await[..2], [expected, expected], "{range:?}");
    }
}

#[tokio::test]
async fn what_is_settled_twice_counts_once_also_after_a_restart() {
    let server = TestServer::start().await;
    let status = Arc::new(AtomicU16::new(400));
    let told = status.clone();
    let receiver = Receiver::with(move |_| Reply::status(told.load(Ordering::SeqCst))).await;
    let hook = webhook("w", &receiver.url(), &["*"]);
    server.create(Webhook { retry_policy: Some(no_retries()), ..hook }).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    settled(&server, &id, 1).await;
    assert_eq!(only(&server, None).await, [1, 0, 1, 0, 0, 0]);

    let log = server.log(&id).await.event_log_id;
    retry(&server, &log).await;
    settled(&server, &id, 2).await;
    assert_eq!(only(&server, None).await, [1, 0, 1, 0, 0, 0]);
    status.store(200, Ordering::SeqCst);
    for attempts in 3..6 {
        retry(&server, &log).await;
        settled(&server, &id, attempts).await;
        assert_eq!(only(&server, None).await, [1, 1, 0, 0, 0, 0]);
    }
    let server = server.restart().await;
    status.store(500, Ordering::SeqCst);
    retry(&server, &log).await;
    settled(&server, &id, 6).await;
    assert_eq!(only(&server, None).await, [1, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn one_more_attempt_of_what_succeeded_does_not_change_its_time() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    settled(&server, &id, 1).await;
    clock.advance(Duration::from_secs(60));
    let log = server.log(&id).await.event_log_id;
    for attempts in 2..4 {
        retry(&server, &log).await;
        settled(&server, &id, attempts).await;
    }
    // Whole windows, and a part of one.
    for range in [None, Some((0, 1))] {
        let told = stats(&server, range).await.remove(0);
        assert_eq!(counts(&told), [1, 1, 0, 0, 0, 0]);
        assert_eq!(told.delivery_time_mean, Some(seconds(0)), "{range:?}");
    }
}

#[tokio::test]
async fn what_is_replayed_is_no_longer_failed_and_what_is_discarded_is() {
    let (server, _receiver, status, hook) = failing("w").await;
    server.divert("a", 3).await;
    assert_eq!(only(&server, None).await, [3, 0, 3, 0, 0, 0]);
    status.store(200, Ordering::SeqCst);
    let ids = server.diverted(Default::default()).await;
    let discarded = DiscardDivertedEventsRequest {
        selector: Some(DivertedEventSelector {
            diverted_event_ids: vec![ids[0].diverted_event_id.clone()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let job = server.diverted_events().discard_diverted_events(discarded).await.expect("a job");
    server.ended(&job.into_inner().job.expect("the job").job_id).await;
    assert_eq!(only(&server, None).await, [3, 0, 3, 0, 0, 0]);
    server.ended(&server.replay(of(&hook)).await.job_id).await;
    for replayed in &ids[1..] {
        let id = &replayed.event.as_ref().expect("the event").event_id;
        server.wait_log(id, "success", |log| log.status == 3).await;
    }
    assert_eq!(only(&server, None).await, [3, 2, 1, 0, 0, 0]);
}

#[tokio::test]
async fn retention_takes_the_sums_with_the_last_delivery_of_their_time() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    for _ in 0..2 {
        let id = server.publish(event("a", "{}")).await.event_id;
        settled(&server, &id, 1).await;
        clock.advance(Duration::from_secs(600));
    }
    let database = server.stop_and_keep().await;
    let prune = async |kept: u64| {
        let (store, _accepted) =
            Store::open(&database.parsed(), SecretKeys::default()).await.expect("a store");
        let pruner = Pruner::new(store, Arc::clone(&clock) as _, Duration::from_secs(kept));
        pruner.run_once().await.expect("prunes").1
    };
    let counted = async || {
        let (store, _accepted) =
            Store::open(&database.parsed(), SecretKeys::default()).await.expect("a store");
        let range = (Timestamp::MIN, Timestamp::MAX);
        let stats = store.stats(&[WebhookKey(1)], range, &mut 100).await.expect("statistics");
        let stats = stats.expect("few");
        stats.get(&WebhookKey(1)).map_or(0, |stats| stats.times.count())
    };
    // The clock is at 1,200: the first event is too old, the second is not.
    assert_eq!((counted().await, prune(900).await, counted().await), (2, 1, 1));
    assert_eq!((prune(300).await, counted().await), (1, 0));
}

#[tokio::test]
async fn a_range_at_whose_ends_too_many_would_be_read_is_refused_and_whole_windows_are_not() {
    let clock = ManualClock::new();
    let server =
        TestServer::with_clock(Arc::clone(&clock) as _, |config| config.max_stats_rows = 1);
    let server = server.await;
    server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    server.publish(event("a", "{}")).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(only(&server, Some((0, 60))).await[0], 1);
    server.publish(event("a", "{}")).await;
    clock.advance(Duration::from_secs(60));
    let refusal = refused(try_stats(&server, &[], Some((0, 61))).await);
    assert_eq!(
        (refusal.what(), refusal.fields()),
        ((Code::InvalidArgument, "FIELD_INVALID"), vec!["ingest_time"])
    );
    assert_eq!(only(&server, Some((0, 600))).await[0], 2);
}

#[tokio::test]
async fn faults_are_named_and_other_tenants_webhooks_are_not_found() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    let refusal = refused(try_stats(&server, &[], Some((5, 5))).await);
    assert_eq!(refusal.fields(), ["ingest_time.end_time"]);
    let many = vec![hook.webhook_id.as_str(); 1_001];
    assert_eq!(refused(try_stats(&server, &many, None).await).fields(), ["webhook_ids"]);
    let not_found = (Code::NotFound, "WEBHOOK_NOT_FOUND");
    let other = "0".repeat(24);
    for id in [other.as_str(), "no id"] {
        assert_eq!(
            refused(try_stats(&server, &[&hook.webhook_id, id], None).await).what(),
            not_found
        );
    }
    let theirs = GetDeliveryStatsRequest {
        tenant_id: "acme".into(),
        webhook_ids: vec![hook.webhook_id.clone()],
        ..Default::default()
    };
    assert_eq!(refused(server.event_logs().get_delivery_stats(theirs).await).what(), not_found);
    let twice = [hook.webhook_id.as_str(); 2];
    server.publish(event("a", "{}")).await;
    assert_eq!(try_stats(&server, &twice, None).await.expect("statistics").len(), 1);
    delete(&server, &hook.webhook_id, "").await.expect("deleted");
    assert_eq!(refused(try_stats(&server, &twice, None).await).what(), not_found);
}
