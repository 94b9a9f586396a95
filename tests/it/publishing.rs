//! Publishing: one event, batches, duplicates, and reading events back.

use std::collections::HashSet;

use prost_types::{Struct, Timestamp, value::Kind};
use tidings::grpc::proto::{
    BatchPublishEventsRequest, Event, EventLogFilter, GetEventRequest, ListEventMetadataRequest,
    PublishEventRequest, PublishEventResponse, event::Payload, publish_outcome::Outcome,
};
use tonic::{Code, Status};

use super::support::{
    api::{event, webhook},
    receiver::Receiver,
    refusal::{Refusal, refused},
    server::TestServer,
};

/// Nothing is ever sent there.
const URL: &str = "http://127.0.0.1:9/hook";

async fn try_publish(server: &TestServer, event: Event) -> Result<PublishEventResponse, Status> {
    let request = PublishEventRequest { event: Some(event), ..Default::default() };
    server.events().publish_event(request).await.map(|published| published.into_inner())
}

async fn get(server: &TestServer, tenant_id: &str, event_id: &str) -> Result<Event, Status> {
    let request = GetEventRequest { tenant_id: tenant_id.into(), event_id: event_id.into() };
    let found = server.events().get_event(request).await?;
    Ok(found.into_inner().event.expect("the event"))
}

async fn batch(
    server: &TestServer,
    events: Vec<Event>,
    atomic: bool,
) -> Result<Vec<Outcome>, Status> {
    let request = BatchPublishEventsRequest { events, atomic, ..Default::default() };
    let outcomes = server.events().batch_publish_events(request).await?.into_inner().outcomes;
    Ok(outcomes.into_iter().map(|outcome| outcome.outcome.expect("an outcome")).collect())
}

fn with_id(n: u128, event: Event) -> Event {
    Event { event_id: uuid::Uuid::from_u128(n).to_string(), ..event }
}

async fn event_count(server: &TestServer) -> usize {
    server.logs(EventLogFilter::default()).await.len()
}

#[tokio::test]
async fn an_event_reads_back_as_it_was_published() {
    let server = TestServer::start().await;
    let json = "{ \"n\":9007199254740993, \"n\":1.10,\"ü\":\"\\u00fc\\\\u0000\" }\n";
    let occur_time = Some(Timestamp { seconds: 1_587_620_451, nanos: 351_000_000 });
    let sent = Event {
        event_id: "CCC983C2-DF7A-4ECE-B5CC-E574CEC66FC1".into(),
        ref_id: "50074_38236069".into(),
        request_id: "ebcce693-48ff-4a5f-b335-76abd1c9e33f".into(),
        occur_time,
        attributes: [("till".into(), "4".into())].into(),
        ..event("transactionAdded", json)
    };
    let published = server.publish(sent.clone()).await;
    assert_eq!(published.event_id, "ccc983c2-df7a-4ece-b5cc-e574cec66fc1");
    assert!(!published.duplicate && published.ingest_time.is_some());

    let found = get(&server, "", &sent.event_id).await.expect("found");
    let expected = Event {
        event_id: published.event_id,
        tenant_id: "default".into(),
        ingest_time: published.ingest_time,
        ..sent
    };
    assert_eq!(found, expected);

    let plain = server.publish(event("a", "{}")).await;
    let found = get(&server, "", &plain.event_id).await.expect("found");
    assert_eq!(found.occur_time, plain.ingest_time, "it happened when it came");
    assert_eq!(uuid::Uuid::parse_str(&plain.event_id).expect("a UUID").get_version_num(), 7);
}

#[tokio::test]
async fn an_object_becomes_json() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let fields = [
        ("b".to_owned(), value(Kind::NumberValue(100.0))),
        ("a".to_owned(), value(Kind::StringValue("x\"y".into()))),
    ];
    let object = Struct { fields: fields.into() };
    let payload = Some(Payload::Object(object));
    let sent = Event { event_name: "a".into(), payload, ..Default::default() };
    let published = server.publish(sent).await;
    let found = get(&server, "", &published.event_id).await.expect("found");
    assert_eq!(found.payload, Some(Payload::Json(r#"{"a":"x\"y","b":100}"#.into())));
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].json()["data"], serde_json::json!({"a": "x\"y", "b": 100}));
}

