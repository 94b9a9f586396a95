//! The dialect of Socotra's webhooks, diverted events and events, against the running server.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tidings::grpc::proto::ListWebhooksRequest;

use super::support::{
    api::event,
    http_client::HttpClient,
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PATH: &str = "/event/default/webhooks";

fn definition(name: &str, url: &str) -> Value {
    json!({"name": name, "endpoint": {"url": url}, "eventTypes": ["a"]})
}

async fn create(client: &HttpClient, webhook: Value) -> Value {
    let (status, made) = client.send("POST", PATH, webhook.to_string()).await.parts();
    assert_eq!(status, 200, "{made}");
    made
}

fn at(webhook: &Value) -> String {
    format!("{PATH}/{}", webhook["locator"].as_str().expect("a locator"))
}

#[tokio::test]
async fn a_webhook_of_all_documented_members_is_seen_by_all_others() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let request = json!({"name": "w", "enabled": true,
        "endpoint": {"url": "https://127.0.0.1:1/hook", "headers": {"X-A": ["1", "2"]}},
        "failureHandling": {"alertEndpoint": "http://127.0.0.1:1/alert", "triggers": ["5xx"],
            "retryStrategy": {"type": "exponential", "interval": 50, "attempts": 4},
            "divert": true, "suspend": true},
        "eventTypes": ["policy.issued", "policy.*"]});
    let answer = client.send("POST", PATH, request.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let made = answer.json();
    let expected = format!(
        concat!(
            r#"{{"locator":{},"name":"w","enabled":true,"#,
            r#""endpoint":{{"url":"https://127.0.0.1:1/hook","headers":{{"X-A":["1","2"]}},"hmacEnabled":false}},"#,
            r#""failureHandling":{{"alertEndpoint":"http://127.0.0.1:1/alert","triggers":["5xx"],"#,
            r#""retryStrategy":{{"type":"exponential","interval":50,"attempts":4}},"divert":true,"suspend":true}},"#,
            r#""suspended":false,"suspendedAt":null,"eventTypes":["policy.issued","policy.*"]}}"#
        ),
        made["locator"]
    );
    assert_eq!(answer.text(), expected, "members in this order");
    assert_eq!(client.get(&at(&made)).await.json(), made);
    let listed = server.list(ListWebhooksRequest::default()).await.webhooks;
    assert_eq!(listed[0].webhook_id, made["locator"]);
    assert_eq!(client.get("/api/v1/webhooks").await.json()[0]["name"], "w");
    assert_eq!(client.get("/v3/webHooks").await.json()["data"][0]["webHookId"], made["locator"]);
}

#[tokio::test]
async fn lists_have_filters_and_places() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    for name in ["a", "b", "c"] {
        let mut webhook = definition(name, "http://127.0.0.1:1/");
        webhook["enabled"] = json!(name != "b");
        webhook["eventTypes"] = json!([name]);
        create(&client, webhook).await;
    }
    for (query, expected) in [
        ("", "abc"),
        ("?count=2", "ab"),
        ("?offset=1&count=1", "b"),
        ("?name=c", "c"),
        ("?enabled=false", "b"),
        ("?active=true&suspended=false", "ac"),
        ("?eventTypes=a&eventTypes=b", "ab"),
        ("?eventTypes=b,c", "bc"),
    ] {
        let listed = client.get(&format!("{PATH}/list{query}")).await.json();
        let names = listed.as_array().expect("an array").iter().map(|w| w["name"].as_str());
        assert_eq!(names.flatten().collect::<String>(), expected, "{query}");
    }
    for bad in ["count=0", "count=101", "offset=-1", "active=yes", "x=1", "count=1&count=2"] {
        let (status, told) = client.get(&format!("{PATH}/list?{bad}")).await.parts();
        assert_eq!((status, told["error"].is_string()), (400, true), "{bad}");
    }
}

