//! The metrics of a consumer group in v3: what is counted, over which time, and what is refused.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidings::grpc::proto::Webhook;

use super::support::{
    api::{event, no_retries, webhook},
    clock::ManualClock,
    http_client::HttpClient,
    receiver::{Receiver, Reply},
    samples::assert_like,
    server::TestServer,
};

/// Where [`ManualClock`] begins, which is the start of ten minutes, in milliseconds.
const START: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn path(group: &str, query: &str) -> String {
    format!("/v3/events/consumer-groups/{group}/metrics{query}")
}

/// The start and the end that an answer is of.
fn told(answer: &Value) -> [i64; 2] {
    ["startDate", "endDate"].map(|name| answer["data"][name].as_i64().expect("a whole number"))
}

/// A server, a webhook that fails every third event, and its consumer group.
async fn counted(rows: usize) -> (TestServer, Arc<ManualClock>, Receiver, String) {
    let clock = ManualClock::new();
    let changed = |config: &mut tidings::server::config::Config| config.max_stats_rows = rows;
    let server = TestServer::with_clock(Arc::clone(&clock) as _, changed).await;
    let receiver =
        Receiver::with(|r| Reply::status(if r.index % 3 == 2 { 400 } else { 200 })).await;
    let hook = webhook("w", &receiver.url(), &["*"]);
    let hook = server.create(Webhook { retry_policy: Some(no_retries()), ..hook }).await;
    (server, clock, receiver, hook.consumer_group_id)
}

async fn publish(server: &TestServer, times: usize) {
    for _ in 0..times {
        let id = server.publish(event("a", "{}")).await.event_id;
        server.wait_log(&id, "settled", |log| log.end_time.is_some()).await;
    }
}

#[tokio::test]
async fn figures_are_shown_as_the_sample_shows_them() {
    let (server, _clock, _receiver, group) = counted(500_000).await;
    let client = HttpClient::new(server.address);
    let empty = client.get(&path(&group, "")).await.json();
    assert_eq!(
        empty["data"],
        json!({"totalEvents": 0, "deliveredEvents": 0, "failedEvents": 0, "retryingEvents": 0,
            "pendingEvents": 0, "averageDeliveryTime": null, "startDate": START - 30 * DAY, "endDate": START})
    );
    publish(&server, 3).await;
    let answer = client.get(&path(&group, "")).await;
    let sample = include_str!("samples/v3/metrics_answer.json");
    assert_like(sample, answer.text(), &["averageDeliveryTime", "startDate", "endDate"]);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_range_counts_what_was_ingested_in_it() {
    let (server, clock, _receiver, group) = counted(500_000).await;
    let client = HttpClient::new(server.address);
    for _ in 0..4 {
        publish(&server, 1).await;
        clock.advance(Duration::from_secs(60));
    }
    let now = START + 4 * MINUTE;
    for (query, total, range) in [
        (String::new(), 4, [START - 30 * DAY, now]),
        (format!("?startDate={START}"), 4, [START, now]),
        (format!("?startDate={}", START + 1), 3, [START + 1, now]),
        (format!("?endDate={}", START + MINUTE), 1, [START - 30 * DAY, START + MINUTE]),
        (
            format!("?startDate={}&endDate={}", START + MINUTE, now + DAY),
            3,
            [START + MINUTE, now + DAY],
        ),
        (format!("?endDate={}", START - 5), 0, [START - 30 * DAY - 10 * MINUTE, START - 5]),
    ] {
        let answer = client.get(&path(&group, &query)).await.json();
        assert_eq!(
            (answer["data"]["totalEvents"].as_i64(), told(&answer)),
            (Some(total), range),
            "{query}"
        );
        assert_eq!(answer["warnings"], Value::Null, "{query}");
    }
}

#[tokio::test]
async fn where_too_many_would_be_read_one_by_one_whole_tens_of_minutes_are_told() {
    let (server, clock, _receiver, group) = counted(2).await;
    let client = HttpClient::new(server.address);
    publish(&server, 3).await;
    clock.advance(Duration::from_secs(15 * 60));
    publish(&server, 1).await;
    let few = path(&group, &format!("?startDate={}", START + 12 * MINUTE));
    let few = client.get(&few).await.json();
    assert_eq!((&few["data"]["totalEvents"], &few["warnings"]), (&1.into(), &Value::Null));

    let many = format!("?startDate={}&endDate={}", START - 1, START + MINUTE);
    let many = client.get(&path(&group, &many)).await.json();
    assert_eq!(
        (&many["data"]["totalEvents"], &many["data"]["failedEvents"]),
        (&3.into(), &1.into())
    );
    assert_eq!(told(&many), [START - 10 * MINUTE, START + 10 * MINUTE]);
    assert_eq!(
        (many["warnings"][0]["code"].as_i64(), many["warnings"][0]["status"].as_bool()),
        (Some(900_106), Some(true))
    );
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_shape_of_the_dialect() {
    let (server, _clock, _receiver, group) = counted(500_000).await;
    let client = HttpClient::new(server.address);
    let foreign = tidings::grpc::proto::CreateWebhookRequest {
        tenant_id: "other".into(),
        webhook: Some(webhook("w", "http://127.0.0.1:9/", &["a"])),
        ..Default::default()
    };
    let foreign = server.webhooks().create_webhook(foreign).await.expect("made").into_inner();
    let foreign = foreign.webhook.expect("a webhook").consumer_group_id;
    let future = format!("?startDate={}", START + 1);
    let late = format!("?endDate={START}&startDate={START}");
    for (method, group, query, status, codes) in [
        ("GET", group.as_str(), "?startDate=x&endDate=", 400, vec![900_002; 2]),
        ("GET", &group, "?startDate=1.5&endDate=2026-01-01", 400, vec![900_002; 2]),
        ("GET", &group, "?startDate=1&startDate=2", 400, vec![900_002]),
        ("GET", &group, "?endDate=9223372036854775807", 400, vec![900_002]),
        ("GET", &group, "?startDate=253402300800000", 400, vec![900_002]),
        ("GET", &group, &future, 400, vec![900_002]),
        ("GET", &group, &late, 400, vec![900_002]),
        ("GET", &foreign, "", 404, vec![900_006]),
        ("GET", "ccc983c2-df7a-4ece-b5cc-e574cec66fc1", "", 404, vec![900_006]),
        ("GET", "x", "", 404, vec![900_006]),
        ("GET", "%ff", "", 404, vec![900_055]),
        ("POST", &group, "", 405, vec![900_054]),
    ] {
        let (told, answer) = client.send(method, &path(group, query), "").await.parts();
        let errors = answer["errors"].as_array().expect("errors").iter();
        let given: Vec<_> = errors.map(|error| error["code"].as_i64().expect("a code")).collect();
        assert_eq!((told, given), (status, codes), "{method} {group} {query}: {answer}");
        assert_eq!((&answer["data"], &answer["warnings"]), (&Value::Null, &Value::Null));
    }
    let named = client.get(&path(&group, &late)).await.json();
    assert_eq!(named["errors"][0]["message"], "endDate must be after the start");
    let unknown = client.get(&path(&group, "?startdate=1")).await.json();
    assert_eq!(unknown["warnings"][0]["code"], 900_102);
}
