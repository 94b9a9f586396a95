//! Webhooks that are stopped, deleted or suspended: what becomes of what waits.

use std::{sync::Arc, time::Duration};

use tidings::grpc::proto::{
    DeliveryStatus, EventLogFilter, RetryPolicy, SuspendWebhookRequest, SuspensionCause,
    UnsuspendWebhookRequest, Webhook, WebhookState,
};
use tokio::sync::Semaphore;
use tonic::Code;

use super::{
    support::{
        api::{event, seconds, webhook},
        clock::ManualClock,
        receiver::{Receiver, Reply},
        refusal::refused,
        server::TestServer,
    },
    webhooks::delete,
};

async fn suspend(server: &TestServer, hook: &Webhook, duration: Option<i64>) -> Webhook {
    let request = SuspendWebhookRequest {
        webhook_id: hook.webhook_id.clone(),
        message: "maintenance".into(),
        duration: duration.map(seconds),
        ..Default::default()
    };
    let suspended = server.webhooks().suspend_webhook(request).await.expect("suspended");
    suspended.into_inner().webhook.expect("the webhook")
}

async fn unsuspend(server: &TestServer, hook: &Webhook) -> Webhook {
    let webhook_id = hook.webhook_id.clone();
    let request = UnsuspendWebhookRequest { webhook_id, ..Default::default() };
    let resumed = server.webhooks().unsuspend_webhook(request).await.expect("resumed");
    resumed.into_inner().webhook.expect("the webhook")
}

async fn publish(server: &TestServer, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..n {
        ids.push(server.publish(event("pointsIssued", "{}")).await.event_id);
    }
    ids
}

async fn settled(server: &TestServer, event_id: &str) -> DeliveryStatus {
    let is_settled = |status| status > DeliveryStatus::Retrying as i32;
    server.wait_log(event_id, "its end", |log| is_settled(log.status)).await.status()
}

/// A receiver that answers one request per permit.
async fn gated(status: u16) -> (Receiver, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    (Receiver::with(move |_| Reply::status(status).held_by(held.clone())).await, gate)
}

/// One delivery at a time, an hour between attempts.
fn slow(url: &str) -> Webhook {
    let mut slow = webhook("slow", url, &["pointsIssued"]);
    slow.max_allowed_connections = Some(1);
    slow.retry_policy = Some(RetryPolicy { schedule: vec![seconds(3600)], ..Default::default() });
    slow
}

#[tokio::test]
async fn stopping_diverts_what_waits_and_starting_goes_on_with_new_events() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated(200).await;
    let hook = server.create(slow(&receiver.url())).await;
    let ids = publish(&server, 4).await;
    receiver.wait_for(1).await;

    let stopped = server.enable(&hook, false).await;
    assert_eq!(stopped.state(), WebhookState::Stopped);
    for id in &ids[1..] {
        let log = server.wait_log(id, "diverted", |log| log.status == 4).await;
        assert_eq!((log.attempt_count, log.diverted_event_id), (0, log.event_log_id.clone()));
        assert!(log.end_time.is_some());
    }
    gate.close();
    // What was on its way has arrived.
    assert_eq!(settled(&server, &ids[0]).await, DeliveryStatus::Succeeded);
    assert_eq!(server.publish(event("pointsIssued", "{}")).await.matched_webhook_count, 0);

    server.enable(&hook, true).await;
    let new = publish(&server, 2).await;
    for id in &new {
        assert_eq!(settled(&server, id).await, DeliveryStatus::Succeeded);
    }
    assert_eq!(receiver.count(), 3);
    let diverted = EventLogFilter { statuses: vec![4], ..Default::default() };
    assert_eq!(server.logs(diverted).await.len(), 3);
}

#[tokio::test]
async fn deleting_diverts_what_waits_and_what_waits_for_a_retry() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated(503).await;
    let hook = server.create(slow(&receiver.url())).await;
    let ids = publish(&server, 4).await;
    gate.add_permits(1);
    server.wait_log(&ids[0], "a failure", |log| log.status == 2).await;
    receiver.wait_for(2).await;

    delete(&server, &hook.webhook_id, "").await.expect("deleted");
    for id in [&ids[0], &ids[2], &ids[3]] {
        assert_eq!(settled(&server, id).await, DeliveryStatus::Diverted);
    }
    // Its failure would have been tried again.
    gate.close();
    assert_eq!(settled(&server, &ids[1]).await, DeliveryStatus::Diverted);
    assert_eq!(server.log(&ids[1]).await.attempt_count, 1);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn nothing_stays_behind_where_a_stop_meets_a_failure_that_is_being_recorded() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated(503).await;
    for round in 0..100 {
        let hook = Webhook { name: format!("w{round}"), ..slow(&receiver.url()) };
        let hook = server.create(hook).await;
        let id = publish(&server, 1).await.remove(0);
        receiver.wait_for(round + 1).await;
        gate.add_permits(1);
        server.enable(&hook, false).await;
        assert_eq!(settled(&server, &id).await, DeliveryStatus::Diverted, "round {round}");
    }
}

#[tokio::test]
async fn nothing_stays_behind_where_stops_follow_each_other_closely() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    suspend(&server, &hook, None).await;
    for round in 0..20 {
        server.enable(&hook, false).await;
        server.enable(&hook, true).await;
        let id = publish(&server, 1).await.remove(0);
        server.enable(&hook, false).await;
        assert_eq!(settled(&server, &id).await, DeliveryStatus::Diverted, "round {round}");
        server.enable(&hook, true).await;
    }
}

