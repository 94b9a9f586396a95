//! Requests that cannot be meant: each gets its documented status, and nothing breaks.

use prost_types::{Duration, Struct, Timestamp, Value, value::Kind};
use tidings::grpc::proto::{
    CreateEventMetadataRequest, Event, EventLogFilter, EventMetadata, ListEventLogsRequest,
    ListEventMetadataRequest, ListWebhooksRequest, PublishEventRequest, TailEventLogsRequest,
    TimeRange, UpdateEventMetadataRequest, event::Payload, tail_event_logs_request::Start,
};
use tonic::Code;

use super::support::{
    api::{event, webhook},
    receiver::Receiver,
    refusal::{Refusal, refused},
    server::TestServer,
};

/// Before year 1, after year 9999, or not normal.
const TIMES: [Timestamp; 4] = [
    Timestamp { seconds: -62_135_596_801, nanos: 0 },
    Timestamp { seconds: 253_402_300_800, nanos: 0 },
    Timestamp { seconds: i64::MAX, nanos: i32::MAX },
    Timestamp { seconds: 0, nanos: -1 },
];

fn object(kind: Kind) -> Struct {
    Struct { fields: [("a".to_owned(), Value { kind: Some(kind) })].into() }
}

fn nested(depth: usize) -> Struct {
    (1..depth).fold(object(Kind::NullValue(0)), |inner, _| object(Kind::StructValue(inner)))
}

fn with_object(object: Struct) -> Event {
    Event { payload: Some(Payload::Object(object)), ..event("a", "") }
}

async fn publish(server: &TestServer, event: Event) -> Result<(), tonic::Status> {
    let request = PublishEventRequest { event: Some(event), ..Default::default() };
    server.events().publish_event(request).await.map(drop)
}

