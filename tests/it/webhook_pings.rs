//! TestWebhook: one request, made as deliveries are, and nothing else.

use std::sync::Arc;

use tidings::grpc::proto::{
    AttemptOutcome, DeliveryAttempt, FailureHandling, HttpHeader, PayloadFormat, SigningScheme,
    SuspendWebhookRequest, TestWebhookRequest, Webhook, WebhookState,
    test_webhook_request::Subject,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status};

use super::{
    signatures::{secrets, signed, v1},
    support::{
        api::{event, http, update, webhook},
        receiver::{Receiver, Reply},
        refusal::refused,
        server::TestServer,
    },
    webhooks::delete,
};

const NOWHERE: &str = "http://127.0.0.1:9/";

async fn try_ping(
    server: &TestServer,
    subject: Subject,
    payload_json: &str,
) -> Result<DeliveryAttempt, Status> {
    let payload_json = payload_json.into();
    let request = TestWebhookRequest { subject: Some(subject), payload_json, ..Default::default() };
    let tested = server.webhooks().test_webhook(request).await?.into_inner();
    Ok(tested.attempt.expect("an attempt"))
}

async fn ping(server: &TestServer, webhook: &Webhook) -> DeliveryAttempt {
    let subject = Subject::WebhookId(webhook.webhook_id.clone());
    try_ping(server, subject, "").await.expect("a test")
}

/// A test that is on its way.
fn start_ping(server: &TestServer, webhook: &Webhook) -> JoinHandle<Result<(), Status>> {
    let subject = Some(Subject::WebhookId(webhook.webhook_id.clone()));
    let request = TestWebhookRequest { subject, ..Default::default() };
    let mut webhooks = server.webhooks();
    tokio::spawn(async move { webhooks.test_webhook(request).await.map(drop) })
}

/// A receiver that answers once its gate lets it.
async fn gated() -> (Receiver, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    (Receiver::with(move |_| Reply::status(200).held_by(held.clone())).await, gate)
}

fn at_once(name: &str, url: &str, connections: i32) -> Webhook {
    Webhook { max_allowed_connections: Some(connections), ..webhook(name, url, &["*"]) }
}