#[tokio::test]
async fn an_event_goes_to_the_webhooks_whose_names_or_patterns_fit() {
    let server = TestServer::start().await;
    for (name, events) in [
        ("exact", &["order.placed.eu"][..]),
        ("prefix", &["order.*"]),
        ("deeper", &["order.placed.*"]),
        ("all", &["*"]),
        ("twice", &["order.*", "order.placed.eu", "*"]),
        ("other", &["orders.*", "order"]),
    ] {
        server.create(webhook(name, URL, events)).await;
    }
    for (name, matched) in
        [("order.placed.eu", 5), ("order.placed", 3), ("order", 3), ("orders.x", 3), ("x", 2)]
    {
        let published = server.publish(event(name, "{}")).await;
        assert_eq!(published.matched_webhook_count, matched, "{name}");
    }
}

#[tokio::test]
async fn a_repeated_event_is_answered_as_the_first_and_delivered_once() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let sent = with_id(7, event("pointsIssued", r#"{"n":1}"#));
    let first = server.publish(sent.clone()).await;
    assert!(!first.duplicate);
    server.wait_log(&first.event_id, "success", |log| log.status == 3).await;
    server.create(webhook("v", &receiver.url(), &["*"])).await;

    let other = Event { payload: Some(Payload::Json(r#"{"n":2}"#.into())), ..sent };
    let second = server.publish(other.clone()).await;
    assert!(second.duplicate);
    assert_eq!((second.ingest_time, second.matched_webhook_count), (first.ingest_time, 1));
    let found = get(&server, "", &first.event_id).await.expect("found");
    assert_eq!(found.payload, Some(Payload::Json(r#"{"n":1}"#.into())));

    // The same id is another event in another tenant.
    let request =
        PublishEventRequest { tenant_id: "acme".into(), event: Some(other), ..Default::default() };
    let elsewhere = server.events().publish_event(request).await.expect("published").into_inner();
    assert!(!elsewhere.result.expect("a result").duplicate);

    let marker = server.publish(event("marker", "{}")).await;
    receiver
        .wait_until("the marker", |received| {
            received
                .iter()
                .filter(|r| r.header("tidings-event-id") == Some(&marker.event_id))
                .count()
                == 2
        })
        .await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn of_many_publishes_of_one_id_at_once_one_is_new() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let calls = (0..20).map(|_| server.publish(with_id(7, event("pointsIssued", "{}"))));
    let results = futures_util::future::join_all(calls).await;
    assert_eq!(results.iter().filter(|result| !result.duplicate).count(), 1);
    let times: HashSet<_> =
        results.iter().filter_map(|r| r.ingest_time).map(|t| (t.seconds, t.nanos)).collect();
    assert_eq!(times.len(), 1);
    assert!(results.iter().all(|result| result.matched_webhook_count == 1));
    assert_eq!(event_count(&server).await, 1);

    let twice = vec![with_id(8, event("a", "{}")), with_id(8, event("a", "{}"))];
    let outcomes = batch(&server, twice, true).await.expect("a batch");
    let duplicates: Vec<_> = (outcomes.into_iter())
        .map(|outcome| match outcome {
            Outcome::Result(result) => result.duplicate,
            Outcome::Error(error) => panic!("{error:?}"),
        })
        .collect();
    assert_eq!(duplicates, [false, true]);
}

#[tokio::test]
async fn what_is_only_checked_is_not_published() {
    let server = TestServer::start().await;
    server.create(webhook("w", URL, &["*"])).await;
    let check = |event: Event| PublishEventRequest {
        event: Some(event),
        validate_only: true,
        ..Default::default()
    };
    let checked = server.events().publish_event(check(with_id(7, event("new.name", "{}")))).await;
    let checked = checked.expect("a check").into_inner().result.expect("a result");
    assert_eq!((checked.matched_webhook_count, checked.duplicate), (1, false));
    assert_eq!(event_count(&server).await, 0);
    let gone = refused(get(&server, "", &checked.event_id).await);
    assert_eq!(gone.what(), (Code::NotFound, "EVENT_NOT_FOUND"));
    let custom = ListEventMetadataRequest { origin: 2, ..Default::default() };
    let types = server.event_types().list_event_metadata(custom).await.expect("a page");
    assert_eq!(types.into_inner().total_size, 0, "and its name is not registered");

    let bad = refused(server.events().publish_event(check(event("new.name", "{"))).await);
    assert_eq!(bad.fields(), ["event.json"]);
}

#[tokio::test]
async fn a_batch_has_one_outcome_per_event_in_order() {
    let server = TestServer::start().await;
    server.create(webhook("w", URL, &["*"])).await;
    let events = vec![
        with_id(1, event("a", "{}")),
        event("", "[]"),
        with_id(2, event("b", "{}")),
        Event { event_id: "x".into(), ..event("a b", "") },
        with_id(1, event("a", "{}")),
    ];
    let outcomes = batch(&server, events.clone(), false).await.expect("outcomes");
    let mut told = Vec::new();
    for outcome in &outcomes {
        told.push(match outcome {
            Outcome::Result(result) => {
                let id = result.event_id.parse::<uuid::Uuid>().expect("a UUID").as_u128();
                format!(
                    "{id} duplicate {} matched {}",
                    result.duplicate, result.matched_webhook_count
                )
            }
            Outcome::Error(error) => {
                let refusal = Refusal::of_details(error);
                assert_eq!(refusal.code, Code::InvalidArgument);
                format!("{:?}", refusal.reasons())
            }
        });
    }
    assert_eq!(
        told,
        [
            "1 duplicate false matched 1",
            r#"[("event.event_name", "FIELD_REQUIRED"), ("event.json", "FIELD_INVALID")]"#,
            "2 duplicate false matched 1",
            r#"[("event.event_id", "FIELD_INVALID"), ("event.event_name", "FIELD_INVALID"), ("event.json", "FIELD_REQUIRED")]"#,
            "1 duplicate true matched 1",
        ]
    );
    assert_eq!(event_count(&server).await, 2);
}

#[tokio::test]
async fn an_atomic_batch_is_published_whole_or_not_at_all() {
    let server = TestServer::start().await;
    server.create(webhook("w", URL, &["*"])).await;
    let mut events = vec![event("new.name", "{}"), event("a b", "{}"), event("c", "[")];
    let refusal = refused(batch(&server, events.clone(), true).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.fields(), ["events[1].event_name", "events[2].json"]);
    assert_eq!(event_count(&server).await, 0);
    let custom = ListEventMetadataRequest { origin: 2, ..Default::default() };
    let types = server.event_types().list_event_metadata(custom).await.expect("a page");
    assert_eq!(types.into_inner().total_size, 0, "and no name is registered");

    events.truncate(1);
    assert_eq!(batch(&server, events, true).await.expect("outcomes").len(), 1);
    assert_eq!(event_count(&server).await, 1);
}

#[tokio::test]
async fn a_batch_has_1_to_1000_events() {
    let server = TestServer::start().await;
    server.create(webhook("w", URL, &["*"])).await;
    for n in [0, 1001] {
        for atomic in [false, true] {
            let refusal = refused(batch(&server, vec![event("a", "{}"); n], atomic).await);
            assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{n}");
            assert_eq!(refusal.fields(), ["events"]);
        }
    }
    let names = |i: usize| format!("batch.n{}", i % 50);
    let events = (0..1000).map(|i| event(&names(i), "{}")).collect();
    let outcomes = batch(&server, events, false).await.expect("outcomes");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Result(_))));
    assert_eq!((outcomes.len(), event_count(&server).await), (1000, 1000));
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let request = PublishEventRequest {
        tenant_id: "acme".into(),
        event: Some(Event { tenant_id: "acme".into(), ..event("pointsIssued", "{}") }),
        ..Default::default()
    };
    let published = server.events().publish_event(request).await.expect("published").into_inner();
    let published = published.result.expect("a result");
    assert_eq!(published.matched_webhook_count, 0);
    let hidden = refused(get(&server, "", &published.event_id).await);
    assert_eq!(hidden.what(), (Code::NotFound, "EVENT_NOT_FOUND"));
    let found = get(&server, "acme", &published.event_id).await.expect("found");
    assert_eq!(found.tenant_id, "acme");

    let foreign = Event { tenant_id: "acme".into(), ..event("pointsIssued", "{}") };
    let refusal = refused(try_publish(&server, foreign).await);
    assert_eq!(refusal.reasons(), [("event.tenant_id", "FIELD_INVALID")]);
    let hidden = server.publish(event("pointsIssued", "{}")).await;
    assert_eq!(refused(get(&server, "acme", &hidden.event_id).await).code, Code::NotFound);
}

#[tokio::test]
async fn an_event_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    for id in ["ccc983c2-df7a-4ece-b5cc-e574cec66fc1", "no id", "a\0b"] {
        let missing = refused(get(&server, "", id).await);
        assert_eq!(missing.what(), (Code::NotFound, "EVENT_NOT_FOUND"), "{id:?}");
    }
    let nameless = refused(get(&server, "", "").await);
    assert_eq!(nameless.reasons(), [("event_id", "FIELD_REQUIRED")]);
}