#[tokio::test]
async fn removals_come_first_and_additions_win() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", "http://127.0.0.1:1/");
    webhook["endpoint"]["headers"] = json!({"X-A": ["1"], "X-B": ["2"]});
    webhook["failureHandling"] = json!({"divert": true});
    let made = create(&client, webhook).await;
    let change = json!({"name": "v", "endpoint": {"removeHeaders": ["x-a", "x-b", "x-none"],
            "addHeaders": {"X-A": ["3"]}},
        "removeFailureHandling": true, "failureHandling": {"suspend": true},
        "removeEventTypes": ["a", "none"], "addEventTypes": ["a", "b"]});
    let (status, after) = client.send("PATCH", &at(&made), change.to_string()).await.parts();
    assert_eq!(status, 200, "{after}");
    assert_eq!(after["name"], "v");
    assert_eq!(after["endpoint"]["headers"], json!({"X-A": ["3"]}));
    assert_eq!(after["eventTypes"], json!(["a", "b"]));
    let handling = &after["failureHandling"];
    assert_eq!((&handling["divert"], &handling["suspend"]), (&json!(false), &json!(true)));
    let unchanged = client.send("PATCH", &at(&made), "{}").await.parts();
    assert_eq!(unchanged, (200, after));
    for _ in 0..2 {
        let path = format!("{}/unsuspend", at(&made));
        assert_eq!(client.send("PATCH", &path, "").await.status, 204);
    }
    assert_eq!(client.send("DELETE", &at(&made), "").await.status, 204);
    assert_eq!(client.get(&at(&made)).await.status, 404);
}

