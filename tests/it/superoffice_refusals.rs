//! SuperOffice's dialect refuses in its own shape, and nothing is half done.

use serde_json::{Value, json};

use super::{
    superoffice::{PATH, create, definition, strict},
    support::{
        http_client::HttpClient,
        keys::{self, HOME},
        receiver::Receiver,
        server::TestServer,
    },
};

/// Every route, with the permission that it needs.
const ROUTES: [(&str, &str, &str); 10] = [
    ("GET", "/default", "webhooks-read"),
    ("GET", "", "webhooks-read"),
    ("POST", "", "webhooks-write"),
    ("GET", "/1", "webhooks-read"),
    ("PUT", "/1", "webhooks-write"),
    ("PATCH", "/1", "webhooks-write"),
    ("DELETE", "/1", "webhooks-write"),
    ("POST", "/Test", "webhooks-write"),
    ("POST", "/contact.created/1", "events-publish"),
    ("GET", "/1/LastError", "event-logs-read"),
];

/// Status, `ErrorType` and `Message` of a refusal of exactly the documented shape.
fn told(answer: (u16, Value)) -> (u16, String, String) {
    let (status, body) = answer;
    let members: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["Error", "ErrorType", "Message"], "{body}");
    assert_eq!(body["Error"], true);
    let text = |member: &str| body[member].as_str().expect("a text").to_owned();
    (status, text("ErrorType"), text("Message"))
}

#[tokio::test]
async fn bad_definitions_are_refused_with_all_their_faults() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let made = create(&client, &definition("w", &receiver.url())).await;
    let with = |member: &str, value: Value| {
        let mut webhook = definition("v", &receiver.url());
        webhook[member] = value;
        webhook.to_string()
    };
    let all = json!({"Name": 7, "Events": null, "TargetUrl": "x", "Headers": [], "x": 1});
    for (body, message) in [
        (String::new(), "the body is no JSON"),
        ("{".into(), "the body is no JSON"),
        ("null".into(), "body must be an object"),
        ("[]".into(), "body must be an object"),
        ("{}".into(), "Name is required; Events needs at least one event name; TargetUrl is"),
        (
            all.to_string(),
            "Name must be a string; Headers must be an object; x is not known; Events needs at \
             least one event name; TargetUrl ",
        ),
        (with("x", json!(1)), "x is not known"),
        (with("Name", Value::Null), "Name is required"),
        (with("Name", json!("x".repeat(256))), "Name must be at most 255"),
        (with("Name", json!("a\u{0}")), "Name must not contain U+0000"),
        (with("Events", json!([])), "Events needs at least one"),
        (with("Events", json!("a")), "Events must be an array of strings"),
        (with("Events", json!(["a", "a"])), "Events[1] is named twice"),
        (with("Events", json!(["a b"])), "Events[0] must not contain white space"),
        (with("TargetUrl", json!("ftp://127.0.0.1/")), "TargetUrl "),
        (with("Type", json!("crmscript")), "Type crmscript is not supported"),
        (with("Type", json!("x")), "Type must be webhook"),
        (with("Type", json!(1)), "Type must be a string"),
        (with("State", json!("Paused")), "State must be Active"),
        (with("State", json!(4)), "State must be Active"),
        (with("State", json!("TooManyErrors")), "State can be made Active or Stopped only"),
        (with("Secret", json!(1)), "Secret must be a string"),
        (with("Secret", json!("***")), "Secret must be the secret itself"),
        (with("Headers", json!({"X": 1})), "Headers.X must be a string"),
        (with("Headers", json!({"Host": "x"})), "Headers[0].name is set by the server"),
        (with("Headers", json!({"X-SuperOffice-Event": "x"})), "Headers[0].name is set by the"),
        (with("Headers", json!({"X": "ä"})), "Headers[0].values must be visible ASCII"),
        (with("Properties", json!([1])), "Properties must be an object"),
        (with("Properties", json!({"a": "x".repeat(17_000)})), "Properties must be at most"),
        (with("ErrorsEmail", json!("nobody")), "ErrorsEmail must be an e-mail address"),
    ] {
        for (method, path) in [("POST", PATH.to_owned()), ("PUT", format!("{PATH}/1"))] {
            let (status, kind, text) = told(client.send(method, &path, body.clone()).await.parts());
            assert_eq!((status, kind.as_str()), (400, "BadRequest"), "{method} {body}: {text}");
            assert!(text.starts_with(message), "{method} {body}: {text}");
        }
    }
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    assert_eq!(told(client.send("POST", PATH, large).await.parts()).0, 413);
    for query in [
        "$select=Name&$select=State",
        "x=1",
        "nameFilter=a&nameFilter=b",
        "statusFilter=9",
        "statusFilter=",
    ] {
        assert_eq!(told(client.get(&format!("{PATH}?{query}")).await.parts()).0, 400, "{query}");
    }
    assert_eq!(told(client.get(&format!("{PATH}?eventFilter=a%20b")).await.parts()).0, 400);
    assert_eq!(client.get(&format!("{PATH}/1")).await.json(), made);
    assert_eq!(client.get(PATH).await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(receiver.count(), 1, "what is refused is not even tested");
}

