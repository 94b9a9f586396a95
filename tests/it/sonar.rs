//! The dialect of Sonar's webhooks API, against the running server.

use serde_json::{Value, json};

use super::support::{
    api::event,
    http_client::HttpClient,
    keys,
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PATH: &str = "/api/v1/webhooks";

/// The request of the API's documentation, as it stands there.
const SAMPLE: &str = r#"{
  "webhook": {
    "name": "webhook to capture customer state changes",
    "active": "true",
    "settings": {
      "customer_state_changed": "true"
    },
    "url": "https://endpoint.com/catch-a-hook",
    "http_method": "POST"
  }
}"#;

fn definition(name: &str, url: &str) -> Value {
    json!({"name": name, "settings": {"customer_created": "true"}, "url": url, "http_method": "POST"})
}

async fn create(client: &HttpClient, webhook: Value) -> (u16, Value) {
    client.send("POST", PATH, json!({"webhook": webhook}).to_string()).await.parts()
}

#[tokio::test]
async fn the_sample_makes_a_webhook_that_all_others_see() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let answer = client.send("POST", PATH, SAMPLE).await;
    assert_eq!(answer.status, 200);
    let made = answer.json();
    let text = answer.text();
    let expected = format!(
        concat!(
            r#"{{"id":1,"active":true,"settings":{{"customer_state_changed":"true"}},"#,
            r#""url":"https://endpoint.com/catch-a-hook","http_method":"POST","payload":"","#,
            r#""name":"webhook to capture customer state changes","created_at":{},"updated_at":{}}}"#
        ),
        made["created_at"], made["updated_at"]
    );
    assert_eq!(text, expected, "members in this order");
    assert!(made["created_at"].as_str().is_some_and(|at| at.ends_with('Z')));

    assert_eq!(client.get("/api/v1/webhooks/1").await.parts(), (200, made.clone()));
    assert_eq!(client.get(PATH).await.parts(), (200, json!([made])));
    let query = tidings::grpc::proto::ListWebhooksRequest::default();
    let listed = server.webhooks().list_webhooks(query).await.expect("a list").into_inner();
    let [webhook] = &listed.webhooks[..] else { panic!("one webhook") };
    assert_eq!((webhook.number, webhook.enabled), (1, Some(true)));
    assert_eq!(webhook.event_names, ["customer_state_changed"]);
}

#[tokio::test]
async fn a_change_leaves_alone_what_it_does_not_name() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let (status, made) = create(&client, definition("w", "http://127.0.0.1:1/a")).await;
    assert_eq!((status, &made["active"]), (200, &json!(false)), "inactive unless it is asked for");
    for (method, change, member, expected) in [
        ("PATCH", json!({"active": true}), "active", json!(true)),
        ("PUT", json!({"http_method": "put"}), "http_method", json!("PUT")),
        ("PATCH", json!({"name": "v", "url": null}), "name", json!("v")),
        (
            "PUT",
            json!({"settings": {"outbound_message": "true"}}),
            "settings",
            json!({"customer_created": "true", "outbound_message": "true"}),
        ),
        (
            "PATCH",
            json!({"settings": {"customer_created": "false"}}),
            "settings",
            json!({"outbound_message": "true"}),
        ),
    ] {
        let before = client.get("/api/v1/webhooks/1").await.json();
        let body = json!({"webhook": change}).to_string();
        let (status, after) = client.send(method, "/api/v1/webhooks/1", body).await.parts();
        let mut wanted = before;
        wanted[member] = expected;
        wanted["updated_at"] = after["updated_at"].clone();
        assert_eq!((status, after), (200, wanted), "{method} {change}");
    }
    let deleted = client.send("DELETE", "/api/v1/webhooks/1", "").await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    assert_eq!(client.get("/api/v1/webhooks/1").await.status, 404);
    assert_eq!(client.get(PATH).await.json(), json!([]));
}