#[tokio::test]
async fn events_published_after_a_start_are_not_diverted_by_the_stop_before_it() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let hook = server.create(webhook("w", &receiver.url(), &["*"])).await;
    for round in 0..30 {
        server.enable(&hook, false).await;
        server.enable(&hook, true).await;
        for id in publish(&server, 3).await {
            assert_eq!(settled(&server, &id).await, DeliveryStatus::Succeeded, "round {round}");
        }
    }
}

#[tokio::test]
async fn a_suspension_holds_deliveries_until_it_is_lifted() {
    let server = TestServer::start().await;
    let (held, open) = (Receiver::start().await, Receiver::start().await);
    let hook = server.create(webhook("held", &held.url(), &["*"])).await;
    server.create(webhook("open", &open.url(), &["*"])).await;

    let suspended = suspend(&server, &hook, None).await;
    assert_eq!(suspended.state(), WebhookState::Suspended);
    let suspension = suspended.suspension.clone().expect("a suspension");
    assert_eq!(suspension.cause(), SuspensionCause::Operator);
    assert_eq!((suspension.message.as_str(), suspension.resume_time), ("maintenance", None));
    assert!(suspension.suspend_time.is_some());
    assert_ne!(suspended.etag, hook.etag);

    let ids = publish(&server, 3).await;
    open.wait_for(3).await;
    assert_eq!(held.count(), 0);
    let webhook_ids = vec![hook.webhook_id.clone()];
    let waiting = server.logs(EventLogFilter { webhook_ids, ..Default::default() }).await;
    let states: Vec<_> = waiting.iter().map(|log| (log.status, log.attempt_count)).collect();
    assert_eq!(states, [(1, 0), (1, 0), (1, 0)]);

    let resumed = unsuspend(&server, &hook).await;
    assert_eq!((resumed.state(), resumed.suspension.clone()), (WebhookState::Active, None));
    let received = held.wait_for(3).await;
    let mut arrived: Vec<_> =
        received.iter().filter_map(|r| r.header("tidings-event-id")).collect();
    arrived.sort_unstable();
    let mut expected: Vec<_> = ids.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(arrived, expected);
    // Nothing to lift is no change.
    assert_eq!(unsuspend(&server, &hook).await, resumed);
}

#[tokio::test]
async fn suspending_again_changes_why_but_not_since_when() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    let first = suspend(&server, &hook, None).await.suspension.expect("a suspension");
    let request = SuspendWebhookRequest {
        webhook_id: hook.webhook_id.clone(),
        message: "longer".into(),
        duration: Some(seconds(3600)),
        ..Default::default()
    };
    let second = server.webhooks().suspend_webhook(request).await.expect("suspended").into_inner();
    let second = second.webhook.and_then(|hook| hook.suspension).expect("a suspension");
    assert_eq!((second.suspend_time, second.message.as_str()), (first.suspend_time, "longer"));
    assert!(second.resume_time.is_some());

    // Stopped wins over suspended, and the suspension outlives the stop.
    assert_eq!(server.enable(&hook, false).await.state(), WebhookState::Stopped);
    assert_eq!(server.enable(&hook, true).await.state(), WebhookState::Suspended);
}

#[tokio::test]
async fn a_suspension_with_a_duration_ends_by_itself() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |_| {}).await;
    let receiver = Receiver::start().await;
    let hook = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let suspended = suspend(&server, &hook, Some(60)).await.suspension.expect("a suspension");
    let span = |time: Option<prost_types::Timestamp>| time.expect("a time").seconds;
    assert_eq!(span(suspended.resume_time) - span(suspended.suspend_time), 60);

    let ids = publish(&server, 2).await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(server.webhook(&hook.webhook_id).await.state(), WebhookState::Suspended);
    assert_eq!(receiver.count(), 0);
    clock.advance(Duration::from_secs(1));
    receiver.wait_for(2).await;
    for id in &ids {
        assert_eq!(settled(&server, id).await, DeliveryStatus::Succeeded);
    }
    let resumed = server.webhook(&hook.webhook_id).await;
    assert_eq!((resumed.state(), resumed.suspension), (WebhookState::Active, None));
    let updated_by = resumed.attribution.and_then(|a| a.updated_by).expect("an actor");
    assert_eq!(updated_by.code, "tidings");
}

#[tokio::test]
async fn a_suspension_and_what_it_holds_survive_a_restart() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let hook = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let suspended = suspend(&server, &hook, None).await;
    let ids = publish(&server, 3).await;

    let server = server.restart().await;
    assert_eq!(server.webhook(&hook.webhook_id).await, suspended);
    assert_eq!(server.log(&ids[0]).await.status(), DeliveryStatus::Pending);
    assert_eq!(receiver.count(), 0);
    unsuspend(&server, &hook).await;
    receiver.wait_for(3).await;
}

#[tokio::test]
async fn stopping_a_suspended_webhook_diverts_what_it_held() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    suspend(&server, &hook, None).await;
    let ids = publish(&server, 3).await;
    server.enable(&hook, false).await;
    for id in &ids {
        assert_eq!(settled(&server, id).await, DeliveryStatus::Diverted);
    }
}

#[tokio::test]
async fn all_faults_of_a_suspension_are_named() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    for duration in [seconds(0), seconds(-1), seconds(366 * 24 * 3600)] {
        let request = SuspendWebhookRequest {
            webhook_id: hook.webhook_id.clone(),
            message: "nul \0".into(),
            duration: Some(duration),
            ..Default::default()
        };
        let bad = refused(server.webhooks().suspend_webhook(request).await);
        assert_eq!(bad.what(), (Code::InvalidArgument, "FIELD_INVALID"));
        let mut fields = bad.fields();
        fields.sort_unstable();
        assert_eq!(fields, ["duration", "message"]);
    }
    assert_eq!(server.webhook(&hook.webhook_id).await, hook);
}
