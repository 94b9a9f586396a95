//! What becomes of deliveries that fail, as Socotra's dialect has it decided.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{
    api::event,
    http_client::HttpClient,
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PATH: &str = "/event/default/webhooks";
const DIVERTED: &str = "/event/default/diverted-events/list";

async fn create(client: &HttpClient, url: &str, handling: Value) -> String {
    let webhook = json!({"name": "w", "endpoint": {"url": url}, "eventTypes": ["a"],
        "failureHandling": handling});
    let (status, made) = client.send("POST", PATH, webhook.to_string()).await.parts();
    assert_eq!(status, 200, "{made}");
    format!("{PATH}/{}", made["locator"].as_str().expect("a locator"))
}

async fn until(client: &HttpClient, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let seen = client.get(path).await.json();
            if holds(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time")
}

#[tokio::test]
async fn what_is_exhausted_is_told_diverted_and_suspends_its_webhook() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let receiver = Receiver::with(|r| Reply::status(if r.index < 3 { 503 } else { 200 })).await;
    let alerts = Receiver::start().await;
    let strategy = json!({"type": "linear", "interval": 20, "attempts": 2});
    let handling = json!({"alertEndpoint": alerts.url(), "triggers": ["5xx"],
        "retryStrategy": strategy, "divert": true, "suspend": true});
    let webhook = create(&client, &receiver.url(), handling).await;

    let exhausted = server.publish(event("a", "{}")).await.event_id;
    receiver.wait_for(3).await;
    let alerts = alerts.wait_for(1).await;
    let alert = alerts[0].json();
    assert_eq!((&alert["eventId"], &alert["attempts"]), (&json!(exhausted), &json!(3)));
    let shown = until(&client, &webhook, |shown| shown["suspended"] == true).await;
    assert!(shown["suspendedAt"].is_string() || shown["suspendedAt"].is_number(), "{shown}");
    let diverted = client.get(DIVERTED).await.json();
    assert_eq!(diverted[0]["eventLocator"], json!(exhausted));
    assert_eq!(diverted[0]["failureTrigger"], "5xx");

    let waiting = server.publish(event("a", "{}")).await.event_id;
    for _ in 0..2 {
        assert_eq!(client.send("PATCH", &format!("{webhook}/unsuspend"), "").await.status, 204);
    }
    let received = receiver.wait_for(4).await;
    assert_eq!(received[3].json()["locator"], json!(waiting), "it waited, and comes now");
    assert_eq!(client.get(&webhook).await.json()["suspended"], false);
}

#[tokio::test]
async fn without_divert_nothing_is_kept_and_what_triggers_nothing_is_not_retried() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let receiver = Receiver::with(|_| Reply::status(404)).await;
    let strategy = json!({"type": "exponential", "interval": 1, "attempts": 5});
    let handling = json!({"triggers": ["5xx", "timeout"], "retryStrategy": strategy});
    create(&client, &receiver.url(), handling).await;
    let dropped = server.publish(event("a", "{}")).await.event_id;
    let settled = |log: &tidings::grpc::proto::EventLog| log.end_time.is_some();
    let log = server.wait_log(&dropped, "it is settled", settled).await;
    assert_eq!((log.attempt_count, receiver.count()), (1, 1), "no failure that it retries");
    assert_eq!(client.get(DIVERTED).await.json(), json!([]));
}