#[tokio::test]
async fn a_test_is_signed_and_formatted_and_marked_and_leaves_nothing_behind() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let mut hook = signed(&receiver.url(), SigningScheme::StandardWebhooks, &[]);
    hook.payload_format = PayloadFormat::Sonar.into();
    let sensitive =
        HttpHeader { name: "X-Key".into(), values: vec!["hidden".into()], sensitive: true };
    http(&mut hook).headers.push(sensitive);
    let made = server.create(hook).await;
    let secret = secrets(&made)[0].value.clone();

    let attempt = ping(&server, &made).await;
    assert_eq!((attempt.attempt_number, attempt.outcome()), (1, AttemptOutcome::Success));
    assert_eq!(attempt.response.expect("an answer").http_status, 200);
    assert!(attempt.start_time.is_some() && attempt.end_time.is_some());
    let got = receiver.wait_for(1).await.remove(0);
    let id = got.header("tidings-event-id").expect("an id");
    let body = format!(r#"{{"action":"webhook.ping","uuid":"{id}","ping":true}}"#);
    assert_eq!(String::from_utf8_lossy(&got.body), body);
    assert_eq!(got.header("tidings-test"), Some("true"));
    assert_eq!(got.header("tidings-webhook-id"), Some(made.webhook_id.as_str()));
    assert_eq!(got.header("x-key"), Some("hidden"));
    assert_eq!(got.header("webhook-signature"), Some(&*v1(&secret, &got)));
    let shown = |name: &str| {
        let mut headers = attempt.request_headers.iter();
        headers.find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.values[0].as_str())
    };
    assert_eq!((shown("tidings-test"), shown("tidings-event-id")), (Some("true"), Some(id)));
    assert_eq!((shown("x-key"), shown("webhook-signature")), (Some("***"), Some("***")));

    let own = Subject::WebhookId(made.webhook_id.clone());
    try_ping(&server, own, r#"{"n":9007199254740993}"#).await.expect("a test");
    let body = receiver.wait_for(2).await.remove(1).body;
    assert!(String::from_utf8_lossy(&body).ends_with(r#","n":9007199254740993}"#));
    assert!(server.logs(Default::default()).await.is_empty());
    // A real delivery is not marked.
    server.publish(event("a", "{}")).await;
    assert_eq!(receiver.wait_for(3).await[2].header("tidings-test"), None);
}

#[tokio::test]
async fn a_definition_is_tested_without_being_stored() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let hook = signed(&receiver.url(), SigningScheme::HmacSha256Hex, &["0123456789abcdef"]);
    let attempt = try_ping(&server, Subject::Webhook(hook.clone()), "").await.expect("a test");
    assert_eq!(attempt.outcome(), AttemptOutcome::Success);
    assert!(receiver.wait_for(1).await[0].header("x-tidings-signature").is_some());
    let unset = signed(&receiver.url(), SigningScheme::StandardWebhooks, &[]);
    try_ping(&server, Subject::Webhook(unset), "").await.expect("a test");
    assert!(receiver.wait_for(2).await[1].header("webhook-signature").is_some());
    assert_eq!(server.list(Default::default()).await.webhooks, []);

    // Nor does it lend stored values to another URL.
    let mut stolen = server.create(hook).await;
    http(&mut stolen).headers =
        vec![HttpHeader { name: "X-Key".into(), values: vec!["***".into()], sensitive: true }];
    let refusal = refused(try_ping(&server, Subject::Webhook(stolen), "").await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_webhook_that_is_held_or_stopped_is_tested_too_and_stays_so() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let held = server.create(at_once("held", &receiver.url(), 1)).await;
    let suspend =
        SuspendWebhookRequest { webhook_id: held.webhook_id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let stopped = server.create(at_once("stopped", &receiver.url(), 1)).await;
    server.enable(&stopped, false).await;
    server.publish(event("a", "{}")).await;
    for hook in [&held, &stopped] {
        assert_eq!(ping(&server, hook).await.outcome(), AttemptOutcome::Success);
    }
    assert_eq!(server.webhook(&held.webhook_id).await.state(), WebhookState::Suspended);
    assert_eq!(server.webhook(&stopped.webhook_id).await.state(), WebhookState::Stopped);
    let received = receiver.received();
    assert!(received.iter().all(|r| r.header("tidings-test").is_some()), "only tests arrived");
    assert_eq!(received.len(), 2);
}

#[tokio::test]
async fn failures_are_outcomes_and_count_for_nothing() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| match r.path.as_str() {
        "/never" => Reply::never(),
        _ => Reply::status(410).body("gone"),
    })
    .await;
    let failure_handling =
        Some(FailureHandling { suspend_after_failures: 1, ..Default::default() });
    let hook = |name: &str, url: &str| Webhook {
        failure_handling: failure_handling.clone(),
        ..webhook(name, url, &["*"])
    };
    let gone = server.create(hook("gone", &receiver.url())).await;
    for _ in 0..3 {
        let attempt = ping(&server, &gone).await;
        assert_eq!(attempt.outcome(), AttemptOutcome::HttpError);
        let answer = attempt.response.expect("an answer");
        assert_eq!((answer.http_status, answer.body_excerpt.as_str()), (410, "gone"));
    }
    assert_eq!(receiver.count(), 3, "nothing is retried");
    let mut slow = hook("slow", &receiver.url_at("/never"));
    http(&mut slow).timeout = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
    let slow = server.create(slow).await;
    assert_eq!(ping(&server, &slow).await.outcome(), AttemptOutcome::Timeout);
    let closed = server.create(hook("closed", NOWHERE)).await;
    let attempt = ping(&server, &closed).await;
    assert_eq!(attempt.outcome(), AttemptOutcome::ConnectionError);
    assert!(attempt.response.is_none() && !attempt.error_message.is_empty());
    for hook in [gone, slow, closed] {
        assert_eq!(server.webhook(&hook.webhook_id).await.state(), WebhookState::Active);
    }
}

#[tokio::test]
async fn tests_and_deliveries_share_the_webhooks_connections() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated().await;
    let hook = server.create(at_once("w", &receiver.url(), 2)).await;
    for _ in 0..6 {
        server.publish(event("a", "{}")).await;
    }
    receiver.wait_for(2).await;
    let test = start_ping(&server, &hook);
    gate.add_permits(1);
    let marked = |r: &super::support::receiver::Received| r.header("tidings-test").is_some();
    while !receiver.received().iter().any(marked) {
        let count = receiver.count();
        gate.add_permits(1);
        receiver.wait_until("more", |received| received.len() > count || received.len() >= 7).await;
    }
    gate.close();
    test.await.expect("no panic").expect("a test");
    receiver.wait_for(7).await;
    assert_eq!(receiver.max_open(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_the_slot() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated().await;
    let hook = server.create(at_once("w", &receiver.url(), 1)).await;
    let test = start_ping(&server, &hook);
    receiver.wait_for(1).await;
    server.publish(event("a", "{}")).await;
    test.abort();
    // Only with the slot can the delivery begin: the gate is still shut.
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].header("tidings-test"), None);
    gate.close();
}