#[tokio::test]
async fn deliveries_have_the_body_of_the_dialect_and_keep_their_id() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    webhook["active"] = json!("true");
    assert_eq!(create(&client, webhook).await.0, 200);
    let published = server.publish(event("customer_created", r#"{"id":7,"n":1.50}"#)).await;
    let received = receiver.wait_for(1).await.remove(0);
    let expected = format!(
        r#"{{"action":"customer_created","uuid":"{}","id":7,"n":1.50}}"#,
        published.event_id
    );
    assert_eq!(received.body, expected);
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_shape_of_the_dialect_and_change_nothing() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    assert_eq!(create(&client, definition("taken", "http://127.0.0.1:1/")).await.0, 200);
    let good = definition("w", "http://127.0.0.1:1/");
    let with = |member: &str, value: Value| {
        let mut webhook = good.clone();
        webhook[member] = value;
        json!({"webhook": webhook}).to_string()
    };
    let without = |member: &str| {
        let mut webhook = good.clone();
        webhook.as_object_mut().expect("an object").remove(member);
        json!({"webhook": webhook}).to_string()
    };
    let settings = |value: Value| with("settings", value);
    let cases = [
        (400, String::new(), "the body is no JSON"),
        (400, "{".into(), "the body is no JSON"),
        (422, "[]".into(), "body must be an object"),
        (422, "{}".into(), "webhook is required"),
        (422, json!({"webhook": []}).to_string(), "webhook must be an object"),
        (
            422,
            json!({"webhook": {}}).to_string(),
            "name is required; settings is required; url is required; http_method is required",
        ),
        (422, json!({"webhook": good, "x": 1}).to_string(), "x is not known"),
        (422, with("x", json!(1)), "x is not known"),
        (422, without("name"), "name is required"),
        (422, with("name", json!(7)), "name must be a string"),
        (422, with("name", json!("x".repeat(256))), "name "),
        (422, with("name", json!("taken")), "name "),
        (422, with("active", json!(1)), "active must be true or false"),
        (422, with("url", json!("no url")), "url "),
        (422, with("url", json!("ftp://127.0.0.1/")), "url "),
        (422, with("http_method", json!("TRACE")), "http_method must be"),
        (422, settings(json!("true")), "settings must be an object"),
        (422, settings(json!({})), "settings "),
        (422, settings(json!({"customer_created": "false"})), "settings "),
        (422, settings(json!({"customer_created": "yes"})), "settings.customer_created must be"),
        (422, settings(json!({"pointsIssued": "true"})), "settings.pointsIssued is no event"),
    ];
    for (status, body, error) in cases {
        let answer = client.send("POST", PATH, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let told = answer.json();
        let told = told["error"].as_str().expect("an error");
        assert!(told.starts_with(error), "{body}: {told}");
    }
    let both = with("url", json!("x")).replace("\"POST\"", "7");
    let told = client.send("POST", PATH, both).await.json();
    let told = told["error"].as_str().expect("an error");
    assert!(told.contains("http_method must be a string"), "{told}");

    let text = client.clone().with("content-type", "text/plain");
    assert_eq!(text.send("POST", PATH, SAMPLE).await.status, 415);
    for (method, path, status) in [
        ("GET", "/api/v1/webhooks/2", 404),
        ("GET", "/api/v1/webhooks/x", 404),
        ("GET", "/api/v1/webhooks/99999999999999999999", 404),
        ("PATCH", "/api/v1/webhooks/2", 404),
        ("DELETE", "/api/v1/webhooks/2", 404),
        ("GET", "/api/v1/webhooks/1/x", 404),
        ("DELETE", PATH, 405),
        ("POST", "/api/v1/webhooks/1", 405),
    ] {
        let answer = client.send(method, path, if method == "GET" { "" } else { "{}" }).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(client.get(PATH).await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn administrators_of_all_tenants_name_one() {
    let server = TestServer::strict().await;
    let admin = keys::make(&server.database(), "*", "all").await;
    let own = keys::make(&server.database(), "acme", "all").await;
    let anybody = HttpClient::new(server.address);
    let (admin, own) =
        (anybody.clone().with("x-token", &admin), anybody.clone().with("x-token", &own));
    let at = |client: &HttpClient, tenant: &str| client.clone().with("tidings-tenant", tenant);
    assert_eq!(at(&admin, "acme").send("POST", PATH, SAMPLE).await.status, 200);
    assert_eq!(own.get(PATH).await.json().as_array().map(Vec::len), Some(1));
    let (status, missing) = admin.get(PATH).await.parts();
    let told = "Tidings-Tenant is required: the credentials cover all tenants";
    assert_eq!((status, &missing["error"]), (422, &told.into()));
    for (client, status) in [(at(&admin, "ghost"), 404), (at(&own, "ghost"), 403)] {
        let (told, answer) = client.get(PATH).await.parts();
        assert_eq!((told, answer["error"].is_string()), (status, true), "{answer}");
    }
    // Where the path names the tenant, the header may not name another.
    let list = "/event/acme/webhooks/list";
    assert_eq!(at(&admin, "acme").get(list).await.status, 200);
    assert_eq!(at(&admin, "other").get(list).await.status, 400);
}
