//! What keeps failing is suspended, probed, and let go again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost_types::Duration as ProtoDuration;
use tidings::grpc::proto::{
    DeliveryStatus, FailureHandling, SuspensionCause, TailEventLogsRequest,
    UnsuspendWebhookRequest, Webhook, WebhookState,
};

use super::support::{
    api::{event, quick_retries, webhook},
    clock::ManualClock,
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::earliest,
};

/// A receiver that fails until it is told to be well again.
async fn failing() -> (Receiver, Arc<AtomicBool>) {
    let well = Arc::<AtomicBool>::default();
    let now = Arc::clone(&well);
    let answer = move |_: &_| Reply::status(if now.load(Ordering::SeqCst) { 200 } else { 503 });
    (Receiver::with(answer).await, well)
}

fn handled(receiver: &Receiver, handling: FailureHandling) -> Webhook {
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.max_allowed_connections = Some(1);
    hook.retry_policy = Some(quick_retries(1_000));
    hook.failure_handling = Some(handling);
    hook
}

async fn until_suspended(server: &TestServer, id: &str) -> Webhook {
    loop {
        let hook = server.webhook(id).await;
        if hook.suspension.is_some() {
            return hook;
        }
    }
}

#[tokio::test]
async fn failures_in_a_row_suspend_the_webhook_and_what_waits_goes_out_when_it_is_lifted() {
    let server = TestServer::start().await;
    let (receiver, well) = failing().await;
    let handling = FailureHandling { suspend_after_failures: 3, ..Default::default() };
    let id = server.create(handled(&receiver, handling)).await.webhook_id;
    for _ in 0..5 {
        server.publish(event("a", "{}")).await;
    }
    let hook = until_suspended(&server, &id).await;
    assert_eq!(hook.state(), WebhookState::TooManyErrors);
    let suspension = hook.suspension.expect("suspended");
    assert_eq!(suspension.cause(), SuspensionCause::Failures);
    assert!(suspension.message.contains('3') && suspension.resume_time.is_none());
    assert_eq!(receiver.count(), 3, "no attempt is made any more");

    well.store(true, Ordering::SeqCst);
    let request = UnsuspendWebhookRequest { webhook_id: id.clone(), ..Default::default() };
    server.webhooks().unsuspend_webhook(request).await.expect("unsuspended");
    receiver.wait_for(8).await;
    assert_eq!(server.webhook(&id).await.state(), WebhookState::Active);
}

#[tokio::test]
async fn a_success_in_between_begins_the_row_anew() {
    let server = TestServer::start().await;
    let receiver =
        Receiver::with(|r| Reply::status(if r.index % 3 == 2 { 200 } else { 503 })).await;
    let handling = FailureHandling { suspend_after_failures: 3, ..Default::default() };
    let id = server.create(handled(&receiver, handling)).await.webhook_id;
    for _ in 0..10 {
        server.publish(event("a", "{}")).await;
    }
    receiver.wait_for(30).await;
    assert!(server.webhook(&id).await.suspension.is_none());
}

#[tokio::test]
async fn a_row_of_failures_goes_on_after_a_restart_and_ends_where_a_suspension_is_lifted() {
    let mut server = TestServer::start().await;
    let (receiver, _) = failing().await;
    let handling = FailureHandling { suspend_after_failures: 3, ..Default::default() };
    let mut hook = handled(&receiver, handling);
    hook.retry_policy = Some(quick_retries(0));
    let id = server.create(hook).await.webhook_id;
    // Each attempt is on record before the next begins.
    let fails = async |server: &TestServer| {
        let mut tail = server.tail(TailEventLogsRequest::default()).await.expect("a tail");
        server.publish(event("a", "{}")).await;
        tail.changes(2).await;
    };
    for _ in 0..2 {
        fails(&server).await;
        server = server.restart().await;
        assert!(server.webhook(&id).await.suspension.is_none());
    }
    fails(&server).await;
    let suspension = until_suspended(&server, &id).await.suspension.expect("suspended");
    assert!(suspension.message.contains('3'), "{}", suspension.message);

    let request = UnsuspendWebhookRequest { webhook_id: id.clone(), ..Default::default() };
    server.webhooks().unsuspend_webhook(request).await.expect("unsuspended");
    server = server.restart().await;
    for _ in 0..2 {
        fails(&server).await;
    }
    server = server.restart().await;
    assert!(server.webhook(&id).await.suspension.is_none(), "two are not three");
}