#[tokio::test]
async fn tests_that_wait_are_bounded_and_end_with_their_webhook() {
    let server = TestServer::start().await;
    let (receiver, gate) = gated().await;
    let hook = server.create(at_once("w", &receiver.url(), 1)).await;
    let mut tests = JoinSet::new();
    for number in 0..12 {
        let test = start_ping(&server, &hook);
        tests.spawn(async move { test.await.expect("no panic") });
        if number == 0 {
            receiver.wait_for(1).await;
        }
    }
    // One is under way and eight wait: three are refused.
    for _ in 0..3 {
        let refusal = refused(tests.join_next().await.expect("a test").expect("no panic"));
        assert_eq!(refusal.what(), (Code::ResourceExhausted, "OVERLOADED"));
    }
    delete(&server, &hook.webhook_id, "").await.expect("deleted");
    for _ in 0..8 {
        let refusal = refused(tests.join_next().await.expect("a test").expect("no panic"));
        assert_eq!(refusal.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
    }
    gate.close();
    tests.join_next().await.expect("the first").expect("no panic").expect("it was made");
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_changed_webhook_is_tested_as_it_is_now_and_after_a_restart() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let mut hook = server.create(webhook("w", NOWHERE, &["*"])).await;
    http(&mut hook).url = receiver.url();
    let hook = server.update(update(hook, &["destination"])).await;
    assert_eq!(ping(&server, &hook).await.outcome(), AttemptOutcome::Success);
    let server = server.restart().await;
    assert_eq!(ping(&server, &hook).await.outcome(), AttemptOutcome::Success);
}

#[tokio::test]
async fn faults_of_a_test_are_named_and_other_tenants_webhooks_are_not_found() {
    let server = TestServer::start().await;
    let hook = server.create(webhook("w", NOWHERE, &["*"])).await;
    let none = server.webhooks().test_webhook(TestWebhookRequest::default()).await;
    assert_eq!(refused(none).reasons(), [("subject", "FIELD_REQUIRED")]);
    let nameless = refused(try_ping(&server, Subject::WebhookId(String::new()), "[1]").await);
    assert_eq!(nameless.fields(), ["payload_json", "webhook_id"]);
    let bad = Webhook { tenant_id: "acme".into(), ..webhook("", "ftp://x/", &["a b"]) };
    let refusal = refused(try_ping(&server, Subject::Webhook(bad), "{").await);
    let mut fields = refusal.fields();
    fields.sort_unstable();
    let expected = [
        "payload_json",
        "webhook.destination.http.url",
        "webhook.event_names[0]",
        "webhook.name",
        "webhook.tenant_id",
    ];
    assert_eq!(fields, expected);

    let subject = || Some(Subject::WebhookId(hook.webhook_id.clone()));
    let theirs =
        TestWebhookRequest { tenant_id: "acme".into(), subject: subject(), ..Default::default() };
    let missing = refused(server.webhooks().test_webhook(theirs).await);
    assert_eq!(missing.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
    delete(&server, &hook.webhook_id, "").await.expect("deleted");
    let deleted = TestWebhookRequest { subject: subject(), ..Default::default() };
    let missing = refused(server.webhooks().test_webhook(deleted).await);
    assert_eq!(missing.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
}
