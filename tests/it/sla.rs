//! SLAs: a breach is told when it happens, to what waits as well as to what fails.

use std::{sync::Arc, time::Duration};

use prost_types::Duration as ProtoDuration;
use tidings::grpc::proto::{
    ChangeKind, DeliveryStatus, SuspendWebhookRequest, UnsuspendWebhookRequest,
};

use super::support::{
    api::{event, webhook},
    clock::ManualClock,
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::earliest,
};

fn seconds(seconds: i64) -> Option<ProtoDuration> {
    Some(ProtoDuration { seconds, nanos: 0 })
}

#[tokio::test]
async fn what_waits_beyond_its_sla_is_marked_at_that_moment_and_once() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::start().await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.sla = seconds(60);
    let id = server.create(hook).await.webhook_id;
    let request = SuspendWebhookRequest { webhook_id: id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(request).await.expect("suspended");
    for _ in 0..3 {
        server.publish(event("a", "{}")).await;
    }
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.changes(3).await;

    clock.advance(Duration::from_secs(61));
    let breaches = tail.changes(3).await;
    for change in &breaches {
        assert_eq!(change.kind(), ChangeKind::SlaBreached);
        let record = change.event_log.as_ref().expect("a record");
        let ingest = record.ingest_time.expect("an ingest time").seconds;
        assert_eq!(record.sla_breach_time.expect("a breach").seconds, ingest + 60);
        assert_eq!(record.status(), DeliveryStatus::Pending);
    }

    let request = UnsuspendWebhookRequest { webhook_id: id, ..Default::default() };
    server.webhooks().unsuspend_webhook(request).await.expect("unsuspended");
    for change in tail.changes(3).await {
        assert_eq!(change.kind(), ChangeKind::Settled, "told once");
        assert!(change.event_log.expect("a record").sla_breach_time.is_some());
    }
}

#[tokio::test]
async fn a_delivery_in_time_and_one_without_sla_break_nothing() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::start().await;
    let mut none = webhook("none", &receiver.url(), &["*"]);
    none.sla = seconds(0);
    server.create(none).await;
    let mut hour = webhook("hour", &receiver.url(), &["*"]);
    hour.sla = seconds(3_600);
    server.create(hour).await;
    server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.changes(4).await;
    clock.advance(Duration::from_secs(7_200));
    server.publish(event("a", "{}")).await;
    for change in tail.changes(4).await {
        assert_ne!(change.kind(), ChangeKind::SlaBreached);
        assert!(change.event_log.expect("a record").sla_breach_time.is_none());
    }
}

#[tokio::test]
async fn a_retry_that_succeeds_too_late_has_broken_its_sla() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 500 } else { 200 })).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.sla = seconds(10);
    server.create(hook).await;
    server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.changes(2).await;
    // The default policy's first wait is five seconds.
    clock.advance(Duration::from_secs(11));
    let mut kinds = Vec::new();
    while kinds.last() != Some(&ChangeKind::Settled) {
        // One message may have both.
        for change in tail.changes(1).await {
            kinds.push(change.kind());
            assert!(change.event_log.expect("a record").sla_breach_time.is_some());
        }
    }
}