#[tokio::test]
async fn events_have_their_bounds() {
    let server = TestServer::start().await;
    let attributes = |entries: &[(&str, &str)]| Event {
        attributes: entries.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
        ..event("a", "{}")
    };
    let json = |json: String| event("a", &json);
    let many: Vec<_> = (0..65).map(|i| format!("k{i}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "v")).collect();
    let mut cases = vec![
        ("event.event_name", "FIELD_REQUIRED", event("", "{}")),
        ("event.json", "FIELD_REQUIRED", event("a", "")),
        ("event.json", "FIELD_REQUIRED", Event { payload: None, ..event("a", "") }),
        ("event.ref_id", "FIELD_INVALID", Event { ref_id: "a\0".into(), ..event("a", "{}") }),
        ("event.ref_id", "FIELD_INVALID", Event { ref_id: "x".repeat(256), ..event("a", "{}") }),
        (
            "event.request_id",
            "FIELD_INVALID",
            Event { request_id: "\0".into(), ..event("a", "{}") },
        ),
        ("event.event_id", "FIELD_INVALID", Event { event_id: "7".into(), ..event("a", "{}") }),
        ("event.event_id", "FIELD_INVALID", Event { event_id: "\0".into(), ..event("a", "{}") }),
        ("event.tenant_id", "FIELD_INVALID", Event { tenant_id: "a\0".into(), ..event("a", "{}") }),
        ("event.attributes[k\\u{0}]", "FIELD_INVALID", attributes(&[("k\0", "v")])),
        ("event.attributes[k]", "FIELD_INVALID", attributes(&[("k", "v\0")])),
        ("event.attributes[]", "FIELD_REQUIRED", attributes(&[("", "v")])),
        ("event.attributes", "FIELD_INVALID", attributes(&many)),
        ("event.object.a", "FIELD_INVALID", with_object(object(Kind::NumberValue(f64::NAN)))),
        ("event.object.a", "FIELD_INVALID", with_object(object(Kind::NumberValue(f64::INFINITY)))),
        ("event.object", "FIELD_INVALID", with_object(object(Kind::StringValue("a\0".into())))),
        (
            "event.object",
            "FIELD_INVALID",
            with_object(object(Kind::StringValue("x".repeat(300_000)))),
        ),
    ];
    for name in ["a b", "a\0", "a*", "a\tb", "a/b", &"x".repeat(256), &"x".repeat(1 << 20)] {
        cases.push(("event.event_name", "FIELD_INVALID", event(name, "{}")));
    }
    for bad in ["{", "[]", "null", "7", "{} {}", "{\"a\":NaN}", "{\"a\":\"\0\"}", "{\"\\u0000\":1}"]
    {
        cases.push(("event.json", "FIELD_INVALID", json(bad.into())));
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
    for bad in [deep, "{\"a\":".repeat(200_000), format!("{{\"a\":\"{}\"}}", "x".repeat(262_144))] {
        cases.push(("event.json", "FIELD_INVALID", json(bad)));
    }
    for time in TIMES {
        let event = Event { occur_time: Some(time), ..event("a", "{}") };
        cases.push(("event.occur_time", "FIELD_INVALID", event));
    }
    for (field, reason, bad) in cases {
        let refusal = refused(publish(&server, bad).await);
        assert_eq!(refusal.code, Code::InvalidArgument, "{refusal:?}");
        assert_eq!(refusal.reasons(), [(field, reason)]);
    }
    // Up to the bounds all is well.
    let deep = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(262_144 - 8));
    for good in [json(deep), json(big), with_object(nested(30)), event(&"ü".repeat(255), "{}")] {
        publish(&server, good).await.expect("published");
    }
}

#[tokio::test]
async fn event_types_have_their_bounds() {
    let server = TestServer::start().await;
    let good = || EventMetadata { event_name: "good".into(), ..Default::default() };
    for (field, bad) in [
        ("event_name", EventMetadata { event_name: "a\0".into(), ..good() }),
        ("event_name", EventMetadata { event_name: "*".into(), ..good() }),
        ("event_name", EventMetadata { event_name: "x".repeat(256), ..good() }),
        ("description", EventMetadata { description: "a\0".into(), ..good() }),
        ("description", EventMetadata { description: "x".repeat(4097), ..good() }),
        (
            "schema_json",
            EventMetadata {
                schema_json: format!("{{\"title\":\"{}\"}}", "x".repeat(262_144)),
                ..good()
            },
        ),
        ("schema_enforcement", EventMetadata { schema_enforcement: 4, ..good() }),
        ("tenant_id", EventMetadata { tenant_id: "acme".into(), ..good() }),
    ] {
        let event_metadata = Some(bad);
        let request = CreateEventMetadataRequest { event_metadata, ..Default::default() };
        let refusal = refused(server.event_types().create_event_metadata(request).await);
        assert_eq!(refusal.reasons(), [(&*format!("event_metadata.{field}"), "FIELD_INVALID")]);
    }
    let schema_json = format!("{}1{}", "{\"not\":".repeat(5_000), "}".repeat(5_000));
    let event_metadata = Some(EventMetadata { schema_json, ..good() });
    let request = CreateEventMetadataRequest { event_metadata, ..Default::default() };
    let refusal = refused(server.event_types().create_event_metadata(request).await);
    assert_eq!(refusal.reasons(), [("event_metadata.schema_json", "SCHEMA_INVALID")]);

    let bad = CreateEventMetadataRequest {
        event_metadata: Some(good()),
        idempotency_key: "a\0".into(),
        ..Default::default()
    };
    let refusal = refused(server.event_types().create_event_metadata(bad).await);
    assert_eq!(refusal.fields(), ["idempotency_key"]);
    let request = UpdateEventMetadataRequest {
        event_metadata: Some(EventMetadata { description: "a\0".into(), ..good() }),
        ..Default::default()
    };
    let refusal = refused(server.event_types().update_event_metadata(request).await);
    assert_eq!(refusal.what(), (Code::NotFound, "EVENT_METADATA_NOT_FOUND"));
    let request = ListEventMetadataRequest { page_size: -1, origin: 3, ..Default::default() };
    let refusal = refused(server.event_types().list_event_metadata(request).await);
    assert_eq!(refusal.fields(), ["origin", "page_size"]);
}

fn bad_filter() -> EventLogFilter {
    EventLogFilter {
        webhook_ids: vec!["no id".into()],
        event_names: vec!["a\0".into()],
        statuses: vec![9],
        event_id: "no uuid".into(),
        ref_id: "a\0".into(),
        request_id: "x".repeat(256),
        http_statuses: vec![-1],
        min_time_taken: Some(Duration { seconds: -1, nanos: 0 }),
        outcomes: vec![0],
        consumer_group_id: "no uuid".into(),
        attributes: [("k\0".into(), "v".into())].into(),
        ..Default::default()
    }
}

const FILTER_FAULTS: [&str; 11] = [
    "filter.attributes[k\\u{0}]",
    "filter.consumer_group_id",
    "filter.event_id",
    "filter.event_names[0]",
    "filter.http_statuses[0]",
    "filter.min_time_taken",
    "filter.outcomes[0]",
    "filter.ref_id",
    "filter.request_id",
    "filter.statuses[0]",
    "filter.webhook_ids[0]",
];

fn sorted(refusal: &Refusal) -> Vec<&str> {
    let mut fields = refusal.fields();
    fields.sort_unstable();
    fields
}

#[tokio::test]
async fn all_faults_of_a_log_query_are_named() {
    let server = TestServer::start().await;
    let range = TimeRange { start_time: Some(TIMES[0]), end_time: Some(TIMES[3]) };
    let request = ListEventLogsRequest {
        page_size: -1,
        filter: Some(bad_filter()),
        ingest_time: Some(range),
        view: 9,
        ..Default::default()
    };
    let refusal = refused(server.event_logs().list_event_logs(request).await);
    let mut expected = FILTER_FAULTS.to_vec();
    expected.extend(["ingest_time.end_time", "ingest_time.start_time", "page_size", "view"]);
    assert_eq!(sorted(&refusal), expected);

    let request = TailEventLogsRequest {
        start: Some(Start::FromTime(TIMES[1])),
        filter: Some(bad_filter()),
        view: 9,
        heartbeat_interval: Some(Duration { seconds: -1, nanos: 0 }),
        slow_consumer_policy: 9,
        max_batch_size: 501,
        max_batch_delay: Some(Duration { seconds: 11, nanos: 0 }),
        ..Default::default()
    };
    let refusal = refused(server.event_logs().tail_event_logs(request).await);
    let mut expected = FILTER_FAULTS.to_vec();
    expected.extend(["from_time", "heartbeat_interval", "max_batch_delay", "max_batch_size"]);
    expected.extend(["slow_consumer_policy", "view"]);
    assert_eq!(sorted(&refusal), expected);
}

#[tokio::test]
async fn a_tenant_has_to_have_a_name_of_the_allowed_form() {
    let server = TestServer::start().await;
    for tenant_id in ["a/b", "a b", "a\0", "ä", "*", &"x".repeat(65), &"x".repeat(1 << 20)] {
        let request = ListWebhooksRequest { tenant_id: tenant_id.into(), ..Default::default() };
        let refusal = refused(server.webhooks().list_webhooks(request).await);
        assert_eq!(refusal.reasons(), [("tenant_id", "FIELD_INVALID")]);
    }
}

#[tokio::test]
async fn bad_data_fails_its_own_caller_alone() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let same = || Event { event_id: uuid::Uuid::from_u128(7).to_string(), ..event("same", "{}") };
    server.publish(same()).await;
    let bad = [
        event("bad", "{\"a\":\"\0\"}"),
        Event { ref_id: "\0".into(), ..event("bad", "{}") },
        event("bad", &format!("{{\"a\":\"{}\"}}", "x".repeat(300_000))),
        event("bad", "["),
    ];
    for _ in 0..4 {
        let good = (0..50).map(|i| publish(&server, event("good", &format!("{{\"i\":{i}}}"))));
        let refusals = bad.iter().map(|event| publish(&server, event.clone()));
        let (good, refusals, duplicate) = tokio::join!(
            futures_util::future::join_all(good),
            futures_util::future::join_all(refusals),
            server.publish(same()),
        );
        good.into_iter().for_each(|published| published.expect("published"));
        for refusal in refusals {
            assert_eq!(refused(refusal).what(), (Code::InvalidArgument, "FIELD_INVALID"));
        }
        assert!(duplicate.duplicate);
    }
    receiver.wait_for(201).await;
    assert_eq!(server.logs(EventLogFilter::default()).await.len(), 201);
}
