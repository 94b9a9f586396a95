//! One more attempt, asked for by hand.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use tidings::grpc::proto::{
    DeliveryStatus, EventLog, RetryDeliveryRequest, RetryPolicy, SuspendWebhookRequest,
    UnsuspendWebhookRequest, Webhook,
};
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::{
    support::{
        api::{event, no_retries, seconds, webhook},
        receiver::{Receiver, Reply},
        refusal::refused,
        server::TestServer,
    },
    webhooks::delete,
};

async fn retry(server: &TestServer, event_log_id: &str) -> Result<EventLog, Status> {
    let event_log_id = event_log_id.into();
    let request = RetryDeliveryRequest { event_log_id, ..Default::default() };
    let retried = server.event_logs().retry_delivery(request).await?;
    Ok(retried.into_inner().event_log.expect("the record"))
}

/// A receiver whose status can be set.
async fn settable(status: u16) -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let told = status.clone();
    (Receiver::with(move |_| Reply::status(told.load(Ordering::SeqCst))).await, status)
}

fn told(log: &EventLog) -> Vec<(i32, i32)> {
    let http = |log: &tidings::grpc::proto::DeliveryAttempt| {
        log.response.as_ref().map_or(0, |response| response.http_status)
    };
    log.attempts.iter().map(|attempt| (attempt.attempt_number, http(attempt))).collect()
}

#[tokio::test]
async fn a_diverted_delivery_is_pending_again_and_delivered() {
    let server = TestServer::start().await;
    let (receiver, status) = settable(500).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(no_retries());
    server.create(hook).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    let diverted = server.wait_log(&id, "diverted", |log| log.status == 4).await;
    assert!(!diverted.diverted_event_id.is_empty() && diverted.end_time.is_some());

    // It fails once more, and is diverted once more.
    let pending = retry(&server, &diverted.event_log_id).await.expect("retried");
    assert_eq!((pending.status(), pending.end_time), (DeliveryStatus::Pending, None));
    assert_eq!((pending.diverted_event_id.as_str(), pending.attempt_count), ("", 1));
    server.wait_log(&id, "diverted", |log| log.status == 4 && log.attempt_count == 2).await;

    status.store(200, Ordering::SeqCst);
    retry(&server, &diverted.event_log_id).await.expect("retried");
    let done = server.wait_log(&id, "success", |log| log.status == 3).await;
    assert_eq!((done.attempt_count, done.start_time), (3, diverted.start_time));
    assert_eq!(told(&server.log(&id).await), [(1, 500), (2, 500), (3, 200)]);
}

#[tokio::test]
async fn a_succeeded_delivery_is_sent_once_more_and_stays_succeeded() {
    let server = TestServer::start().await;
    let (receiver, status) = settable(200).await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let id = server.publish(event("a", r#"{"n":1}"#)).await.event_id;
    let first = server.wait_log(&id, "success", |log| log.status == 3).await;

    let retried = retry(&server, &first.event_log_id).await.expect("retried");
    assert_eq!((retried.status(), retried.attempt_count), (DeliveryStatus::Succeeded, 1));
    let second = server.wait_log(&id, "an attempt", |log| log.attempt_count == 2).await;
    assert_eq!(second.status(), DeliveryStatus::Succeeded);
    status.store(500, Ordering::SeqCst);
    retry(&server, &first.event_log_id).await.expect("retried");
    let third = server.wait_log(&id, "an attempt", |log| log.attempt_count == 3).await;
    assert_eq!((third.status(), third.next_attempt_time), (DeliveryStatus::Succeeded, None));

    let log = server.log(&id).await;
    assert_eq!(told(&log), [(1, 200), (2, 200), (3, 500)]);
    assert_eq!(log.attempts[0].start_time, first.start_time);
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|r| r.body == received[0].body));
    assert_eq!(received[2].header("tidings-attempt"), Some("3"));
}

