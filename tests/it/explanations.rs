//! ExplainEvent: why an event goes to a webhook, or does not.

use prost_types::{Value, value::Kind};
use tidings::grpc::proto::{
    Event, EventFilter, ExplainEventRequest, FilterOperator, PublishEventRequest,
    SuspendWebhookRequest, Webhook, WebhookMatch, explain_event_request::Subject,
};
use tonic::{Code, Status};

use super::{
    support::{
        api::{event, webhook},
        receiver::Receiver,
        refusal::refused,
        server::TestServer,
    },
    webhooks::delete,
};

const NOWHERE: &str = "http://127.0.0.1:9/";

async fn try_explain(server: &TestServer, subject: Subject) -> Result<Vec<WebhookMatch>, Status> {
    let request = ExplainEventRequest { subject: Some(subject), ..Default::default() };
    Ok(server.events().explain_event(request).await?.into_inner().matches)
}

async fn explain(server: &TestServer, event: Event) -> Vec<WebhookMatch> {
    try_explain(server, Subject::Event(event)).await.expect("explained")
}

async fn explain_id(server: &TestServer, id: &str) -> Vec<WebhookMatch> {
    try_explain(server, Subject::EventId(id.into())).await.expect("explained")
}

fn told(matches: &[WebhookMatch]) -> Vec<(&str, bool, &str)> {
    matches.iter().map(|m| (m.webhook_name.as_str(), m.matched, m.reason.as_str())).collect()
}

fn over_100(name: &str, url: &str) -> Webhook {
    let values = vec![Value { kind: Some(Kind::NumberValue(100.0)) }];
    let operator = FilterOperator::GreaterThan.into();
    let event_filters = vec![EventFilter { path: "/amount".into(), operator, values }];
    Webhook { event_filters, ..webhook(name, url, &["loyalty.*"]) }
}

#[tokio::test]
async fn every_webhook_has_its_reason_and_nothing_is_published() {
    let server = TestServer::start().await;
    server.create(over_100("d", NOWHERE)).await;
    server.create(webhook("c", NOWHERE, &["other"])).await;
    let stopped = server.create(webhook("b", NOWHERE, &["*"])).await;
    server.enable(&stopped, false).await;
    let held = server.create(webhook("a", NOWHERE, &["*"])).await;
    let suspend = SuspendWebhookRequest { webhook_id: held.webhook_id, ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let gone = server.create(webhook("gone", NOWHERE, &["*"])).await;
    delete(&server, &gone.webhook_id, "").await.expect("deleted");

    let small = explain(&server, event("loyalty.x", r#"{"amount":40}"#)).await;
    let held = "event_names has *; webhook is suspended, so the delivery waits";
    let expected = [
        ("a", true, held),
        ("b", false, "webhook is stopped"),
        ("c", false, "event_names has nothing that fits loyalty.x"),
        ("d", false, "filter 1 (/amount > 100): value is 40"),
    ];
    assert_eq!(told(&small), expected);
    assert!(small.iter().all(|m| m.event_log_id.is_empty() && !m.webhook_id.is_empty()));
    let large = explain(&server, event("loyalty.x", r#"{"amount":100.5}"#)).await;
    assert_eq!(told(&large)[3], ("d", true, "event_names has loyalty.*; its filter holds"));
    assert!(server.logs(Default::default()).await.is_empty(), "nothing was published");
}

#[tokio::test]
async fn a_published_event_is_explained_by_what_became_of_it() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let sent = server.create(webhook("sent", &receiver.url(), &["*"])).await;
    let gone = server.create(webhook("gone", &receiver.url(), &["*"])).await;
    server.create(over_100("refused", &receiver.url())).await;
    let id = server.publish(event("loyalty.x", r#"{"amount":1}"#)).await.event_id;
    receiver.wait_for(2).await;
    delete(&server, &gone.webhook_id, "").await.expect("deleted");
    server.create(webhook("young", NOWHERE, &["*"])).await;

    let matches = explain_id(&server, &id).await;
    let deleted = "it matched when the event was published; the webhook was deleted since";
    let expected = [
        ("gone", true, deleted),
        ("refused", false, "filter 1 (/amount > 100): value is 1"),
        ("sent", true, "event_names has *"),
        ("young", false, "webhook was made after the event"),
    ];
    assert_eq!(told(&matches), expected);
    assert_eq!(matches[2].event_log_id, format!("{id}.{}", sent.webhook_id));
    let logs = server.logs(Default::default()).await;
    assert!(logs.iter().any(|log| log.event_log_id == matches[2].event_log_id));
    assert_eq!(matches[3].event_log_id, "");
}

#[tokio::test]
async fn explaining_agrees_with_publishing() {
    let server = TestServer::start().await;
    for n in 0..200 {
        let names = [&["a.*"][..], &["*"], &["a.b"], &["b"], &["a"]][n % 5];
        server.create(webhook(&format!("w{n:03}"), NOWHERE, names)).await;
    }
    for name in ["a.b", "a", "b", "a.c", "c"] {
        let said = explain(&server, event(name, "{}")).await;
        assert_eq!(said.len(), 200);
        let matched = said.iter().filter(|m| m.matched).count();
        let published = server.publish(event(name, "{}")).await;
        assert_eq!(i32::try_from(matched), Ok(published.matched_webhook_count), "{name}");
        let after = explain_id(&server, &published.event_id).await;
        assert_eq!(told(&after), told(&said));
        assert!(after.iter().all(|m| m.event_log_id.is_empty() != m.matched));
    }
}

#[tokio::test]
async fn what_publishing_would_refuse_is_refused_and_other_tenants_have_nothing_here() {
    let server = TestServer::start().await;
    server.create(webhook("w", NOWHERE, &["*"])).await;
    let none = server.events().explain_event(ExplainEventRequest::default()).await;
    assert_eq!(refused(none).reasons(), [("subject", "FIELD_REQUIRED")]);
    let bad = Event { ref_id: "\0".into(), ..event("a b", "[]") };
    let refusal = refused(try_explain(&server, Subject::Event(bad)).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.fields(), ["event.event_name", "event.ref_id", "event.json"]);
    let nameless = refused(try_explain(&server, Subject::EventId(String::new())).await);
    assert_eq!(nameless.reasons(), [("event_id", "FIELD_REQUIRED")]);

    let published = PublishEventRequest {
        tenant_id: "acme".into(),
        event: Some(event("a", "{}")),
        ..Default::default()
    };
    let theirs = server.events().publish_event(published).await.expect("published").into_inner();
    let theirs = theirs.result.expect("a result").event_id;
    for id in [theirs.as_str(), "no id"] {
        let missing = refused(try_explain(&server, Subject::EventId(id.into())).await);
        assert_eq!(missing.what(), (Code::NotFound, "EVENT_NOT_FOUND"), "{id}");
    }
    let request =
        ExplainEventRequest { tenant_id: "acme".into(), subject: Some(Subject::EventId(theirs)) };
    let at_acme = server.events().explain_event(request).await.expect("explained").into_inner();
    assert_eq!(at_acme.matches, [], "webhooks of others are not told");
}
