//! Retries: which failures, how often, how late; what the destination asks for.

use std::time::Duration;

use tidings::grpc::proto::{
    DeliveryStatus, SuspensionCause, UnsuspendWebhookRequest, WebhookState,
};

use super::support::{
    api::{event, quick_retries, webhook},
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::earliest,
};

#[tokio::test]
async fn a_policy_says_which_failures_are_retried() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 409 } else { 503 })).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    let mut policy = quick_retries(5);
    policy.retry_on = vec!["409".into(), "timeout".into()];
    hook.retry_policy = Some(policy);
    let made = server.create(hook).await;
    assert_eq!(made.retry_policy.expect("a policy").retry_on, ["409", "timeout"]);
    let published = server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    let changes = tail.changes(3).await;
    let last = changes[2].event_log.as_ref().expect("a record");
    assert_eq!(last.event_id, published.event_id);
    assert_eq!((last.status(), last.attempt_count), (DeliveryStatus::Diverted, 2));
}

#[tokio::test]
async fn a_pause_that_the_destination_asks_for_holds_the_whole_lane_also_after_a_restart() {
    let mut server = TestServer::start().await;
    let receiver = Receiver::with(|r| match r.index {
        0 => Reply::status(503).header("retry-after", "2"),
        _ => Reply::status(200),
    })
    .await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.max_allowed_connections = Some(1);
    hook.retry_policy = Some(quick_retries(5));
    server.create(hook).await;
    for _ in 0..5 {
        server.publish(event("a", "{}")).await;
    }
    let mut tail = server.tail(earliest()).await.expect("a tail");
    // The failure is on record.
    tail.changes(6).await;
    server = server.restart().await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    let changes = tail.changes(11).await;
    let at = |time: Option<prost_types::Timestamp>| {
        let time = time.expect("a time");
        Duration::new(time.seconds.unsigned_abs(), time.nanos.unsigned_abs())
    };
    let records = || changes.iter().filter_map(|change| change.event_log.as_ref());
    let failed = records().find(|r| r.status() == DeliveryStatus::Retrying).expect("a failure");
    let succeeded: Vec<_> = records().filter(|r| r.status() == DeliveryStatus::Succeeded).collect();
    assert_eq!(succeeded.len(), 5);
    let until = at(failed.next_attempt_time);
    for record in succeeded {
        assert!(at(record.end_time) >= until, "the others waited as well");
    }
}

#[tokio::test]
async fn a_destination_that_is_gone_suspends_its_webhook_and_what_waits_stays() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 410 } else { 200 })).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.max_allowed_connections = Some(1);
    let id = server.create(hook).await.webhook_id;
    let first = server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    let settled = tail.changes(2).await[1].event_log.clone().expect("a record");
    assert_eq!(settled.status(), DeliveryStatus::Diverted);
    assert_eq!(settled.event_id, first.event_id);

    // The suspension is written right after the answer came.
    let mut hook = server.webhook(&id).await;
    while hook.suspension.is_none() {
        hook = server.webhook(&id).await;
    }
    assert_eq!(hook.state(), WebhookState::TooManyErrors);
    assert_eq!(hook.suspension.expect("suspended").cause(), SuspensionCause::Gone);
    server.publish(event("a", "{}")).await;
    tail.changes(1).await;
    assert_eq!(receiver.count(), 1, "what comes now waits");

    let request = UnsuspendWebhookRequest { webhook_id: id, ..Default::default() };
    server.webhooks().unsuspend_webhook(request).await.expect("unsuspended");
    receiver.wait_for(2).await;
}
