//! The documented requests of v3, sent as they stand, and the documented answers.

use std::time::Duration;

use serde_json::Value;

use super::support::{
    api::{event, webhook},
    http_client::{HttpAnswer, HttpClient},
    receiver::{Receiver, Reply},
    samples::assert_like,
    server::TestServer,
};

const CREATE: &str = include_str!("samples/v3/create_request.json");
const CREATE_OLDER: &str = include_str!("samples/v3/create_older_request.json");
const UPDATE: &str = include_str!("samples/v3/update_request.json");

/// What differs from call to call: ids, times, who called, and a secret that is masked here
/// and cut in the sample.
const FREE: [&str; 10] = [
    "createdOn",
    "lastUpdatedOn",
    "id",
    "code",
    "lastUpdatedBy/name",
    "createdBy/name",
    "type",
    "webHookId",
    "consumerGroupId",
    "Authorization",
];

fn text(answer: &HttpAnswer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json();
    answer.text()
}

#[tokio::test]
async fn webhooks_are_made_by_the_samples_and_shown_as_they_show_them() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let made = client.send("POST", "/v3/webHooks", CREATE).await;
    assert_like(include_str!("samples/v3/create_answer.json"), text(&made), &FREE);
    let older = client.send("POST", "/v3/webHooks", CREATE_OLDER).await;
    assert_like(include_str!("samples/v3/create_older_answer.json"), text(&older), &FREE);

    let made = made.json()["data"].clone();
    let found = client.get(&format!("/v3/webHooks/{}", id(&made))).await;
    assert_eq!(found.json()["data"], made);
    let listed = client.get("/v3/webHooks").await.json();
    assert_eq!(listed["data"], serde_json::json!([made, older.json()["data"]]));
    let query = tidings::grpc::proto::ListWebhooksRequest::default();
    let names: Vec<_> = server.list(query).await.webhooks.into_iter().map(|w| w.name).collect();
    assert_eq!(names, ["test_post_webhook_12345", "DemoWebhook1"]);
}

#[tokio::test]
async fn a_webhook_is_changed_by_the_sample() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let original = CREATE_OLDER.replace("DemoWebhook1", "TestTransaction");
    let made = client.send("POST", "/v3/webHooks", original).await.json();
    let path = format!("/v3/webHooks/{}", id(&made["data"]));
    let changed = client.send("PUT", &path, UPDATE).await;
    assert_like(include_str!("samples/v3/update_answer.json"), text(&changed), &FREE);
    let warnings = changed.json()["warnings"].clone();
    let told: Vec<_> = warnings.as_array().expect("warnings").iter().map(message).collect();
    assert_eq!(
        told,
        [
            "name cannot be changed and was ignored",
            "noOfRetryAttempts cannot be changed and was ignored"
        ]
    );
}

#[tokio::test]
async fn event_types_are_shown_as_the_samples_show_them() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let one = client.get("/v3/webHooks/eventMetaData/transaction").await;
    assert_like(include_str!("samples/v3/event_metadata_answer.json"), text(&one), &[]);

    let all = client.get("/v3/webHooks/eventMetaData").await;
    let sample: Value =
        serde_json::from_str(include_str!("samples/v3/event_metadata_list_answer.json"))
            .expect("JSON");
    let listed = all.json()["data"].clone();
    let listed = listed.as_array().expect("a list");
    for wanted in sample["data"].as_array().expect("a list") {
        assert!(listed.contains(wanted), "{wanted}");
    }
    assert!(text(&all).starts_with(r#"{"data":[{"active":true,"eventName":"CouponIssue"},"#));
}

#[tokio::test]
async fn records_are_shown_as_the_samples_show_them() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    server.create(webhook("w", &receiver.url(), &["transactionAdded"])).await;
    let client = HttpClient::new(server.address);
    let free = [
        "consumerGroupId",
        "eventIngestionTimestamp",
        "eventStartTimestamp",
        "eventEndTimestamp",
        "time_taken",
    ];
    for (sample, path) in [
        (include_str!("samples/v3/event_log_answer.json"), ""),
        (include_str!("samples/v3/event_log_request_answer.json"), "requestId/"),
        (include_str!("samples/v3/event_log_reference_answer.json"), "refId/"),
    ] {
        let wanted: Value = serde_json::from_str(sample).expect("JSON");
        let wanted = wanted["data"].get(0).unwrap_or(&wanted["data"]);
        let member = |name: &str| wanted[name].as_str().expect("a text").to_owned();
        let mut event = event("transactionAdded", "{}");
        event.event_id = member("eventId");
        event.ref_id = member("refId");
        event.request_id = member("requestId");
        // The first and the last sample are about the same event.
        server.publish(event).await;
        server.wait_log(&member("eventId"), "settled", |log| log.end_time.is_some()).await;
        let named = match path {
            "" => member("eventId"),
            "requestId/" => member("requestId"),
            _ => member("refId"),
        };
        let answer = client.get(&format!("/v3/webHooks/eventLog/{path}{named}")).await;
        assert_like(sample, text(&answer), &free);
        let first = answer.json()["data"].clone();
        let taken = first.get(0).unwrap_or(&first)["consumerResponse"]["time_taken"].as_f64();
        assert!(taken.is_some_and(|ms| ms < Duration::from_secs(30).as_millis() as f64));
    }
}

fn id(webhook: &Value) -> &str {
    webhook["webHookId"].as_str().expect("an id")
}

fn message(remark: &Value) -> &str {
    assert_eq!(remark["status"], true);
    remark["message"].as_str().expect("a message")
}
