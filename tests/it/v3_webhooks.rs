//! Webhooks in the dialect of v3, against the running server.

use serde_json::{Value, json};

use super::support::{
    api::{event, header, http, quick_retries, webhook},
    http_client::HttpClient,
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PATH: &str = "/v3/webHooks";

/// The least that a request can say.
fn least(name: &str, url: &str) -> Value {
    json!({"name": name, "eventNames": ["customerAdded"], "webHookUrl": url, "maxAllowedConnections": 3})
}

async fn create(client: &HttpClient, webhook: Value) -> Value {
    let (status, made) = client.send("POST", PATH, webhook.to_string()).await.parts();
    assert_eq!((status, &made["errors"]), (200, &Value::Null), "{made}");
    made["data"].clone()
}

fn path(webhook: &Value) -> String {
    format!("{PATH}/{}", webhook["webHookId"].as_str().expect("an id"))
}

#[tokio::test]
async fn what_is_absent_has_its_default() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let made = create(&client, least("w", "http://127.0.0.1:9/")).await;
    for (member, default) in [
        ("webHookType", json!("HTTP")),
        ("methodType", json!("POST")),
        ("webHookHeaders", json!({})),
        ("noOfRetryAttempts", json!(0)),
        ("active", json!(true)),
        ("slaInSeconds", json!(3600)),
        ("customerIdentifiersToBeEnriched", json!([])),
        ("tillDetailsEnrichmentEnabled", json!(false)),
    ] {
        assert_eq!(made[member], default, "{member}");
    }
    let same = server.webhook(made["webHookId"].as_str().expect("an id")).await;
    assert!(same.retry_policy.is_none(), "the default policy");
}

#[tokio::test]
async fn what_a_request_says_is_kept_and_seen_through_grpc() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let mut wanted = least("w", "http:/127.0.0.1:9");
    for (member, value) in [
        ("webHookType", json!("http")),
        ("methodType", json!("put")),
        ("webHookHeaders", json!({"X-Z": "1", "Authorization": "Basic x", "X-A": "2"})),
        ("noOfRetryAttempts", json!(4)),
        ("maxAllowedConnections", json!(1.99)),
        ("active", json!(false)),
        ("slaInSeconds", json!(0)),
        ("tillDetailsEnrichmentEnabled", json!(true)),
        ("availablePointsBalanceEnrichmentEnabled", json!(true)),
        ("customerIdentifiersToBeEnriched", json!(["mobile"])),
    ] {
        wanted[member] = value;
    }
    let answer = client.send("POST", PATH, wanted.to_string()).await;
    let text = answer.text().to_owned();
    assert!(text.contains(r#""Authorization":"***""#) && !text.contains("Basic"), "{text}");
    let made = answer.json()["data"].clone();
    let changed = [
        ("webHookType", json!("HTTP")),
        ("methodType", json!("PUT")),
        ("maxAllowedConnections", json!(1)),
        ("webHookHeaders", json!({"X-Z": "1", "Authorization": "***", "X-A": "2"})),
    ];
    for (member, value) in changed {
        wanted[member] = value;
    }
    for (member, value) in wanted.as_object().expect("an object") {
        assert_eq!(made[member], *value, "{member}");
    }
    let mut same = server.webhook(made["webHookId"].as_str().expect("an id")).await;
    assert_eq!(same.retry_policy.as_ref().and_then(|policy| policy.max_retries), Some(4));
    assert_eq!(http(&mut same).url, "http:/127.0.0.1:9", "as it was sent");
    assert!(same.enrichment.is_some_and(|e| e.till_details && !e.store_details));

    let ordered = r#"{"name":"o","eventNames":["a"],"webHookUrl":"http://127.0.0.1:9/",
        "maxAllowedConnections":1,"webHookHeaders":{"X-Z":"1","X-A":"2"}}"#;
    let answer = client.send("POST", PATH, ordered).await;
    assert!(answer.text().contains(r#""webHookHeaders":{"X-Z":"1","X-A":"2"}"#), "their order");
}

#[tokio::test]
async fn a_change_leaves_alone_what_it_does_not_name() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let client = HttpClient::new(server.address);
    let mut webhook = least("w", &receiver.url());
    webhook["webHookHeaders"] = json!({"Authorization": "Basic x", "X-A": "1"});
    let made = create(&client, webhook).await;
    let path = path(&made);
    for (change, member, expected) in [
        (json!({"eventNames": ["a", "b"]}), "eventNames", json!(["a", "b"])),
        (json!({"maxAllowedConnections": 10.99}), "maxAllowedConnections", json!(10)),
        (json!({"slaInSeconds": 30.0, "active": null}), "slaInSeconds", json!(30)),
        (
            json!({"storeDetailsEnrichmentEnabled": true}),
            "storeDetailsEnrichmentEnabled",
            json!(true),
        ),
        (
            json!({"webHookHeaders": {"authorization": "***", "X-B": "2"}}),
            "webHookHeaders",
            json!({"authorization": "***", "X-B": "2"}),
        ),
    ] {
        let mut wanted = client.get(&path).await.json()["data"].clone();
        let (status, after) = client.send("PUT", &path, change.to_string()).await.parts();
        wanted[member] = expected;
        wanted["attribution"] = after["data"]["attribution"].clone();
        assert_eq!((status, &after["data"]), (200, &wanted), "{change}");
        assert_eq!(after["warnings"], Value::Null);
    }
    server.publish(event("b", "{}")).await;
    let received = receiver.wait_for(1).await.remove(0);
    assert_eq!(received.header("authorization"), Some("Basic x"), "a mask keeps what is stored");

    // All that a caller was shown can be sent back; it changes nothing.
    let mut shown = client.get(&path).await.json()["data"].clone();
    let same = client.send("PUT", &path, shown.to_string()).await.json();
    assert_eq!(same["data"], shown);
    let told: Vec<_> = same["warnings"].as_array().expect("warnings").iter().collect();
    assert_eq!(told.len(), 3, "attribution, webHookId and consumerGroupId: {told:?}");
    assert!(told.iter().all(|warning| warning["code"] == 900_101));

    let (status, deleted) = client.send("DELETE", &path, "").await.parts();
    shown["active"] = json!(false);
    assert_eq!((status, &deleted["data"]), (200, &shown));
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(client.get(PATH).await.json()["data"], json!([]));
}

#[tokio::test]
async fn webhooks_of_others_are_shown_as_far_as_the_dialect_goes() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let mut foreign = webhook("w", "http://127.0.0.1:9/", &["a.*"]);
    foreign.retry_policy = Some(quick_retries(7));
    foreign.sla = Some(prost_types::Duration { seconds: 0, nanos: 5 });
    http(&mut foreign).headers = vec![header("X-A", "1")];
    http(&mut foreign).headers[0].values.push("2".into());
    let foreign = server.create(foreign).await;
    let shown = client.get(&format!("{PATH}/{}", foreign.webhook_id)).await.json()["data"].clone();
    assert_eq!(shown["noOfRetryAttempts"], 7);
    assert_eq!(shown["slaInSeconds"], 1, "part of a second is not none");
    assert_eq!(shown["webHookHeaders"], json!({"X-A": "1, 2"}));
    assert_eq!(shown["eventNames"], json!(["a.*"]));
}

