//! Who may do what in v3, and the tenant's time zone.

use serde_json::{Value, json};
use tidings::grpc::proto::{Tenant, UpdateTenantRequest};

use super::support::{
    event_source::EventSource,
    http_client::HttpClient,
    keys::{self, HOME},
    server::TestServer,
};

fn code(answer: &Value) -> Option<i64> {
    assert_eq!(answer["data"], Value::Null, "{answer}");
    answer["errors"][0]["code"].as_i64()
}

/// The id of the only key.
async fn key_id(server: &TestServer) -> String {
    let listed = keys::run(&server.database(), "list", &[]).await;
    let id = listed.split_whitespace().find(|word| word.starts_with("ak_"));
    id.expect("a key").to_owned()
}

#[tokio::test]
async fn who_is_not_let_in_hears_it_with_a_code_and_the_id_of_the_request() {
    let server = TestServer::strict().await;
    let anybody = HttpClient::new(server.address).with("x-cap-request-id", "r-1");
    let bad = anybody.clone().with("x-cap-api-oauth-token", "tk_nobody");
    let token = keys::make(&server.database(), HOME, "webhooks-write").await;
    let writer = anybody.clone().with("authorization", &format!("Bearer {token}"));
    for (client, expected) in
        [(anybody, (401, 900_030)), (bad, (401, 900_030)), (writer, (403, 900_023))]
    {
        let answer = client.get("/v3/webHooks").await;
        assert_eq!((answer.status.as_u16(), code(&answer.json()).expect("a code")), expected);
        assert_eq!(answer.headers["x-cap-request-id"], "r-1");
    }
}

#[tokio::test]
async fn a_session_token_stands_for_its_key() {
    let server = TestServer::strict().await;
    let secret = keys::make(&server.database(), HOME, "all").await;
    let key = key_id(&server).await;
    let anybody = HttpClient::new(server.address);
    let path = "/v3/oauth/token/generate";
    let asked = json!({"key": key, "secret": secret}).to_string();
    let answer = anybody.send("POST", path, asked.clone()).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.text().starts_with(r#"{"data":{"accessToken":""#), "{}", answer.text());
    let issued = answer.json();
    assert!(issued["data"]["ttlSeconds"].as_u64().is_some_and(|seconds| seconds > 60), "{issued}");
    let token = issued["data"]["accessToken"].as_str().expect("a token");
    let client = anybody.clone().with("x-cap-api-oauth-token", token);
    assert_eq!(client.get("/v3/webHooks").await.status, 200);

    let tail = format!("/v3/webHooks/eventLog/tail?access_token={token}");
    let mut tail = EventSource::open(server.address, &tail, "").await;
    tail.until("caughtUp").await;
    keys::run(&server.database(), "revoke", &[&key]).await;
    assert_eq!(tail.next().await, None, "it ends with its key");
    assert_eq!(client.get("/v3/webHooks").await.status, 401);

    for (status, expected, body) in [
        (401, 900_030, asked.as_str()),
        (401, 900_030, r#"{"key":"ak_0123456789abcdef","secret":"tk_x"}"#),
        (400, 900_001, "{}"),
        (400, 900_002, r#"{"key":7,"secret":"x"}"#),
        (400, 900_051, "["),
    ] {
        let (told, answer) = anybody.send("POST", path, body.to_owned()).await.parts();
        assert_eq!((told, code(&answer)), (status, Some(expected)), "{answer}");
    }
}

#[tokio::test]
async fn times_are_written_in_the_zone_of_the_tenant() {
    let server = TestServer::start().await;
    let tenant =
        Tenant { tenant_id: HOME.into(), time_zone: "Asia/Kolkata".into(), ..Default::default() };
    let request = UpdateTenantRequest { tenant: Some(tenant), ..Default::default() };
    server.tenants().update_tenant(request).await.expect("changed");
    let client = HttpClient::new(server.address);
    let body = r#"{"name":"w","eventNames":["a"],"webHookUrl":"http://127.0.0.1:9/","maxAllowedConnections":1}"#;
    let made = client.send("POST", "/v3/webHooks", body).await.json();
    let created = made["data"]["attribution"]["createdOn"].as_str().expect("a time");
    assert!(created.ends_with("+0530"), "{created}");
}

#[tokio::test]
async fn administrators_of_all_tenants_name_one() {
    let server = TestServer::strict().await;
    let admin = keys::make(&server.database(), "*", "all").await;
    keys::make(&server.database(), HOME, "all").await;
    let own = keys::make(&server.database(), "acme", "all").await;
    let bearer = |token: &str| {
        HttpClient::new(server.address).with("authorization", &format!("Bearer {token}"))
    };
    let (admin_client, own) = (bearer(&admin), bearer(&own));
    let org =
        |client: &HttpClient, tenant: &str| client.clone().with("x-cap-api-auth-org-id", tenant);
    let body = r#"{"name":"w","eventNames":["transactionAdded"],"webHookUrl":"https://example.com/","maxAllowedConnections":1}"#;
    let made = org(&admin_client, "acme").send("POST", "/v3/webHooks", body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let count = async |client: &HttpClient| {
        client.get("/v3/webHooks").await.json()["data"].as_array().expect("a list").len()
    };
    assert_eq!(count(&own).await, 1);
    assert_eq!(count(&org(&own, "acme")).await, 1, "a key may name its own tenant");
    assert_eq!(count(&org(&admin_client, HOME)).await, 0);
    assert_eq!(count(&admin_client.clone().with("tidings-tenant", "acme")).await, 1);

    for (client, status, expected) in [
        (admin_client.clone(), 400, 900_001),
        (org(&admin_client, ""), 400, 900_001),
        (org(&admin_client, "ghost"), 404, 900_032),
        (org(&admin_client, "a b"), 400, 900_002),
        (org(&admin_client, "\u{e4}"), 400, 900_002),
        (org(&org(&admin_client, "acme"), HOME), 400, 900_002),
        (org(&own, HOME), 403, 900_023),
        (org(&own, "ghost"), 403, 900_023),
        (org(&HttpClient::new(server.address), "acme"), 401, 900_030),
    ] {
        let (told, answer) = client.get("/v3/webHooks").await.parts();
        assert_eq!((told, code(&answer)), (status, Some(expected)), "{answer}");
    }
    let missing = admin_client.get("/v3/webHooks").await.json();
    let message = missing["errors"][0]["message"].as_str().expect("a message");
    assert!(message.starts_with("X-CAP-API-AUTH-ORG-ID is required"), "{message}");

    let tail = "/v3/webHooks/eventLog/tail";
    let parameters = format!("{tail}?access_token={admin}&orgId=acme");
    EventSource::open(server.address, &parameters, "").await.until("caughtUp").await;
    let differs = format!("{tail}?orgId={HOME}");
    let (told, answer) = org(&admin_client, "acme").get(&differs).await.parts();
    assert_eq!((told, code(&answer)), (400, Some(900_002)));
}