#[tokio::test]
async fn deliveries_are_signed_and_the_same_events_can_be_read() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    webhook["endpoint"]["hmacEnabled"] = json!(true);
    webhook["endpoint"]["secret"] = json!("key");
    webhook["endpoint"]["headers"] = json!({"X-A": ["1"]});
    let made = create(&client, webhook).await;
    assert_eq!(made["endpoint"]["hmacEnabled"], true);
    assert!(made["endpoint"].get("secret").is_none(), "{made}");
    let mut new = event("a", r#"{"n":1.50}"#);
    new.request_id = "r 1".into();
    let id = server.publish(new).await.event_id;
    server.publish(event("b", "{}")).await;
    let received = receiver.wait_for(1).await.remove(0);
    let body = std::str::from_utf8(&received.body).expect("text");
    assert!(
        body.starts_with(&format!(r#"{{"locator":"{id}","requestId":"r 1","userLocator":null,"#))
    );
    assert!(body.ends_with(r#","type":"a","data":{"n":1.50}}"#), "{body}");
    assert_eq!(received.header("x-a"), Some("1"));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"key").expect("any length");
    mac.update(&received.body);
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received.header("socotra-signature"), Some(&*hex));

    let events = "/event/default/events";
    assert_eq!(client.get(&format!("{events}/{id}")).await.text(), body);
    let of_request = client.get(&format!("{events}/request/r%201")).await;
    assert_eq!(of_request.text(), format!("[{body}]"));
    let page = client.get(&format!("{events}/list?pageSize=1")).await.json();
    assert_eq!((&page["listCompleted"], &page["items"][0]["type"]), (&json!(false), &json!("a")));
    let token = page["pagingToken"].as_str().expect("a token");
    let next = client.get(&format!("{events}/list?pageSize=1&pagingToken={token}")).await.json();
    assert_eq!((&next["listCompleted"], &next["items"][0]["type"]), (&json!(true), &json!("b")));
    let typed = client.get(&format!("{events}/list?type=b")).await.json();
    assert_eq!(typed["items"], next["items"]);
    let early =
        client.get(&format!("{events}/list?endTimestamp=2000-01-01T00:00:00Z")).await.json();
    assert_eq!(early["items"], json!([]));
    for bad in ["type=a%20b", "startTimestamp=now", "pagingToken=x", "pageSize=101"] {
        assert_eq!(client.get(&format!("{events}/list?{bad}")).await.parts().0, 400, "{bad}");
    }
}

#[tokio::test]
async fn diverted_events_are_shown_sent_again_and_given_up() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index < 2 { 500 } else { 200 })).await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    webhook["failureHandling"] = json!({"divert": true});
    let made = create(&client, webhook).await;
    let ids = server.divert("a", 2).await;
    let path = "/event/default/diverted-events";
    let listed = client.get(&format!("{path}/list?offset=1")).await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let first = client.get(&format!("{path}/{}", ids[0])).await.json();
    assert_eq!((&first["eventLocator"], &first["failureTrigger"]), (&json!(ids[0]), &json!("5xx")));
    assert_eq!(first["webhookLocator"], made["locator"]);
    let own = format!("{path}/{}", first["locator"].as_str().expect("a locator"));
    assert_eq!(client.get(&own).await.json(), first);
    assert_eq!(client.send("POST", &format!("{own}/resend"), "").await.status, 202);
    receiver.wait_for(3).await;
    assert_eq!(client.send("DELETE", &format!("{path}/{}", ids[1]), "").await.status, 202);
    server.wait_log(&ids[1], "dropped", |log| log.status == 5).await;
    assert_eq!(client.get(&format!("{path}/list")).await.json(), json!([]));
    assert_eq!(client.get(&own).await.status, 404);
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_shape_of_the_dialect_and_change_nothing() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let taken = create(&client, definition("taken", "http://127.0.0.1:1/")).await;
    let with = |pointer: &str, value: Value| {
        let mut webhook = definition("w", "http://127.0.0.1:1/");
        match pointer.split_once('/') {
            Some((outer, inner)) => webhook[outer][inner] = value,
            None => webhook[pointer] = value,
        }
        webhook.to_string()
    };
    for (status, body, error) in [
        (400, String::new(), "the body is no JSON"),
        (400, "[]".into(), "body must be an object"),
        (400, "{}".into(), "endpoint is required"),
        (400, with("x", json!(1)), "x is not known"),
        (400, with("name", Value::Null), "name "),
        (400, with("name", json!(7)), "name must be a string"),
        (400, with("name", json!("x".repeat(256))), "name "),
        (409, with("name", json!("taken")), "name "),
        (400, with("enabled", json!("true")), "enabled must be true or false"),
        (400, with("endpoint", json!("x")), "endpoint must be an object"),
        (400, with("endpoint/url", Value::Null), "endpoint.url is required"),
        (400, with("endpoint/url", json!("ftp://127.0.0.1/")), "endpoint.url "),
        (400, with("endpoint/headers", json!({"X": "1"})), "endpoint.headers.X must be an array"),
        (400, with("endpoint/headers", json!({"Host": ["1"]})), "endpoint.headers[0].name is set"),
        (400, with("endpoint/addHeaders", json!({})), "endpoint.addHeaders is not known"),
        (400, with("endpoint/secureSsl", json!(false)), "endpoint.secureSsl must be true"),
        (400, with("endpoint/hmacEnabled", json!(true)), "endpoint.secret is required"),
        (400, with("endpoint/secret", json!("s")), "endpoint.secret needs hmacEnabled"),
        (400, with("eventTypes", json!([])), "eventTypes needs at least one"),
        (400, with("eventTypes", json!("a")), "eventTypes must be an array of strings"),
        (400, with("failureHandling", json!({"triggers": ["x"]})), "failureHandling.triggers[0]"),
        (
            400,
            with("failureHandling", json!({"alertEndpoint": "x"})),
            "failureHandling.alertEndpoint ",
        ),
    ] {
        let (told, answer) = client.send("POST", PATH, body.clone()).await.parts();
        assert_eq!(told, status, "{body}: {answer}");
        let told = answer["error"].as_str().expect("an error");
        assert!(told.starts_with(error), "{body}: {told}");
    }
    for bad in [json!({"eventTypes": ["b"]}), json!({"removeEventTypes": ["a"]})] {
        let (status, told) = client.send("PATCH", &at(&taken), bad.to_string()).await.parts();
        assert_eq!((status, told["error"].is_string()), (400, true), "{bad}");
    }
    let text = client.clone().with("content-type", "text/plain");
    assert_eq!(text.send("POST", PATH, "{}").await.parts().0, 415);
    for (method, path, status) in [
        ("GET", "/event/default/webhooks/671f45d8760af000077b19f8", 404),
        ("PATCH", "/event/default/webhooks/x", 404),
        ("GET", "/event/default/diverted-events/x", 404),
        ("GET", "/event/default/events/x", 404),
        ("GET", "/event/default/x", 404),
        ("GET", "/event/%FF/webhooks/list", 404),
        ("GET", "/event/a%20b/webhooks/list", 400),
        ("DELETE", PATH, 405),
        ("PUT", "/event/default/webhooks/x", 405),
    ] {
        let (told, answer) = client.send(method, path, "").await.parts();
        assert_eq!((told, answer["error"].is_string()), (status, true), "{method} {path}");
    }
    assert_eq!(client.get(&format!("{PATH}/list")).await.json(), json!([taken]));
}