fn in_an_hour(url: &str) -> Webhook {
    let mut hook = webhook("w", url, &["*"]);
    hook.retry_policy = Some(RetryPolicy { schedule: vec![seconds(3600)], ..Default::default() });
    hook
}

#[tokio::test]
async fn a_delivery_that_waits_for_its_retry_is_moved_up() {
    let server = TestServer::start().await;
    let (receiver, status) = settable(503).await;
    server.create(in_an_hour(&receiver.url())).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    let waiting = server.wait_log(&id, "a failure", |log| log.status == 2).await;
    assert!(waiting.next_attempt_time.is_some());

    status.store(200, Ordering::SeqCst);
    let moved = retry(&server, &waiting.event_log_id).await.expect("retried");
    assert_eq!(moved.status(), DeliveryStatus::Retrying);
    let seconds = |log: &EventLog| log.next_attempt_time.map(|time| time.seconds);
    assert!(seconds(&moved) < seconds(&waiting));
    let done = server.wait_log(&id, "success", |log| log.status == 3).await;
    assert_eq!((done.attempt_count, done.next_attempt_time), (2, None));
}

#[tokio::test]
async fn a_delivery_that_is_being_attempted_is_refused() {
    let server = TestServer::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(held.clone())).await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    receiver.wait_for(1).await;

    let log = server.log(&id).await;
    let running = refused(retry(&server, &log.event_log_id).await);
    assert_eq!(running.what(), (Code::FailedPrecondition, "WEBHOOK_STATE_CONFLICT"));
    gate.close();
    server.wait_log(&id, "success", |log| log.status == 3).await;
    // Nothing was changed by the refusal.
    assert_eq!(told(&server.log(&id).await), [(1, 200)]);
}

#[tokio::test]
async fn nothing_is_retried_at_a_webhook_that_is_stopped_or_deleted() {
    let server = TestServer::start().await;
    let (receiver, _) = settable(503).await;
    let hook = server.create(in_an_hour(&receiver.url())).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    let log = server.wait_log(&id, "a failure", |log| log.status == 2).await;

    let conflict = (Code::FailedPrecondition, "WEBHOOK_STATE_CONFLICT");
    server.enable(&hook, false).await;
    assert_eq!(refused(retry(&server, &log.event_log_id).await).what(), conflict);
    delete(&server, &hook.webhook_id, "").await.expect("deleted");
    assert_eq!(refused(retry(&server, &log.event_log_id).await).what(), conflict);
    server.wait_log(&id, "diverted", |log| log.status == 4).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_retry_at_a_suspended_webhook_waits_with_the_others() {
    let server = TestServer::start().await;
    let (receiver, status) = settable(503).await;
    let hook = server.create(in_an_hour(&receiver.url())).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    let log = server.wait_log(&id, "a failure", |log| log.status == 2).await;
    let webhook_id = hook.webhook_id.clone();
    let suspend = SuspendWebhookRequest { webhook_id, ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");

    retry(&server, &log.event_log_id).await.expect("retried");
    assert_eq!(receiver.count(), 1);
    status.store(200, Ordering::SeqCst);
    let unsuspend = UnsuspendWebhookRequest { webhook_id: hook.webhook_id, ..Default::default() };
    server.webhooks().unsuspend_webhook(unsuspend).await.expect("resumed");
    server.wait_log(&id, "success", |log| log.status == 3).await;
}

#[tokio::test]
async fn a_record_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let hook = server.create(in_an_hour("http://127.0.0.1:9/")).await;
    let unheard = format!("ccc983c2-df7a-4ece-b5cc-e574cec66fc1.{}", hook.webhook_id);
    for id in [unheard.as_str(), "no id"] {
        let missing = refused(retry(&server, id).await);
        assert_eq!(missing.what(), (Code::NotFound, "EVENT_LOG_NOT_FOUND"), "{id}");
    }
    let nameless = refused(retry(&server, "").await);
    assert_eq!(nameless.reasons(), [("event_log_id", "FIELD_REQUIRED")]);
}