#[tokio::test]
async fn a_probe_is_sent_at_its_time_and_lifts_the_suspension_when_it_succeeds() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let (receiver, well) = failing().await;
    let handling = FailureHandling {
        suspend_after_failures: 1,
        resume_after: Some(ProtoDuration { seconds: 60, nanos: 0 }),
        ..Default::default()
    };
    let id = server.create(handled(&receiver, handling)).await.webhook_id;
    for _ in 0..4 {
        server.publish(event("a", "{}")).await;
    }
    let first = until_suspended(&server, &id).await.suspension.expect("suspended");
    assert_eq!(receiver.count(), 1);

    // The probe fails: the next one is due a minute later.
    clock.advance(Duration::from_secs(61));
    receiver.wait_for(2).await;
    let mut again = first.clone();
    while again.resume_time == first.resume_time {
        again = until_suspended(&server, &id).await.suspension.expect("suspended");
    }
    assert_eq!(again.suspend_time, first.suspend_time);
    assert_eq!(receiver.count(), 2, "one attempt, no more");

    well.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(61));
    while server.webhook(&id).await.suspension.is_some() {}
    // What failed before has its retry due by now, the rest waited.
    clock.advance(Duration::from_secs(61));
    receiver.wait_for(6).await;
}

#[tokio::test]
async fn an_exhausted_delivery_suspends_or_is_dropped_where_asked_for() {
    let server = TestServer::start().await;
    let (receiver, _) = failing().await;
    let handling =
        FailureHandling { suspend_on_exhausted: true, drop_exhausted: true, ..Default::default() };
    let mut hook = handled(&receiver, handling);
    hook.retry_policy = Some(quick_retries(1));
    let id = server.create(hook).await.webhook_id;
    server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    let last = tail.changes(3).await.pop().and_then(|c| c.event_log).expect("a record");
    assert_eq!(last.status(), DeliveryStatus::Dropped);
    assert!(last.diverted_event_id.is_empty());
    until_suspended(&server, &id).await;
}

#[tokio::test]
async fn failure_handling_is_shown_as_it_was_given_and_bad_spans_are_refused() {
    let server = TestServer::start().await;
    let (receiver, _) = failing().await;
    let handling = FailureHandling {
        suspend_after_failures: 9,
        min_failing_time: Some(ProtoDuration { seconds: 300, nanos: 0 }),
        resume_after: Some(ProtoDuration { seconds: 60, nanos: 0 }),
        ..Default::default()
    };
    let made = server.create(handled(&receiver, handling.clone())).await;
    assert_eq!(made.failure_handling, Some(handling));
    let hasty = FailureHandling {
        resume_after: Some(ProtoDuration { seconds: 0, nanos: 1_000 }),
        suspend_after_failures: -1,
        ..Default::default()
    };
    let mut bad = handled(&receiver, hasty);
    bad.name = "bad".into();
    let request =
        tidings::grpc::proto::CreateWebhookRequest { webhook: Some(bad), ..Default::default() };
    let refused = server.webhooks().create_webhook(request).await.expect_err("two faults");
    let details = tonic_types::StatusExt::get_details_bad_request(&refused).expect("violations");
    let fields: Vec<_> = details.field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "webhook.failure_handling.suspend_after_failures",
            "webhook.failure_handling.resume_after"
        ]
    );
}
