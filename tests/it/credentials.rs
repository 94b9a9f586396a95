//! Credentials: how they are sent, how long they work, what bad ones cost.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use tidings::grpc::proto::{
    GetWebhookRequest, ListApiKeysRequest, ListWebhooksRequest, PublishEventRequest,
    RevokeApiKeyRequest, TailEventLogsRequest, TailStart, tail_event_logs_request::Start,
};
use tonic::{Code, Status};

use super::support::{
    api::{event, header, http, webhook},
    clients::Clients,
    clock::ManualClock,
    database::Database,
    http_client::HttpClient,
    keys::{self, HOME},
    process::ServerProcess,
    raw_grpc::call_with,
    refusal::refused,
    server::TestServer,
};

const LIST: &str = "/tidings.v1.WebhookService/ListWebhooks";
const BAD: (Code, &str) = (Code::Unauthenticated, "UNAUTHENTICATED");

async fn list(clients: &Clients) -> Result<(), Status> {
    clients.webhooks().list_webhooks(ListWebhooksRequest::default()).await.map(drop)
}

async fn send(server: &TestServer, headers: &[(&'static str, &str)]) -> Result<(), Status> {
    call_with(&server.channel, LIST, headers, vec![Vec::new()]).await.map(drop)
}

/// The id of the only key of the home tenant.
async fn only_key(clients: &Clients) -> String {
    let page = clients.api_keys().list_api_keys(ListApiKeysRequest::default()).await;
    let page = page.expect("a list").into_inner();
    let [key] = &page.api_keys[..] else { panic!("one key: {page:?}") };
    key.api_key_id.clone()
}

#[tokio::test]
async fn a_token_is_taken_in_every_header_and_several_have_to_be_of_one_key() {
    let server = TestServer::strict().await;
    let token = keys::make(&server.database(), HOME, "all").await;
    let other = keys::make(&server.database(), "other", "all").await;
    let id = only_key(&server.with_token(&token)).await;
    let bearer = format!("Bearer {token}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{token}")));
    let bad_user = format!("Basic {}", STANDARD.encode(format!("ak_0000000000000000:{token}")));
    for good in [
        &[("authorization", bearer.as_str())][..],
        &[("authorization", &basic)],
        &[("x-cap-api-oauth-token", &token)],
        &[("x-token", &token)],
        &[("token", &token)],
        &[("authorization", &basic), ("x-token", &token), ("x-cap-api-oauth-token", &token)],
    ] {
        send(&server, good).await.expect("good credentials");
    }
    for bad in [
        &[("authorization", bad_user.as_str())][..],
        &[("authorization", &bearer), ("x-token", &other)],
        &[("authorization", &bearer), ("x-token", "tk_x")],
        &[("x-token", &token[..token.len() - 1])],
    ] {
        assert_eq!(refused(send(&server, bad).await).what(), BAD);
    }
    let client = HttpClient::new(server.address);
    let answer = client.get("/api/v1/webhooks").await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(client.with("x-token", &token).get("/api/v1/webhooks").await.status, 200);
}

#[tokio::test]
async fn a_key_of_a_running_server_works_at_once_and_ends_with_its_revocation() {
    let database = Database::new().await;
    let token = keys::make(&database.url(), HOME, "all").await;
    let server = ServerProcess::strict(&database).await;
    let clients = Clients::new(server.channel(), Some(&token));
    list(&clients).await.expect("a list");
    let later = keys::make(&database.url(), HOME, "webhooks-read").await;
    let later = Clients::new(server.channel(), Some(&later));
    list(&later).await.expect("a list");

    let listed = keys::run(&database.url(), "list", &["--tenant", HOME]).await;
    let ids: Vec<_> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    assert!(!listed.contains(&token), "tokens are shown once");
    keys::run(&database.url(), "revoke", &[ids[1]]).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while list(&later).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it still works");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refused(list(&later).await).what(), BAD);
    list(&clients).await.expect("the other key works on");
}

#[tokio::test]
async fn a_revocation_is_felt_at_once_and_ends_open_streams() {
    let server = TestServer::strict().await;
    let clients = server.with_key("all").await;
    let id = only_key(&clients).await;
    let admin = server.with_token(&keys::make(&server.database(), "*", "admin").await);
    let request = TailEventLogsRequest {
        start: Some(Start::Position(TailStart::Earliest.into())),
        ..Default::default()
    };
    let mut tail =
        clients.event_logs().tail_event_logs(request).await.expect("a tail").into_inner();
    tail.message().await.expect("a message");
    let revoke = RevokeApiKeyRequest { tenant_id: HOME.into(), api_key_id: id };
    admin.api_keys().revoke_api_key(revoke.clone()).await.expect("revoked");
    assert_eq!(refused(list(&clients).await).what(), BAD);
    let end = async {
        while tail.message().await?.is_some() {}
        Err::<(), Status>(Status::ok(""))
    };
    let end = tokio::time::timeout(Duration::from_secs(20), end).await.expect("it ends");
    assert_eq!(refused(end).what(), BAD);
    admin.api_keys().revoke_api_key(revoke).await.expect("revoked before");
}

