//! Enrichment: who gets which block of an event, now, at a retry and after a restart.

use std::collections::HashMap;

use tidings::grpc::proto::{
    CreateWebhookRequest, Enrichment, Event, GetEventRequest, PayloadFormat, PublishEventRequest,
    Webhook,
};

use super::support::{
    api::{event, quick_retries, update, webhook},
    receiver::{Receiver, Reply},
    refusal::refused,
    server::TestServer,
};

const IDENTIFIERS: &str = r#"{"mobile":"+49 1","email":"a@b.example"}"#;

fn blocks(entries: &[(&str, &str)]) -> HashMap<String, String> {
    entries.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn enriched() -> Event {
    let entries = [("tillDetails", r#"{"till": 1.10}"#), ("customerIdentifiers", IDENTIFIERS)];
    Event { enrichments_json: blocks(&entries), ..event("a", "{}") }
}

fn asking(name: &str, url: &str, till_details: bool, identifiers: &[&str]) -> Webhook {
    let customer_identifiers = identifiers.iter().map(|&name| name.into()).collect();
    let enrichment = Enrichment { till_details, customer_identifiers, ..Default::default() };
    Webhook { enrichment: Some(enrichment), ..webhook(name, url, &["*"]) }
}

#[tokio::test]
async fn each_webhook_receives_only_what_it_asked_for() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| {
        Reply::status(if r.header("tidings-attempt") == Some("1") { 500 } else { 200 })
    })
    .await;
    let hooks = [
        asking("all", &receiver.url_at("/all"), true, &["email", "mobile"]),
        asking("till", &receiver.url_at("/till"), true, &[]),
        asking("mail", &receiver.url_at("/mail"), false, &["email", "other"]),
        webhook("none", &receiver.url_at("/none"), &["*"]),
    ];
    for hook in hooks {
        let asked = hook.enrichment.clone();
        let retry_policy = Some(quick_retries(1));
        let made = server.create(Webhook { retry_policy, ..hook }).await;
        assert_eq!(made.enrichment, asked);
        assert_eq!(server.webhook(&made.webhook_id).await, made);
    }
    server.publish(enriched()).await;
    let till = r#","tillDetails":{"till": 1.10}"#;
    let received = receiver.wait_for(8).await;
    for (path, end) in [
        (
            "/all",
            format!(
                r#""data":{{}}{till},"customerIdentifiers":{{"email":"a@b.example","mobile":"+49 1"}}}}"#
            ),
        ),
        ("/till", format!(r#""data":{{}}{till}}}"#)),
        ("/mail", r#""data":{},"customerIdentifiers":{"email":"a@b.example"}}"#.to_owned()),
        ("/none", r#""data":{}}"#.to_owned()),
    ] {
        let got: Vec<_> = received.iter().filter(|r| r.path == path).collect();
        assert_eq!(got.len(), 2, "{path}");
        for got in got {
            let body = String::from_utf8_lossy(&got.body);
            assert!(body.ends_with(&end), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn blocks_survive_a_restart_and_an_update_decides_what_is_sent() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let made = server.create(asking("w", "http://127.0.0.1:9/", false, &[])).await;
    assert_eq!(made.enrichment, None, "what asks for nothing is not shown");
    let policy = Some(tidings::grpc::proto::RetryPolicy {
        schedule: vec![super::support::api::seconds(3_600)],
        ..Default::default()
    });
    let hook = Webhook { retry_policy: policy, ..made };
    let hook = server.update(update(hook, &["retry_policy"])).await;
    let published = server.publish(enriched()).await;
    let log = server.wait_log(&published.event_id, "a failure", |log| log.status == 2).await;
    let server = server.restart().await;

    let request = GetEventRequest { event_id: published.event_id.clone(), ..Default::default() };
    let kept = server.events().get_event(request).await.expect("an event").into_inner();
    assert_eq!(kept.event.expect("the event").enrichments_json, enriched().enrichments_json);
    let change = Webhook { webhook_id: hook.webhook_id, ..asking("w", &receiver.url(), true, &[]) };
    server.update(update(change, &["enrichment.till_details", "destination.http.url"])).await;
    let retry = tidings::grpc::proto::RetryDeliveryRequest {
        event_log_id: log.event_log_id,
        ..Default::default()
    };
    server.event_logs().retry_delivery(retry).await.expect("retried");
    let received = receiver.wait_for(1).await;
    let body = received[0].json();
    assert_eq!(body["tillDetails"]["till"], 1.1);
    assert!(body.get("customerIdentifiers").is_none());
}

#[tokio::test]
async fn all_faults_of_enrichments_are_named() {
    let server = TestServer::start().await;
    let big = format!("\"{}\"", "x".repeat(64 * 1024));
    let publish = |entries: &[(&str, &str)]| {
        let event = Event { enrichments_json: blocks(entries), ..event("a", "{}") };
        let mut events = server.events();
        async move {
            let request = PublishEventRequest { event: Some(event), ..Default::default() };
            refused(events.publish_event(request).await)
        }
    };
    let refusal = publish(&[
        ("tillDetails", "{"),
        ("customerIdentifiers", "[]"),
        ("till_details", "{}"),
        ("\0", "{}"),
    ])
    .await;
    let at = ["\\u{0}", "customerIdentifiers", "tillDetails", "till_details"];
    assert_eq!(refusal.fields(), at.map(|name| format!("event.enrichments_json[{name}]")));
    assert_eq!(publish(&[("tillDetails", &big)]).await.fields(), ["event.enrichments_json"]);

    let long = "x".repeat(256);
    let bad = Webhook {
        payload_format: PayloadFormat::Raw.into(),
        ..asking("w", "http://127.0.0.1:9/", false, &["a", "a", "", &long])
    };
    let request = CreateWebhookRequest { webhook: Some(bad), ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    let mut fields = refusal.fields();
    fields.sort_unstable();
    let at = |i: usize| format!("webhook.enrichment.customer_identifiers[{i}]");
    assert_eq!(fields, ["webhook.enrichment".to_owned(), at(1), at(2), at(3)]);
}