#[tokio::test]
async fn lists_are_filtered_and_cut_by_parameters() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    for (name, active) in [("a", true), ("b", false), ("c", true)] {
        let mut webhook = least(name, "http://127.0.0.1:9/");
        webhook["active"] = json!(active);
        webhook["eventNames"] = json!([format!("of.{name}")]);
        create(&client, webhook).await;
    }
    for (query, expected) in [
        ("", vec!["a", "b", "c"]),
        ("?active=true", vec!["a", "c"]),
        ("?active=false", vec!["b"]),
        ("?name=c", vec!["c"]),
        ("?eventName=of.a&eventName=of.b", vec!["a", "b"]),
        ("?limit=2", vec!["a", "b"]),
        ("?limit=2&offset=2", vec!["c"]),
        ("?offset=1", vec!["b", "c"]),
        ("?consumerGroupId=f7ea2579-28e2-4179-96da-fb271b17601c", vec![]),
    ] {
        let answer = client.get(&format!("{PATH}{query}")).await.json();
        let listed = answer["data"].as_array().expect("a list");
        let names: Vec<_> = listed.iter().map(|webhook| webhook["name"].clone()).collect();
        assert_eq!(names, expected, "{query}");
        assert_eq!(answer["warnings"], Value::Null, "{query}");
    }
    let odd = client.get(&format!("{PATH}?_=1")).await.json();
    assert_eq!(odd["warnings"][0]["code"], 900_102);
    let bad = "?limit=0&offset=-1&active=yes&consumerGroupId=x&name=a&name=b&eventName=a%20b";
    let (status, refused) = client.get(&format!("{PATH}{bad}")).await.parts();
    let told: Vec<_> = refused["errors"].as_array().expect("errors").iter().collect();
    assert_eq!((status, told.len()), (400, 6), "{told:?}");
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    for (method, path) in [
        ("GET", PATH),
        ("GET", "/v3/webHooks/0"),
        ("DELETE", PATH),
        ("POST", PATH),
        ("GET", "/v3/nothing"),
        ("GET", "/v3"),
        ("GET", "/v3/webHooks/eventLog"),
        ("POST", "/v3/events"),
    ] {
        let named = client.clone().with("x-cap-request-id", "call-7");
        assert_eq!(named.send(method, path, "").await.headers["x-cap-request-id"], "call-7");
        let unnamed = client.send(method, path, "").await;
        let id = unnamed.headers["x-cap-request-id"].to_str().expect("text");
        assert!(uuid::Uuid::try_parse(id).is_ok(), "{method} {path}: {id}");
        let odd = client.clone().with("x-cap-request-id", "no id");
        assert_ne!(odd.send(method, path, "").await.headers["x-cap-request-id"], "no id");
    }
    let text = client.with("content-type", "text/plain").send("POST", PATH, "{}").await;
    assert_eq!(text.status, 415);
    assert!(text.headers.contains_key("x-cap-request-id"));
}
