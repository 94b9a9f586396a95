//! Tokens of an identity provider: who they stand for, and what hostile ones get.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::{
    grpc::proto::{
        ListWebhooksRequest, TailEventLogsRequest, TailStart, tail_event_logs_request::Start,
    },
    server::{Server, SystemClock, config::Config},
};
use tonic::{Code, Status};

use super::support::{
    api::webhook,
    clients::Clients,
    clock::ManualClock,
    http_client::HttpClient,
    issuer::{AUDIENCE, ISSUER, PublishedKeys, SigningKey, claims, key_set},
    keys::{self, HOME},
    refusal::{Refusal, refused},
    server::TestServer,
};

/// When clocks of tests begin, seconds since 1970.
const NOW: i64 = 1_767_225_600;
const BAD: (Code, &str) = (Code::Unauthenticated, "UNAUTHENTICATED");

fn configure(config: &mut Config, keys: &str) {
    config.dev = false;
    config.jwt_issuer = Some(ISSUER.to_owned());
    config.jwt_audience = Some(AUDIENCE.to_owned());
    config.jwt_key_set = Some(keys.to_owned());
}

/// A server that takes tokens signed with keys of that set, and its clock. The home tenant exists.
async fn trusting(keys: &str) -> (TestServer, Arc<ManualClock>) {
    let clock = ManualClock::new();
    let server =
        TestServer::with_clock(Arc::clone(&clock) as _, |config| configure(config, keys)).await;
    keys::make(&server.database(), HOME, "all").await;
    (server, clock)
}

/// The same with the keys in a file.
async fn trusting_file(keys: &[&SigningKey]) -> (TestServer, Arc<ManualClock>, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    std::fs::write(&path, key_set(keys)).expect("written");
    let (server, clock) = trusting(shown(&path)).await;
    (server, clock, directory)
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

async fn list_of(clients: &Clients, tenant: &str) -> Result<(), Status> {
    let request = ListWebhooksRequest { tenant_id: tenant.into(), ..Default::default() };
    clients.webhooks().list_webhooks(request).await.map(drop)
}

async fn list(server: &TestServer, token: &str) -> Result<(), Status> {
    list_of(&server.with_token(token), "").await
}

/// The good claims with one changed; null takes it away.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims(NOW);
    match value {
        Value::Null => drop(claims.as_object_mut().expect("claims").remove(claim)),
        value => claims[claim] = value,
    }
    claims
}