#[tokio::test]
async fn media_types_paths_and_methods_are_refused_in_the_shape_of_the_dialect() {
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    for kind in ["application/xml", "text/xml; charset=utf-8", "text/plain"] {
        let typed = client.clone().with("content-type", kind);
        for (method, path) in [("POST", PATH), ("POST", "/api/v1/Webhook/Test")] {
            let (status, error, message) =
                told(typed.send(method, path, "<Webhook/>").await.parts());
            assert_eq!((status, error.as_str()), (415, "UnsupportedMediaType"), "{kind}");
            assert!(message.contains("XML is not supported"), "{message}");
        }
    }
    for accept in ["application/xml", "text/html, image/png"] {
        let picky = client.clone().with("accept", accept);
        let (status, error, _) = told(picky.get(PATH).await.parts());
        assert_eq!((status, error.as_str()), (406, "NotAcceptable"), "{accept}");
    }
    for (method, path, status) in [
        ("GET", "/1", 404),
        ("PUT", "/1", 404),
        ("PATCH", "/1", 404),
        ("DELETE", "/1", 404),
        ("GET", "/1/LastError", 404),
        ("GET", "/x", 404),
        ("GET", "/%FF", 404),
        ("GET", "/99999999999", 404),
        ("GET", "/", 404),
        ("GET", "/1/2/3", 404),
        ("POST", "/a/b", 400),
        ("POST", "/a%20b/1", 400),
        ("DELETE", "", 405),
        ("POST", "/1", 405),
        ("GET", "/Test", 405),
        ("PUT", "/default", 405),
        ("GET", "/contact.created/1", 405),
    ] {
        let answer = client.send(method, &format!("{PATH}{path}"), "").await;
        assert_eq!(told(answer.parts()).0, status, "{method} {path}");
    }
}

#[tokio::test]
async fn each_route_needs_its_permission_and_shows_only_its_tenant() {
    let server = strict().await;
    let receiver = Receiver::start().await;
    let anybody = HttpClient::new(server.address);
    let with = |token: &str| anybody.clone().with("authorization", &format!("Bearer {token}"));
    let owner = with(&keys::make(&server.database(), HOME, "all").await);
    create(&owner, &definition("w", &receiver.url())).await;
    for (method, path, _) in ROUTES {
        let path = format!("{PATH}{path}");
        assert_eq!(told(anybody.send(method, &path, "").await.parts()).0, 401, "{path}");
        assert_eq!(told(with("tk_x").send(method, &path, "").await.parts()).0, 401, "{path}");
    }
    for allowed in ["webhooks-read", "webhooks-write", "events-publish", "event-logs-read"] {
        let client = with(&keys::make(&server.database(), HOME, allowed).await);
        for (method, path, needed) in ROUTES.iter().filter(|(method, ..)| *method != "DELETE") {
            let status = client.send(method, &format!("{PATH}{path}"), "").await.status;
            assert_eq!(status == 403, *needed != allowed, "{method} {path} with {allowed}");
        }
    }
    let reader = with(&keys::make(&server.database(), HOME, "webhooks-read").await);
    assert_eq!(told(reader.send("DELETE", &format!("{PATH}/1"), "").await.parts()).0, 403);
    // Made by `tidings keys`, the tenant comes into being with its first key.
    let stranger = with(&keys::make(&server.database(), "other", "all").await);
    for (method, path, _) in ROUTES.iter().filter(|(_, path, _)| path.starts_with("/1")) {
        let answer = stranger.send(method, &format!("{PATH}{path}"), "").await;
        assert_eq!(told(answer.parts()).0, 404, "{method} {path}");
    }
    assert_eq!(stranger.get(PATH).await.json(), json!([]));
    assert_eq!(owner.get(PATH).await.json().as_array().map(Vec::len), Some(1));
}
