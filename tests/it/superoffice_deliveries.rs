//! What receivers of SuperOffice's notifications get, and what becomes of those that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tidings::{
    domain::secret::Secret,
    grpc::proto::{GetEventLogRequest, View},
};

use super::{
    superoffice::{PATH, create, definition},
    support::{
        api::{event, webhook},
        clock::ManualClock,
        http_client::HttpClient,
        receiver::{Receiver, Reply},
        server::TestServer,
        smtp::MailSink,
    },
};

/// A receiver that is well, but for the event that it is told to refuse.
async fn failing() -> (Receiver, Arc<AtomicBool>) {
    let well = Arc::<AtomicBool>::default();
    let now = Arc::clone(&well);
    let receiver = Receiver::with(move |received| {
        let test = received.header("tidings-test").is_some();
        Reply::status(if test || now.load(Ordering::SeqCst) { 200 } else { 404 })
    });
    (receiver.await, well)
}

async fn until_state(client: &HttpClient, state: &str) -> Value {
    let path = format!("{PATH}/1");
    let wait = async {
        loop {
            let shown = client.get(&path).await.json();
            if shown["State"] == state {
                return shown;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect(state)
}

#[tokio::test]
async fn notifications_have_their_body_their_headers_and_their_signature() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    webhook["Secret"] = json!("key");
    webhook["Headers"] = json!({"X-A": "1"});
    webhook["Properties"] = json!({"mine": {"a": 1}, "Event": "never"});
    create(&client, &webhook).await;
    let published = client.send("POST", &format!("{PATH}/contact.created/17"), "").await;
    assert_eq!((published.status.as_u16(), published.text()), (204, ""));
    let received = receiver.wait_for(2).await.remove(1);
    let body = std::str::from_utf8(&received.body).expect("text");
    let json = received.json();
    let id = json["EventId"].as_str().expect("an id");
    let expected = format!(
        concat!(
            r#"{{"EventId":"{}","Timestamp":{},"Changes":[],"Event":"contact.created","#,
            r#""PrimaryKey":17,"Entity":"contact","ContextIdentifier":"default","#,
            r#""ChangedByAssociateId":0,"WebhookName":"w","mine":{{"a":1}}}}"#
        ),
        id, json["Timestamp"]
    );
    assert_eq!(body, expected);
    assert_eq!(received.method, "POST");
    assert_eq!(received.header("x-a"), Some("1"));
    assert_eq!(received.header("x-superoffice-event"), Some("contact.created"));
    assert_eq!(received.header("x-superoffice-eventid"), Some(id));
    assert_eq!(received.header("x-superoffice-retry"), Some("0"));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("any length");
    mac.update(&received.body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(received.header("x-superoffice-signature"), Some(&*signature));
    server.wait_log(id, "its end", |record| record.end_time.is_some()).await;
    let request =
        GetEventLogRequest { event_id: id.into(), view: View::Full.into(), ..Default::default() };
    let log = server.event_logs().get_event_log(request).await.expect("a record").into_inner();
    let log = log.event_log.expect("the record");
    let shown = |name: &str| {
        let headers = log.attempts.iter().flat_map(|attempt| &attempt.request_headers);
        headers.filter(|h| h.name == name).flat_map(|h| h.values.clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown("x-superoffice-retry"), ["0"]);
    assert_eq!(shown("X-SuperOffice-Signature"), ["***"]);
}

#[tokio::test]
async fn what_fails_is_tried_after_one_and_four_seconds_and_then_given_up() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let (receiver, _) = failing().await;
    let client = HttpClient::new(server.address);
    create(&client, &definition("w", &receiver.url())).await;
    let last_error = || async { client.get(&format!("{PATH}/1/LastError")).await.json() };
    assert_eq!(last_error().await, "");
    let id = server.publish(event("contact.created", "{}")).await.event_id;
    for (retry, waited, wait) in [(1, 1, 1), (2, 5, 4)] {
        let record = server.wait_log(&id, "a failure", |r| r.attempt_count == retry).await;
        let at = |time: Option<prost_types::Timestamp>| time.expect("a time").seconds;
        assert_eq!(at(record.next_attempt_time) - at(record.start_time), waited);
        clock.advance(Duration::from_secs(wait));
        let received = receiver.wait_for(usize::try_from(retry).expect("a count") + 2).await;
        let header = received.last().and_then(|r| r.header("x-superoffice-retry"));
        assert_eq!(header, Some(retry.to_string().as_str()));
    }
    server.wait_log(&id, "the end", |record| record.end_time.is_some()).await;
    assert_eq!(last_error().await, "answered 404");
    assert_eq!(until_state(&client, "Active").await["WebhookId"], 1, "three are not too many");
}

#[tokio::test]
async fn nine_failures_in_a_row_stop_a_webhook_and_all_is_told_until_it_is_started_again() {
    let sink = MailSink::start().await;
    let url = sink.url();
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |config| {
        config.smtp_url = Some(Secret::new(url));
        config.mail_from = "tidings@example.com".into();
    })
    .await;
    let (receiver, well) = failing().await;
    let (watcher, picky) = (Receiver::start().await, Receiver::start().await);
    let client = HttpClient::new(server.address);
    let mut definition = definition("w", &receiver.url());
    definition["ErrorsEmail"] = json!("a@example.com");
    create(&client, &definition).await;
    server.create(webhook("watcher", &watcher.url(), &["webhook1.*"])).await;
    server.create(webhook("picky", &picky.url(), &["webhook1.stopped"])).await;
    let mut attempts = 0;
    for round in 0..3 {
        assert_eq!(until_state(&client, "Active").await["WebhookId"], 1, "round {round}");
        let id = server.publish(event("contact.created", "{}")).await.event_id;
        for _ in 0..3 {
            attempts += 1;
            receiver.wait_for(1 + attempts).await;
            let seen = i32::try_from(attempts).expect("a count") - round * 3;
            server.wait_log(&id, "an attempt", |record| record.attempt_count == seen).await;
            clock.advance(Duration::from_secs(5));
        }
    }
    until_state(&client, "TooManyErrors").await;
    assert_eq!(attempts, 9);
    let told = watcher.wait_for(1).await.remove(0);
    assert_eq!(told.header("tidings-event-name"), Some("webhook1.errors"));
    assert_eq!(told.json()["data"]["PrimaryKey"], 1);
    assert_eq!(sink.wait_for(1).await[0].to, ["a@example.com"]);

    well.store(true, Ordering::SeqCst);
    server.publish(event("contact.created", "{}")).await;
    let path = format!("{PATH}/1");
    let shown = client.send("PATCH", &path, r#"{"State":"Active"}"#).await.json();
    assert_eq!(shown["State"], "Active", "{shown}");
    receiver.wait_for(12).await;
    let shown = client.send("PATCH", &path, r#"{"State":"Stopped"}"#).await.json();
    assert_eq!(shown["State"], "Stopped");
    let names: Vec<_> = watcher.wait_for(3).await.iter().map(|r| name(r.json())).collect();
    assert_eq!(names, ["webhook1.errors", "webhook1.started", "webhook1.stopped"]);
    picky.wait_for(1).await;
    server.stop().await;
    assert_eq!((watcher.count(), picky.count()), (3, 1));
}

fn name(body: &Value) -> String {
    body["eventName"].as_str().expect("a name").to_owned()
}

#[tokio::test]
async fn a_destination_that_is_gone_has_too_many_errors_at_once() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 1 { 410 } else { 200 })).await;
    let client = HttpClient::new(server.address);
    create(&client, &definition("w", &receiver.url())).await;
    server.publish(event("contact.created", "{}")).await;
    until_state(&client, "TooManyErrors").await;
    assert_eq!(receiver.count(), 2);
    // Nobody stops it by saying what it is already.
    let shown = client.get(&format!("{PATH}/1")).await;
    let put = client.send("PUT", &format!("{PATH}/1"), shown.text().to_owned()).await;
    assert_eq!(put.parts(), (200, shown.json()));
    client.send("PATCH", &format!("{PATH}/1"), r#"{"State":"Active"}"#).await;
    // The test event, and what waited.
    receiver.wait_for(4).await;
}