#[tokio::test]
async fn tokens_of_every_asymmetric_algorithm_say_who_is_calling() {
    let algorithms =
        ["ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let keys: Vec<_> = algorithms.iter().map(|name| SigningKey::new(name, name)).collect();
    let (server, _, _directory) = trusting_file(&keys.iter().collect::<Vec<_>>()).await;
    for (key, name) in keys.iter().zip(algorithms) {
        list(&server, &key.token(&claims(NOW))).await.expect(name);
    }
    let token = keys[0].token(&claims(NOW));
    let client = HttpClient::new(server.address).with("authorization", &format!("Bearer {token}"));
    assert_eq!(client.get("/v3/webHooks").await.status, 200);
    let request = tidings::grpc::proto::CreateWebhookRequest {
        webhook: Some(webhook("w", "http://8.8.8.8/", &["*"])),
        ..Default::default()
    };
    let made = server.with_token(&token).webhooks().create_webhook(request).await;
    let made = made.expect("a webhook").into_inner().webhook.expect("the webhook");
    let actor = made.attribution.and_then(|a| a.created_by).expect("an actor");
    assert_eq!((&*actor.code, &*actor.name, &*actor.r#type), ("ada", "Ada Lovelace", "JWT"));
}

#[tokio::test]
async fn claims_decide_where_and_what() {
    let key = SigningKey::new("a", "ES256");
    let (server, _, _directory) = trusting_file(&[&key]).await;
    keys::make(&server.database(), "other", "all").await;
    let own = server.with_token(&key.token(&claims(NOW)));
    list_of(&own, HOME).await.expect("its own tenant");
    for elsewhere in ["other", "ghost"] {
        let told = refused(list_of(&own, elsewhere).await);
        assert_eq!(told.what(), (Code::PermissionDenied, "PERMISSION_DENIED"), "{elsewhere}");
    }
    let everywhere = server.with_token(&key.token(&with("tenant_id", json!("*"))));
    list_of(&everywhere, "other").await.expect("all tenants");
    let ghost = refused(list(&server, &key.token(&with("tenant_id", json!("ghost")))).await);
    assert_eq!(ghost.what(), (Code::NotFound, "TENANT_NOT_FOUND"));
    for (granted, good) in [
        (json!("openid webhooks-read"), true),
        (json!(["webhooks-read"]), true),
        (json!(["events-publish"]), false),
        (json!("openid"), false),
        (json!([]), false),
    ] {
        let answer = list(&server, &key.token(&with("permissions", granted.clone()))).await;
        match answer {
            Ok(()) => assert!(good, "{granted}"),
            Err(status) => {
                assert_eq!(Refusal::of(&status).what().0, Code::PermissionDenied, "{granted}");
                assert!(!good, "{granted}");
            }
        }
    }
}

#[tokio::test]
async fn hostile_tokens_are_all_told_the_same() {
    let (key, rsa) = (SigningKey::new("a", "ES256"), SigningKey::new("r", "RS256"));
    let stranger = SigningKey::new("a", "ES256");
    let (server, clock, _directory) = trusting_file(&[&key, &rsa]).await;
    let good = key.token(&claims(NOW));
    let parts: Vec<&str> = good.split('.').collect();
    let none = key.token_with(&json!({"alg": "none", "kid": "a"}), &claims(NOW));
    let unsigned = none.rsplit_once('.').expect("a signature").0;
    let header = |header: Value| key.token_with(&header, &claims(NOW));
    let mut hostile = vec![
        none.clone(),
        format!("{unsigned}."),
        stranger.token(&claims(NOW)),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], "AAAA"),
        format!(
            "{}.{}.{}",
            parts[0],
            stranger.token(&with("sub", json!("eve"))).split('.').nth(1).expect("claims"),
            parts[2]
        ),
        format!("{good}.{}", parts[2]),
        "e30.e30.e30".to_owned(),
        "..".to_owned(),
        header(json!({"alg": "ES256", "kid": "unknown"})),
        header(json!({"alg": "ES384", "kid": "a"})),
        header(json!({"alg": "RS256", "kid": "a"})),
        header(json!({"alg": "ES256", "kid": "r"})),
        header(json!({"alg": "ES256", "kid": "a", "typ": "logout+jwt"})),
        header(json!({"alg": "ES256", "kid": "a", "crit": ["exp"]})),
        stranger.token_with(&json!({"alg": "ES256", "jwk": stranger.jwk()}), &claims(NOW)),
        stranger.token_with(
            &json!({"alg": "ES256", "kid": "b", "jku": "https://evil.example/keys"}),
            &claims(NOW),
        ),
        rsa.token_with(&json!({"alg": "PS256", "kid": "r"}), &claims(NOW)),
        header(json!({"alg": "ES256", "kid": "a", "x": "x".repeat(5_000)})) + "x",
        header(json!({"alg": "ES256", "kid": "a", "x": "x".repeat(9_000)})),
    ];
    hostile.extend(key.confused_tokens(&claims(NOW)));
    hostile.extend(rsa.confused_tokens(&claims(NOW)));
    for (claim, value) in [
        ("iss", json!("https://evil.example/")),
        ("iss", json!(null)),
        ("aud", json!("another")),
        ("aud", json!(["another"])),
        ("aud", json!(null)),
        ("exp", json!(NOW - 30)),
        ("exp", json!(null)),
        ("exp", json!("never")),
        ("nbf", json!(NOW + 3_000_000)),
        ("sub", json!(null)),
        ("tenant_id", json!(null)),
        ("tenant_id", json!("a b")),
        ("permissions", json!(null)),
        ("permissions", json!(7)),
    ] {
        hostile.push(key.token(&with(claim, value)));
    }
    // Where a token names no key, the only one for its algorithm is meant.
    list(&server, &rsa.token_with(&json!({"alg": "RS256"}), &claims(NOW))).await.expect("the only");
    let mut messages = Vec::new();
    for token in &hostile {
        // Each failure is paid for, so that none waits.
        clock.advance(Duration::from_secs(1));
        let told = refused(list(&server, token).await);
        assert_eq!(told.what(), BAD, "{token}");
        messages.push(told.message);
    }
    messages.sort_unstable();
    messages.dedup();
    // Those that are too long to be read are told so.
    assert_eq!(messages.len(), 2, "{messages:?}");
    list(&server, &good).await.expect("the good one is as good as before");
}

#[tokio::test]
async fn bad_tokens_count_as_failed_logins_and_good_ones_are_never_held_up() {
    let key = SigningKey::new("a", "ES256");
    let (server, clock, _directory) = trusting_file(&[&key]).await;
    let (good, bad) = (key.token(&claims(NOW)), key.token(&with("aud", json!("another"))));
    list(&server, &good).await.expect("a list");
    for _ in 0..10 {
        assert_eq!(refused(list(&server, &bad).await).what(), BAD);
    }
    let waits = tokio::time::timeout(Duration::from_millis(200), list(&server, &bad)).await;
    assert!(waits.is_err(), "the next one waits");
    list(&server, &good).await.expect("a token that is known is not held up");
    clock.advance(Duration::from_secs(60));
    assert_eq!(refused(list(&server, &bad).await).what(), BAD);
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_so_do_its_streams() {
    let key = SigningKey::new("a", "EdDSA");
    let (server, clock, _directory) = trusting_file(&[&key]).await;
    let token = key.token(&with("exp", json!(NOW + 60)));
    let request = TailEventLogsRequest {
        start: Some(Start::Position(TailStart::Earliest.into())),
        ..Default::default()
    };
    let tail = server.with_token(&token).event_logs().tail_event_logs(request).await;
    let mut tail = tail.expect("a tail").into_inner();
    tail.message().await.expect("a message");
    clock.advance(Duration::from_secs(60 + 29));
    list(&server, &token).await.expect("clocks differ a little");
    clock.advance(Duration::from_secs(1));
    assert_eq!(refused(list(&server, &token).await).what(), BAD);
    let end = async {
        while tail.message().await?.is_some() {}
        Err::<(), Status>(Status::ok(""))
    };
    let end = tokio::time::timeout(Duration::from_secs(20), end).await.expect("it ends");
    assert_eq!(refused(end).what(), BAD);
}

#[tokio::test]
async fn several_credentials_have_to_be_of_one_caller() {
    let key = SigningKey::new("a", "ES256");
    let (server, _, _directory) = trusting_file(&[&key]).await;
    let api_key = keys::make(&server.database(), HOME, "all").await;
    let token = key.token(&claims(NOW));
    let later = key.token(&with("exp", json!(NOW + 7200)));
    let bearer = format!("Bearer {token}");
    let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{token}")));
    let (as_key, as_subject) = (basic("ak_0123456789abcdef"), basic("ada"));
    let other = key.token(&with("sub", json!("bob")));
    let lesser = key.token(&with("permissions", json!("webhooks-read")));
    let send = async |headers: &[(&str, &str)]| {
        let client =
            headers.iter().fold(HttpClient::new(server.address), |client, (name, value)| {
                client.with(name, value)
            });
        client.get("/v3/webHooks").await.status.as_u16()
    };
    for good in
        [&[("authorization", &*bearer)][..], &[("authorization", &bearer), ("x-token", &later)]]
    {
        assert_eq!(send(good).await, 200);
    }
    for bad in [
        &[("authorization", &*bearer), ("x-token", &api_key)][..],
        &[("authorization", &bearer), ("x-token", &other)],
        &[("authorization", &bearer), ("x-token", &lesser)],
        &[("authorization", &as_key)],
        &[("authorization", &as_subject)],
    ] {
        assert_eq!(send(bad).await, 401, "{bad:?}");
    }
    let session = json!({"key": "ada", "secret": token}).to_string();
    let client = HttpClient::new(server.address);
    let answer = client.send("POST", "/v3/oauth/token/generate", session).await;
    assert_eq!(answer.status, 401, "sessions are for keys");
}

#[tokio::test]
async fn keys_at_a_url_are_asked_for_when_one_is_unknown_but_not_for_each_token() {
    let (first, second) = (SigningKey::new("1", "ES256"), SigningKey::new("2", "ES256"));
    let published = PublishedKeys::new(key_set(&[&first])).await;
    let (server, clock) = trusting(&published.receiver.url_at("/keys")).await;
    published.receiver.wait_for(1).await;
    let (one, two) = (first.token(&claims(NOW)), second.token(&claims(NOW)));
    list(&server, &one).await.expect("a list");
    for _ in 0..5 {
        assert_eq!(refused(list(&server, &two).await).what(), BAD);
    }
    assert_eq!(published.receiver.count(), 1, "it was asked a moment ago");

    published.show(Some(key_set(&[&first, &second])));
    clock.advance(Duration::from_secs(30));
    list(&server, &two).await.expect("the new key is found");
    list(&server, &first.token(&with("sub", json!("bob")))).await.expect("the old one is there");
    assert_eq!(published.receiver.count(), 2);

    // While it is away, or gives something else, what is known stays.
    for away in [None, Some("<html>".to_owned()), Some(r#"{"keys":[]}"#.to_owned())] {
        published.show(away);
        clock.advance(Duration::from_secs(30));
        assert_eq!(
            refused(list(&server, &SigningKey::new("3", "ES256").token(&claims(NOW))).await).what(),
            BAD
        );
        list(&server, &second.token(&with("sub", json!("eve")))).await.expect("known before");
    }
    assert_eq!(published.receiver.count(), 5);

    // A key that is given up ends, and with it the tokens that were good.
    published.show(Some(key_set(&[&second])));
    clock.advance(Duration::from_secs(600));
    published.receiver.wait_for(6).await;
    let gone = async {
        while list(&server, &one).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it ends");
    list(&server, &two).await.expect("the other works on");
}

#[tokio::test]
async fn a_changed_file_of_keys_is_taken_over() {
    let (first, second) = (SigningKey::new("1", "ES256"), SigningKey::new("2", "ES256"));
    let (server, clock, directory) = trusting_file(&[&first]).await;
    list(&server, &first.token(&claims(NOW))).await.expect("a list");
    std::fs::write(directory.path().join("keys.json"), key_set(&[&second])).expect("written");
    clock.advance(Duration::from_secs(30));
    list(&server, &second.token(&claims(NOW))).await.expect("the new key");
    assert_eq!(refused(list(&server, &first.token(&claims(NOW))).await).what(), BAD);
}

#[tokio::test]
async fn claims_have_the_names_that_are_configured() {
    let key = SigningKey::new("a", "ES256");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    std::fs::write(&path, key_set(&[&key])).expect("written");
    let server = TestServer::with_clock(ManualClock::new(), |config| {
        configure(config, shown(&path));
        config.jwt_tenant_claim = "https://acme.example/tenant".to_owned();
        config.jwt_permissions_claim = "/resource_access/tidings/roles".to_owned();
    })
    .await;
    keys::make(&server.database(), "acme", "all").await;
    let mut claims = claims(NOW);
    claims["https://acme.example/tenant"] = json!("acme");
    claims["resource_access"] = json!({"tidings": {"roles": ["webhooks-read"]}});
    let clients = server.with_token(&key.token(&claims));
    list_of(&clients, "acme").await.expect("a list");
    assert_eq!(refused(list_of(&clients, HOME).await).what().0, Code::PermissionDenied);
}

#[tokio::test]
async fn a_server_does_not_start_without_the_file_of_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("keys.json");
    let mut config = Config {
        listen: "127.0.0.1:0".into(),
        database: format!("sqlite:{}", directory.path().join("tidings.db").display()),
        ..Config::default()
    };
    configure(&mut config, shown(&missing));
    let refusal = Server::bind(config, Arc::new(SystemClock)).await.err().expect("a refusal");
    assert!(refusal.contains("jwt_key_set") && refusal.contains("keys.json"), "{refusal}");
}
