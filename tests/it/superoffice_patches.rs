//! SuperOffice's dialect: changes of a part, and changes that must not overtake others.

use serde_json::{Value, json};

use super::{
    superoffice::{PATH, create, definition},
    support::{
        http_client::HttpClient,
        receiver::{Receiver, Reply},
        server::TestServer,
    },
};

async fn made(client: &HttpClient, receiver: &Receiver) -> Value {
    let mut webhook = definition("w", &receiver.url());
    webhook["Headers"] = json!({"X-A": "1", "X-B": "2"});
    webhook["Properties"] = json!({"p": {"q": 1}});
    create(client, &webhook).await
}

#[tokio::test]
async fn operations_are_done_in_order_all_or_none() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let before = made(&client, &receiver).await;
    let typed = client.clone().with("content-type", "application/json-patch+json");
    let patch = |operations: Value| {
        let typed = typed.clone();
        async move { typed.send("PATCH", &format!("{PATH}/1"), operations.to_string()).await.parts() }
    };
    let (status, after) = patch(json!([
        {"op": "test", "path": "/Name", "value": "w"},
        {"op": "replace", "path": "/Name", "value": "v"},
        {"op": "add", "path": "/Events/-", "value": "sale.changed"},
        {"op": "add", "path": "/Headers/X-C", "value": "3"},
        {"op": "remove", "path": "/Headers/X-A"},
        {"op": "replace", "path": "/Properties/p/q", "value": [2]},
        {"op": "test", "path": "/Name", "value": "v"}
    ]))
    .await;
    assert_eq!(status, 200, "{after}");
    let mut expected = before;
    expected["Name"] = json!("v");
    expected["Events"] = json!(["contact.created", "sale.changed"]);
    expected["Headers"] = json!({"X-B": "2", "X-C": "3"});
    expected["Properties"] = json!({"p": {"q": [2]}});
    expected["Updated"] = after["Updated"].clone();
    assert_eq!(after, expected);

    let deep = format!("/Properties{}", "/x".repeat(100));
    let many = vec![json!({"op": "test", "path": "/Name", "value": "v"}); 1_001];
    for (status, operations, message) in [
        (
            409,
            json!([{"op": "replace", "path": "/Name", "value": "u"},
                {"op": "test", "path": "/Name", "value": "v"}]),
            "operation '/1' failed",
        ),
        (400, json!([{"op": "replace", "path": "/Nothing/x", "value": 1}]), "operation '/0'"),
        (400, json!([{"op": "add", "path": "/Nothing", "value": 1}]), "Nothing is not known"),
        (400, json!([{"op": "add", "path": "", "value": 1}]), "body must be an object"),
        (400, json!([{"op": "remove", "path": "/Events"}]), "Events needs at least one"),
        (400, json!([{"op": "remove", "path": "/TargetUrl"}]), "TargetUrl is required"),
        (
            400,
            json!([{"op": "copy", "from": "", "path": "/Properties/x"}]),
            "body[0].op must be add",
        ),
        (400, json!([{"op": "move", "from": "/Name", "path": "/Secret"}]), "body[0].op must be"),
        (400, json!([{"op": "add", "path": deep, "value": 1}]), "body[0].path is too deep"),
        (400, json!(many), "body must have at most 1000"),
        (400, json!([{"op": "bogus", "path": "/Name"}]), "body is no JSON Patch"),
        (400, json!({"Name": "x"}), "body is no JSON Patch"),
    ] {
        let (told, answer) = patch(operations.clone()).await;
        assert_eq!(told, status, "{operations}: {answer}");
        let told = answer["Message"].as_str().expect("a message");
        assert!(told.starts_with(message), "{operations}: {told}");
    }
    assert_eq!(client.get(&format!("{PATH}/1")).await.json(), after, "none of it was done");
}

#[tokio::test]
async fn a_merge_patch_replaces_and_removes_what_it_names() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let before = made(&client, &receiver).await;
    for kind in ["application/merge-patch+json", "application/json"] {
        let typed = client.clone().with("content-type", kind);
        let patch = json!({"Headers": {"X-A": null, "X-C": kind}, "Secret": "s",
            "Properties": {"p": {"r": 2}}});
        let answer = typed.send("PATCH", &format!("{PATH}/1"), patch.to_string()).await;
        let (status, after) = answer.parts();
        assert_eq!(status, 200, "{after}");
        let mut expected = before.clone();
        expected["Headers"] = json!({"X-B": "2", "X-C": kind});
        expected["Secret"] = json!("s");
        expected["Properties"] = json!({"p": {"q": 1, "r": 2}});
        expected["Updated"] = after["Updated"].clone();
        assert_eq!(after, expected);
    }
    let merge = client.clone().with("content-type", "application/merge-patch+json");
    for bad in ["[]", "1", "null", r#"{"Name":null}"#, r#"{"State":"TooManyErrors"}"#, "{"] {
        let (status, told) = merge.send("PATCH", &format!("{PATH}/1"), bad).await.parts();
        assert_eq!((status, &told["Error"]), (400, &json!(true)), "{bad}: {told}");
    }
}

#[tokio::test]
async fn what_was_changed_since_is_not_changed_again() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let client = HttpClient::new(server.address);
    made(&client, &receiver).await;
    let path = format!("{PATH}/1");
    let answer = client.get(&path).await;
    let changed = answer.headers["last-modified"].to_str().expect("a time").to_owned();
    let early = client.clone().with("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT");
    let late = client.clone().with("if-unmodified-since", &changed);
    let put = answer.text().to_owned();
    for (method, body) in [("PATCH", r#"{"Name":"v"}"#), ("PUT", put.as_str()), ("DELETE", "")] {
        let (status, told) = early.send(method, &path, body.to_owned()).await.parts();
        assert_eq!((status, &told["ErrorType"]), (412, &json!("PreconditionFailed")), "{method}");
    }
    assert_eq!(client.get(&path).await.text(), answer.text());
    assert_eq!(late.send("PATCH", &path, r#"{"Name":"v"}"#).await.json()["Name"], "v");
    let odd = client.clone().with("if-unmodified-since", "yesterday");
    assert_eq!(odd.send("DELETE", &path, "").await.parts().0, 400);
    assert_eq!(client.send("DELETE", &path, "").await.status, 204);
}
