//! Publishing, event types and the delivery log in the dialect of v3.

use serde_json::{Value, json};

use super::support::{
    api::{event, webhook},
    http_client::HttpClient,
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PATH: &str = "/v3/events";

#[tokio::test]
async fn an_event_is_published_byte_for_byte_with_the_id_of_its_request() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    server.create(webhook("w", &receiver.url(), &["customerAdded"])).await;
    let client = HttpClient::new(server.address).with("x-cap-request-id", "call-7");
    let event_id = "ccc983c2-df7a-4ece-b5cc-e574cec66fc1";
    let body = format!(
        r#"{{"eventName":"customerAdded","eventId":"{event_id}","refId":"50074_1","more":1,
            "occurTime":"2024-10-28T08:05:44.665+0530","attributes":{{"till":"4"}},
            "data":{{ "n": 9007199254740993, "x":1.10 }}}}"#
    );
    let (status, answer) = client.send("POST", PATH, body.clone()).await.parts();
    assert_eq!(status, 202, "{answer}");
    let mut expected = json!({"eventId": event_id, "duplicate": false, "matchedWebHooks": 1});
    expected["eventIngestionTimestamp"] = answer["data"]["eventIngestionTimestamp"].clone();
    assert_eq!(answer["data"], expected);
    let ignored = &answer["warnings"][0];
    assert_eq!((&ignored["code"], &ignored["status"]), (&json!(900_101), &json!(true)));
    let again = client.send("POST", PATH, body).await.json();
    assert_eq!(again["data"]["duplicate"], true);

    let received = receiver.wait_for(1).await.remove(0);
    let text = String::from_utf8(received.body.to_vec()).expect("text");
    assert!(text.contains(r#""data":{ "n": 9007199254740993, "x":1.10 }"#), "{text}");
    assert!(text.contains(r#""apiRequestId":"call-7""#), "{text}");
    let named = json!({"eventName": "customerAdded", "requestId": "mine", "data": {}});
    let named = client.send("POST", PATH, named.to_string()).await.json();
    let id = named["data"]["eventId"].as_str().expect("an id");
    assert_eq!(server.log(id).await.request_id, "mine");
}

#[tokio::test]
async fn bad_events_are_refused_with_all_their_faults() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let big = format!(r#"{{"eventName":"a","data":{{"x":"{}"}}}}"#, "x".repeat(256 * 1024));
    for (body, status, expected) in [
        ("{}", 400, vec![900_001, 900_001]),
        (r#"{"eventName":"a","data":null}"#, 400, vec![900_002]),
        (r#"{"eventName":"a","data":[1]}"#, 400, vec![900_002]),
        (r#"{"eventName":"a","data":{"x":"\u0000"}}"#, 400, vec![900_002]),
        (
            r#"{"eventName":7,"data":{},"eventId":"7","occurTime":"now","attributes":{"a":1},"refId":[]}"#,
            400,
            vec![900_002; 5],
        ),
        (r#"{"eventName":"a","data":{},"enrichments":{"other":1}}"#, 400, vec![900_002]),
        ("[]", 400, vec![900_051]),
        (&big, 400, vec![900_002]),
    ] {
        let (told, answer) = client.send("POST", PATH, body.to_owned()).await.parts();
        let errors = answer["errors"].as_array().expect("errors").iter();
        let codes: Vec<_> = errors.map(|error| error["code"].as_i64().expect("a code")).collect();
        assert_eq!((told, codes), (status, expected), "{body:.100}: {answer}");
    }
}

#[tokio::test]
async fn event_types_are_registered_with_their_schema() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let path = "/v3/webHooks/eventMetaData";
    let schema =
        r#"{"type":"object","required":["b"],"properties":{"b":{"type":"number"},"a":{}}}"#;
    let body = format!(r#"{{"eventName":"till.opened","active":true,"schema":{schema}}}"#);
    let answer = client.send("POST", path, body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = format!(r#"{{"active":true,"eventName":"till.opened","schema":{schema}}}"#);
    assert!(answer.text().starts_with(&format!(r#"{{"data":{shown},"#)), "{}", answer.text());
    assert_eq!(client.get(&format!("{path}/till.opened")).await.text(), answer.text());
    let listed = client.get(path).await.json();
    let listed = listed["data"].as_array().expect("a list").clone();
    assert!(listed.contains(&json!({"active": true, "eventName": "till.opened"})));
    let plain = client.get(&format!("{path}/customerAdded")).await.json();
    assert_eq!(plain["data"]["schema"], Value::Null);

    let remark = json!({"eventName": "till.opened", "data": {"b": "no number"}});
    let remark = client.send("POST", PATH, remark.to_string()).await.json();
    assert_eq!(remark["warnings"][0]["code"], 900_105, "{remark}");
    for (body, status, code) in [
        (body.as_str(), 409, 900_010),
        (r#"{"eventName":"transaction"}"#, 409, 900_010),
        (r#"{"eventName":"x","schema":{"type":"nothing"}}"#, 400, 900_013),
        (r#"{"eventName":"x","active":"yes"}"#, 400, 900_002),
        (r#"{"active":true}"#, 400, 900_001),
    ] {
        let (told, answer) = client.send("POST", path, body.to_owned()).await.parts();
        assert_eq!((told, &answer["errors"][0]["code"]), (status, &json!(code)), "{body}");
    }
}

#[tokio::test]
async fn of_several_records_the_last_one_is_shown_unless_one_is_picked() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let first = server.create(webhook("first", &receiver.url(), &["a"])).await;
    let second = server.create(webhook("second", &receiver.url(), &["a"])).await;
    let mut of_call = event("a", "{}");
    of_call.request_id = "call".into();
    let event_id = server.publish(of_call).await.event_id;
    for webhook in [&first, &second] {
        let id = &webhook.webhook_id;
        server
            .wait_log(&event_id, "settled", |log| log.webhook_id == *id && log.end_time.is_some())
            .await;
    }
    let client = HttpClient::new(server.address);
    let path = format!("/v3/webHooks/eventLog/{event_id}");
    let answer = client.get(&path).await.json();
    assert_eq!(answer["warnings"][0]["code"], 900_103, "{answer}");
    let last = answer["data"]["consumerGroupId"].as_str().expect("a group");
    assert!([&first, &second].iter().any(|webhook| webhook.consumer_group_id == last));
    for webhook in [&first, &second] {
        let group = &webhook.consumer_group_id;
        let picked = client.get(&format!("{path}?consumerGroupId={group}")).await.json();
        assert_eq!(picked["data"]["consumerGroupId"], *group);
        assert_eq!(picked["data"]["status"], "SUCCEEDED");
        assert_eq!(picked["warnings"], Value::Null);
    }
    let other = "f7ea2579-28e2-4179-96da-fb271b17601c";
    let (status, missing) = client.get(&format!("{path}?consumerGroupId={other}")).await.parts();
    assert_eq!((status, &missing["errors"][0]["code"]), (404, &json!(900_016)));
    assert_eq!(client.get(&format!("{path}?consumerGroupId=x")).await.status, 400);

    let of_call = "/v3/webHooks/eventLog/requestId/call";
    let page = client.get(&format!("{of_call}?limit=1")).await.json();
    assert_eq!(
        (page["data"].as_array().map(Vec::len), &page["warnings"][0]["code"]),
        (Some(1), &json!(900_104))
    );
    let message = page["warnings"][0]["message"].as_str().expect("a message");
    let token = message.split_once("pageToken=").expect("a token").1;
    let next = client.get(&format!("{of_call}?limit=1&pageToken={token}")).await.json();
    assert_eq!((next["data"].as_array().map(Vec::len), &next["warnings"]), (Some(1), &Value::Null));
    assert_ne!(next["data"], page["data"]);
    assert_eq!(
        client.get(&format!("{of_call}?pageToken=x")).await.json()["errors"][0]["code"],
        900_017
    );
    assert_eq!(client.get("/v3/webHooks/eventLog/refId/none").await.json()["data"], json!([]));
}

#[tokio::test]
async fn before_an_attempt_and_without_an_answer_there_are_nulls() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let mut refusing = webhook("refusing", "http://127.0.0.1:1/", &["a"]);
    refusing.retry_policy = Some(super::support::api::no_retries());
    server.create(refusing).await;
    let event_id = server.publish(event("a", "{}")).await.event_id;
    server.wait_log(&event_id, "settled", |log| log.end_time.is_some()).await;
    let record = client.get(&format!("/v3/webHooks/eventLog/{event_id}")).await.json();
    let answer = &record["data"]["consumerResponse"];
    assert_eq!(answer["webhookHttpStatus"], Value::Null);
    assert!(answer["time_taken"].is_f64(), "{answer}");

    let held = server.create(webhook("held", "http://127.0.0.1:1/", &["b"])).await;
    let request = tidings::grpc::proto::SuspendWebhookRequest {
        webhook_id: held.webhook_id,
        ..Default::default()
    };
    server.webhooks().suspend_webhook(request).await.expect("suspended");
    let event_id = server.publish(event("b", "{}")).await.event_id;
    let record = client.get(&format!("/v3/webHooks/eventLog/{event_id}")).await.json();
    for member in ["eventStartTimestamp", "eventEndTimestamp", "consumerResponse"] {
        assert_eq!(record["data"][member], Value::Null, "{member}");
    }
    assert_eq!(record["data"]["status"], "PENDING");
}
