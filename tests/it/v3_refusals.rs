//! What v3 refuses, and how: its own shape, all faults at once, nothing half done.

use serde_json::{Value, json};

use super::support::{api::webhook, http_client::HttpClient, server::TestServer};

const PATH: &str = "/v3/webHooks";

fn good() -> Value {
    json!({"name": "w", "eventNames": ["a"], "webHookUrl": "http://127.0.0.1:9/", "maxAllowedConnections": 3})
}

fn with(member: &str, value: Value) -> String {
    let mut body = good();
    body[member] = value;
    body.to_string()
}

fn without(member: &str) -> String {
    let mut body = good();
    body.as_object_mut().expect("an object").remove(member);
    body.to_string()
}

/// The codes of an answer, whose shape is checked.
fn codes(answer: &Value) -> Vec<i64> {
    assert_eq!((&answer["data"], &answer["warnings"]), (&Value::Null, &Value::Null), "{answer}");
    let errors = answer["errors"].as_array().expect("errors").iter();
    let codes = errors.map(|error| {
        assert_eq!(error["status"], false, "{answer}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
        error["code"].as_i64().expect("a code")
    });
    codes.collect()
}

async fn refused(client: &HttpClient, method: &str, path: &str, body: &str) -> (u16, Vec<i64>) {
    let (status, answer) = client.send(method, path, body.to_owned()).await.parts();
    (status, codes(&answer))
}

#[tokio::test]
async fn bad_definitions_are_refused_and_make_nothing() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    server.create(webhook("taken", "http://127.0.0.1:9/", &["a"])).await;
    let many: Vec<_> = (0..1_001).map(|i| format!("e{i}")).collect();
    let cases = [
        (400, without("eventNames"), vec![51_003]),
        (400, with("eventNames", Value::Null), vec![51_003]),
        (400, with("eventNames", json!([])), vec![51_003]),
        (400, with("eventNames", json!("a")), vec![900_002]),
        (400, with("eventNames", json!(["a", 7])), vec![900_002]),
        (400, with("eventNames", json!(["a", "a"])), vec![900_002]),
        (400, with("eventNames", json!(["a b", ""])), vec![900_002, 900_001]),
        (400, with("eventNames", json!(many)), vec![900_002]),
        (400, without("maxAllowedConnections"), vec![300_004]),
        (400, with("maxAllowedConnections", Value::Null), vec![300_004]),
        (400, with("maxAllowedConnections", json!("10")), vec![300_004]),
        (400, with("maxAllowedConnections", json!([10])), vec![300_004]),
        (400, with("maxAllowedConnections", json!(0)), vec![51_007]),
        (400, with("maxAllowedConnections", json!(0.99)), vec![51_007]),
        (400, with("maxAllowedConnections", json!(-10)), vec![51_007]),
        (400, with("maxAllowedConnections", json!(1e30)), vec![900_002]),
        (400, without("name"), vec![900_001]),
        (400, with("name", json!(7)), vec![900_002]),
        (400, with("name", json!("")), vec![900_001]),
        (400, with("name", json!("x".repeat(256))), vec![900_002]),
        (400, with("name", json!("a\u{0}")), vec![900_002]),
        (409, with("name", json!("taken")), vec![900_005]),
        (400, without("webHookUrl"), vec![900_001]),
        (400, with("webHookUrl", json!({})), vec![900_002]),
        (400, with("webHookUrl", json!("no url")), vec![900_002]),
        (400, with("webHookUrl", json!("ftp://127.0.0.1/")), vec![900_004]),
        (400, with("webHookType", json!("queue")), vec![900_003]),
        (400, with("webHookType", json!("QUEUE_INT")), vec![900_003]),
        (400, with("webHookType", json!("fax")), vec![900_002]),
        (400, with("methodType", json!("TRACE")), vec![900_002]),
        (400, with("webHookHeaders", json!([])), vec![900_002]),
        (400, with("webHookHeaders", json!({"X-A": 7})), vec![900_002]),
        (400, with("webHookHeaders", json!({"X A": "1"})), vec![900_002]),
        (400, with("webHookHeaders", json!({"Host": "x"})), vec![900_002]),
        (400, with("webHookHeaders", json!({"X-A": "1", "x-a": "2"})), vec![900_002]),
        (400, with("webHookHeaders", json!({"Authorization": "***"})), vec![900_002]),
        (400, with("noOfRetryAttempts", json!(-1)), vec![900_002]),
        (400, with("noOfRetryAttempts", json!(1_001)), vec![900_002]),
        (400, with("slaInSeconds", json!("30")), vec![900_002]),
        (400, with("slaInSeconds", json!(31_536_001)), vec![900_002]),
        (400, with("active", json!("true")), vec![900_002]),
        (400, with("tillDetailsEnrichmentEnabled", json!(1)), vec![900_002]),
        (400, with("customerIdentifiersToBeEnriched", json!(["a", "a"])), vec![900_002]),
        (400, "{}".into(), vec![300_004, 900_001, 51_003, 900_001]),
        (400, String::new(), vec![900_051]),
        (400, "{".into(), vec![900_051]),
        (400, "[]".into(), vec![900_051]),
        (400, with("name", json!("w")).replacen('{', r#"{"name":"v","#, 1), vec![900_002]),
    ];
    for (status, body, expected) in cases {
        assert_eq!(refused(&client, "POST", PATH, &body).await, (status, expected), "{body:.200}");
    }
    let mut long = with("name", json!("w")).into_bytes();
    long.resize(4 * 1024 * 1024 + 1, b' ');
    let (status, answer) = client.send("POST", PATH, long).await.parts();
    assert_eq!((status, codes(&answer)), (413, vec![900_052]));
    let text = client.clone().with("content-type", "text/plain");
    assert_eq!(refused(&text, "POST", PATH, &good().to_string()).await, (415, vec![900_053]));
    let listed = client.get(PATH).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "only the one that was there");
}

#[tokio::test]
async fn bad_changes_change_nothing() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let made = client.send("POST", PATH, good().to_string()).await.json()["data"].clone();
    let path = format!("{PATH}/{}", made["webHookId"].as_str().expect("an id"));
    for (body, expected) in [
        (json!({"eventNames": null}), vec![51_003]),
        (json!({"eventNames": []}), vec![51_003]),
        (json!({"maxAllowedConnections": null}), vec![300_004]),
        (json!({"maxAllowedConnections": 0}), vec![51_007]),
        (json!({"webHookUrl": ""}), vec![900_001]),
        (json!({"webHookHeaders": {"Authorization": "***"}}), vec![900_002]),
        (
            json!({"active": "no", "slaInSeconds": 5, "maxAllowedConnections": 0, "methodType": "X"}),
            vec![900_002, 900_002, 51_007],
        ),
    ] {
        let refused = refused(&client, "PUT", &path, &body.to_string()).await;
        assert_eq!(refused, (400, expected), "{body}");
    }
    assert_eq!(client.get(&path).await.json()["data"], made);
}

