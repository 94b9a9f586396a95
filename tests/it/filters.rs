//! Filters of webhooks: what arrives, what is refused, what an update replaces.

use prost_types::{Value, value::Kind};
use tidings::grpc::proto::{CreateWebhookRequest, EventFilter, FilterOperator, Webhook};

use super::support::{
    api::{event, update, webhook},
    receiver::Receiver,
    refusal::refused,
    server::TestServer,
};

fn filter(path: &str, operator: FilterOperator, kinds: Vec<Kind>) -> EventFilter {
    let values = kinds.into_iter().map(|kind| Value { kind: Some(kind) }).collect();
    EventFilter { path: path.into(), operator: operator.into(), values }
}

fn filtered(name: &str, url: &str, event_filters: Vec<EventFilter>) -> Webhook {
    Webhook { event_filters, ..webhook(name, url, &["pointsIssued"]) }
}

async fn matched(server: &TestServer, json: &str) -> i32 {
    server.publish(event("pointsIssued", json)).await.matched_webhook_count
}

#[tokio::test]
async fn only_what_fulfils_all_filters_arrives() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let filters = vec![
        filter("/tier", FilterOperator::Equals, vec![Kind::StringValue("gold".into())]),
        filter("/id", FilterOperator::GreaterThan, vec![Kind::NumberValue(9007199254740992.0)]),
    ];
    let made = server.create(filtered("w", &receiver.url(), filters.clone())).await;
    assert_eq!(made.event_filters, filters);
    assert_eq!(server.webhook(&made.webhook_id).await, made);

    assert_eq!(matched(&server, r#"{"tier":"gold","id":9007199254740992}"#).await, 0);
    assert_eq!(matched(&server, r#"{"tier":"tin","id":9007199254740993}"#).await, 0);
    assert_eq!(matched(&server, r#"{"tier":"gold","id":9007199254740993}"#).await, 1);
    let received = receiver.wait_for(1).await;
    assert!(String::from_utf8_lossy(&received[0].body).contains("9007199254740993"));

    // Filters survive a restart, and an update replaces them whole.
    let server = server.restart().await;
    assert_eq!(matched(&server, r#"{"tier":"tin","id":9007199254740993}"#).await, 0);
    let event_filters = vec![filter("/id", FilterOperator::Exists, vec![])];
    let change = Webhook { event_filters, webhook_id: made.webhook_id.clone(), ..made.clone() };
    let change = Webhook { etag: String::new(), ..change };
    server.update(update(change.clone(), &["event_filters"])).await;
    assert_eq!(matched(&server, r#"{"id":null}"#).await, 1);
    assert_eq!(matched(&server, "{}").await, 0);
    server.update(update(Webhook { event_filters: vec![], ..change }, &["event_filters"])).await;
    assert_eq!(matched(&server, "{}").await, 1);
}

#[tokio::test]
async fn each_webhook_has_filters_of_its_own() {
    let server = TestServer::start().await;
    for n in 0..20 {
        let is_n = filter("/n", FilterOperator::Equals, vec![Kind::NumberValue(f64::from(n))]);
        server.create(filtered(&format!("w{n}"), "http://127.0.0.1:9/", vec![is_n])).await;
    }
    server.create(webhook("all", "http://127.0.0.1:9/", &["*"])).await;
    assert_eq!(matched(&server, r#"{"n":7.0}"#).await, 2);
    assert_eq!(matched(&server, r#"{"n":20}"#).await, 1);
}

#[tokio::test]
async fn all_faults_of_filters_are_named() {
    let server = TestServer::start().await;
    let bad = vec![
        filter("a", FilterOperator::Unspecified, vec![]),
        filter("/~2", FilterOperator::LessThan, vec![Kind::NumberValue(f64::NAN)]),
        filter("/a", FilterOperator::Exists, vec![Kind::NullValue(0)]),
    ];
    let webhook = Some(filtered("w", "http://127.0.0.1:9/", bad));
    let request = CreateWebhookRequest { webhook, ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    let mut fields = refusal.fields();
    fields.sort_unstable();
    let expected = ["[0].operator", "[0].path", "[1].path", "[1].values[0]", "[2].values"];
    assert_eq!(fields, expected.map(|at| format!("webhook.event_filters{at}")));
}