#[tokio::test]
async fn a_key_ends_when_it_expires() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |config| config.dev = false).await;
    let admin = server.with_key("all").await;
    let hour = prost_types::Timestamp { seconds: 1_767_225_600 + 3600, nanos: 0 };
    let (clients, _) =
        super::api_keys::make(&server, &admin, |key| key.expire_time = Some(hour)).await;
    list(&clients).await.expect("a list");
    clock.advance(Duration::from_secs(3599));
    list(&clients).await.expect("a list");
    clock.advance(Duration::from_secs(1));
    assert_eq!(refused(list(&clients).await).what(), BAD);
    list(&admin).await.expect("the other key works on");
}

#[tokio::test]
async fn bad_credentials_are_slowed_down_and_good_ones_are_not() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |config| config.dev = false).await;
    let good = server.with_key("all").await;
    list(&good).await.expect("a list");
    let bad = server.with_token("tk_bad");
    for _ in 0..10 {
        assert_eq!(refused(list(&bad).await).what(), BAD);
    }
    let slow: Vec<_> = (0..5)
        .map(|_| {
            let bad = bad.clone();
            tokio::spawn(async move { refused(list(&bad).await) })
        })
        .collect();
    // Once all five are noted, the address is blocked.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let blocked = loop {
        assert!(tokio::time::Instant::now() < deadline, "it is not blocked");
        let asked = tokio::time::timeout(Duration::from_millis(100), list(&bad)).await;
        match asked {
            Ok(answer) => break refused(answer),
            Err(_) => continue,
        }
    };
    assert_eq!(blocked.what(), (Code::ResourceExhausted, "OVERLOADED"));
    list(&good).await.expect("a key that is known is never held up");
    // Where others were noted before, the last of them are blocked as well.
    assert!(slow.iter().any(|answer| !answer.is_finished()), "they wait");
    clock.advance(Duration::from_secs(5));
    for answer in slow {
        let told = answer.await.expect("no panic");
        assert!([BAD, (Code::ResourceExhausted, "OVERLOADED")].contains(&told.what()), "{told:?}");
    }
}

#[tokio::test]
async fn secrets_are_for_those_who_may_read_them() {
    let server = TestServer::strict().await;
    let admin = server.with_key("all").await;
    let mut hook = webhook("w", "http://8.8.8.8/", &["*"]);
    let mut secret = header("x-key", "value");
    secret.sensitive = true;
    http(&mut hook).headers.push(secret);
    let request =
        tidings::grpc::proto::CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    let made = admin.webhooks().create_webhook(request).await.expect("a webhook").into_inner();
    let made = made.webhook.expect("the webhook");
    let code = made.attribution.clone().and_then(|a| a.created_by).expect("an actor").code;
    assert!(code.starts_with("ak_"), "{code}");
    let reveal = GetWebhookRequest {
        webhook_id: made.webhook_id,
        reveal_secrets: true,
        ..Default::default()
    };
    let reader = server.with_key("webhooks-read").await;
    let refusal = refused(reader.webhooks().get_webhook(reveal.clone()).await);
    assert_eq!(refusal.what(), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let masked = GetWebhookRequest { reveal_secrets: false, ..reveal.clone() };
    let shown = |answer: tidings::grpc::proto::GetWebhookResponse| {
        http(&mut answer.webhook.expect("a webhook")).headers[0].values.clone()
    };
    let answer = reader.webhooks().get_webhook(masked).await.expect("a webhook").into_inner();
    assert_eq!(shown(answer), ["***"]);
    let both = server.with_key("webhooks-read,secrets-read").await;
    let answer = both.webhooks().get_webhook(reveal).await.expect("a webhook").into_inner();
    assert_eq!(shown(answer), ["value"]);
}

#[tokio::test]
async fn names_that_nobody_registered_are_refused() {
    let server = TestServer::strict().await;
    let clients = server.with_key("all").await;
    let hook = webhook("w", "http://8.8.8.8/", &["*", "nobody.knows", "transaction"]);
    let request =
        tidings::grpc::proto::CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    let refusal = refused(clients.webhooks().create_webhook(request).await);
    assert_eq!(refusal.reasons(), [("webhook.event_names[1]", "EVENT_NAME_UNKNOWN")]);
    let publish =
        |name| PublishEventRequest { event: Some(event(name, "{}")), ..Default::default() };
    let refusal = refused(clients.events().publish_event(publish("nobody.knows")).await);
    assert_eq!(refusal.reasons(), [("event.event_name", "EVENT_NAME_UNKNOWN")]);
    clients.events().publish_event(publish("transaction")).await.expect("a standard name");
}