#[tokio::test]
async fn what_is_not_there_is_not_found_in_the_shape_of_the_dialect() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    let mut foreign = tidings::grpc::proto::CreateWebhookRequest {
        tenant_id: "other".into(),
        webhook: Some(webhook("w", "http://127.0.0.1:9/", &["a"])),
        ..Default::default()
    };
    foreign.idempotency_key = String::new();
    let foreign = server.webhooks().create_webhook(foreign).await.expect("made").into_inner();
    let of_another = format!("{PATH}/{}", foreign.webhook.expect("a webhook").webhook_id);
    let unknown = "/v3/webHooks/671f45d8760af000077b19f8";
    for (method, path, status, code) in [
        ("GET", unknown, 404, 900_006),
        ("GET", of_another.as_str(), 404, 900_006),
        ("GET", "/v3/webHooks/x", 404, 900_006),
        ("PUT", unknown, 400, 900_006),
        ("PUT", of_another.as_str(), 400, 900_006),
        ("PUT", "/v3/webHooks/x", 400, 900_006),
        ("DELETE", unknown, 404, 900_006),
        ("DELETE", of_another.as_str(), 404, 900_006),
        ("GET", "/v3/webHooks/eventLog", 404, 900_055),
        ("GET", "/v3/webHooks/eventLog/x", 404, 900_015),
        ("GET", "/v3/webHooks/eventLog/ccc983c2-df7a-4ece-b5cc-e574cec66fc1", 404, 900_015),
        ("GET", "/v3/webHooks/eventLog/requestId", 404, 900_015),
        ("GET", "/v3/webHooks/eventLog/requestId/", 404, 900_055),
        ("GET", "/v3/webHooks/eventLog/requestId/a/b", 404, 900_055),
        ("GET", "/v3/webHooks/eventLog/other/a", 404, 900_055),
        ("GET", "/v3/webHooks/eventMetaData/nothing", 404, 900_009),
        ("GET", "/v3/webHooks/%ff", 404, 900_055),
        ("GET", "/v3/webHooks/", 404, 900_055),
        ("GET", "/v3", 404, 900_055),
        ("GET", "/v3/", 404, 900_055),
        ("GET", "/v3/webhooks", 404, 900_055),
        ("DELETE", PATH, 405, 900_054),
        ("PATCH", unknown, 405, 900_054),
        ("PUT", "/v3/webHooks/eventMetaData", 405, 900_054),
        ("DELETE", "/v3/webHooks/eventMetaData/transaction", 405, 900_054),
        ("POST", "/v3/webHooks/eventLog/tail", 405, 900_054),
        ("GET", "/v3/events", 405, 900_054),
    ] {
        let body = if method == "PUT" { "{}" } else { "" };
        let told = refused(&client, method, path, body).await;
        assert_eq!(told, (status, vec![code]), "{method} {path}");
    }
    let message = client.send("PUT", unknown, "{}").await.json()["errors"][0]["message"].clone();
    assert_eq!(message, "webHookId is invalid");
    let method = client.send("DELETE", PATH, "").await;
    let allowed = method.headers.get("allow").and_then(|allow| allow.to_str().ok());
    assert!(allowed.is_some_and(|a| a.contains("GET") && a.contains("POST")), "{allowed:?}");
}
