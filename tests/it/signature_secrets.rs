//! Secrets that sign: who gets to see them, how they change, and where they never appear.

use std::process::Stdio;

use tidings::grpc::proto::{
    CreateWebhookRequest, DeleteWebhookRequest, GetWebhookRequest, ListWebhooksRequest,
    RotateWebhookSecretRequest, Signing, SigningScheme, SigningSecret, SuspendWebhookRequest,
    Webhook, webhook_service_client::WebhookServiceClient,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::Code;

use super::{
    signatures::{rotate, secrets, signed},
    support::{
        api::{event, header, http, seconds, update, webhook},
        receiver::Receiver,
        refusal::refused,
        server::TestServer,
        tailing::earliest,
    },
};

const NOWHERE: &str = "http://127.0.0.1:9/";
const HEX: SigningScheme = SigningScheme::HmacSha256Hex;

fn values(webhook: &Webhook) -> Vec<&str> {
    secrets(webhook).iter().map(|secret| &*secret.value).collect()
}

fn change(made: &Webhook, signing: Option<Signing>) -> Webhook {
    Webhook { webhook_id: made.webhook_id.clone(), signing, ..Default::default() }
}

#[tokio::test]
async fn values_are_shown_by_the_call_that_set_them_and_to_who_asks() {
    let server = TestServer::start().await;
    let mut hook = signed(NOWHERE, HEX, &["s3cret"]);
    http(&mut hook).headers.push(header("Authorization", "Basic abc"));
    let key = "0b09a1b5-6fcb-4c4f-9d4b-6f3a0e7e0001";
    let request = CreateWebhookRequest {
        webhook: Some(hook),
        idempotency_key: key.into(),
        ..Default::default()
    };
    let create = || async {
        let made = server.webhooks().create_webhook(request.clone()).await.expect("a webhook");
        made.into_inner().webhook.expect("the webhook")
    };
    let mut made = create().await;
    assert_eq!(values(&made), ["s3cret"]);
    assert_eq!(http(&mut made).headers[0].values, ["***"]);
    assert_eq!(create().await, made, "the first answer, secrets included");

    let id = &made.webhook_id;
    assert_eq!(values(&server.webhook(id).await), [""]);
    assert_eq!(secrets(&server.webhook(id).await)[0].secret_id, secrets(&made)[0].secret_id);
    assert_eq!(values(&server.list(ListWebhooksRequest::default()).await.webhooks[0]), [""]);
    let renamed = Webhook { name: "new".into(), ..change(&made, None) };
    assert_eq!(values(&server.update(update(renamed, &[])).await), [""]);
    let request = SuspendWebhookRequest { webhook_id: id.clone(), ..Default::default() };
    let held = server.webhooks().suspend_webhook(request).await.expect("held").into_inner();
    assert_eq!(values(&held.webhook.expect("the webhook")), [""]);

    let request =
        GetWebhookRequest { webhook_id: id.clone(), reveal_secrets: true, ..Default::default() };
    let seen = server.webhooks().get_webhook(request).await.expect("found").into_inner();
    let mut seen = seen.webhook.expect("the webhook");
    assert_eq!(values(&seen), ["s3cret"]);
    assert_eq!(http(&mut seen).headers[0].values, ["Basic abc"]);
    assert_eq!((&seen.name, &seen.webhook_id), (&"new".to_owned(), id));

    let request = DeleteWebhookRequest { webhook_id: id.clone(), ..Default::default() };
    let gone = server.webhooks().delete_webhook(request).await.expect("deleted").into_inner();
    assert_eq!(values(&gone.webhook.expect("the webhook")), [""]);
}

#[tokio::test]
async fn a_check_makes_no_secret() {
    let server = TestServer::start().await;
    let request = CreateWebhookRequest {
        webhook: Some(signed(NOWHERE, SigningScheme::StandardWebhooks, &[])),
        validate_only: true,
        ..Default::default()
    };
    let checked = server.webhooks().create_webhook(request).await.expect("good").into_inner();
    let checked = checked.webhook.expect("the webhook");
    assert_eq!(secrets(&checked), [SigningSecret::default()]);
}

#[tokio::test]
async fn an_update_keeps_adds_and_takes_out_secrets() {
    let server = TestServer::start().await;
    let made = server.create(signed(NOWHERE, HEX, &["one"])).await;
    let kept = SigningSecret {
        secret_id: secrets(&made)[0].secret_id.clone(),
        ..SigningSecret::default()
    };
    let list = |secrets: &[SigningSecret]| {
        change(&made, Some(Signing { secrets: secrets.to_vec(), ..Default::default() }))
    };
    let new = SigningSecret { value: "two".into(), ..Default::default() };
    let both = server.update(update(list(&[kept.clone(), new]), &["signing.secrets"])).await;
    assert_eq!(values(&both), ["two", ""], "newest first; only the new one is shown");
    assert_eq!(secrets(&both)[1].secret_id, kept.secret_id);
    assert_eq!(both.signing.as_ref().expect("signing").scheme(), HEX);

    let unknown = SigningSecret { secret_id: "no".into(), ..Default::default() };
    let fault = refused(server.try_update(update(list(&[unknown]), &["signing.secrets"])).await);
    assert_eq!(fault.fields(), ["webhook.signing.secrets[0].secret_id"]);

    let one = server.update(update(list(std::slice::from_ref(&kept)), &["signing.secrets"])).await;
    assert_eq!((secrets(&one).len(), &*secrets(&one)[0].value), (1, ""));
    let scheme = Signing { scheme: SigningScheme::HmacSha256Base64.into(), ..Default::default() };
    let other = server.update(update(change(&made, Some(scheme)), &["signing.scheme"])).await;
    assert_eq!(secrets(&other)[0].secret_id, kept.secret_id);
    // The secret is none of Standard Webhooks.
    let fault = server.try_update(update(change(&made, None), &["signing.scheme"])).await;
    assert_eq!(refused(fault).fields(), ["webhook.signing.secrets[0].value"]);

    let ended = server.update(update(change(&made, None), &["signing"])).await;
    assert_eq!(ended.signing, None);
}

#[tokio::test]
async fn a_rotation_begins_to_sign_and_refuses_what_makes_no_sense() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", NOWHERE, &["*"])).await;
    let first = rotate(&server, &made, 60).await;
    assert!(first.secret.expect("a secret").value.starts_with("whsec_"));
    let signing = first.webhook.expect("the webhook").signing.expect("signing");
    assert_eq!(signing.scheme(), SigningScheme::StandardWebhooks);

    let id = made.webhook_id.clone();
    let rotate_to = |value: &str, days: i64| {
        let overlap = Some(seconds(days * 86_400));
        let value = value.to_owned();
        let request = RotateWebhookSecretRequest {
            webhook_id: id.clone(),
            value,
            overlap,
            ..Default::default()
        };
        let mut webhooks = server.webhooks();
        async move { webhooks.rotate_webhook_secret(request).await }
    };
    assert_eq!(refused(rotate_to("", 366).await).fields(), ["overlap"]);
    assert_eq!(refused(rotate_to("", -1).await).fields(), ["overlap"]);
    assert_eq!(refused(rotate_to("whsec_short", 1).await).fields(), ["value"]);
    for _ in 1..10 {
        rotate_to("", 365).await.expect("a rotation");
    }
    let full = refused(rotate_to("", 365).await);
    assert_eq!(full.what(), (Code::FailedPrecondition, "WEBHOOK_STATE_CONFLICT"));
    let ended = rotate_to("", 0).await.expect("a rotation").into_inner();
    assert_eq!(secrets(&ended.webhook.expect("the webhook")).len(), 1);
}

#[tokio::test]
async fn what_the_signature_sets_is_not_configured_by_hand() {
    let server = TestServer::start().await;
    let mut hook = signed(NOWHERE, SigningScheme::StandardWebhooks, &[]);
    http(&mut hook).headers.push(header("Webhook-Id", "mine"));
    let request = CreateWebhookRequest { webhook: Some(hook.clone()), ..Default::default() };
    let fault = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(fault.fields(), ["webhook.destination.http.headers[0].name"]);
    hook.signing = None;
    let made = server.create(hook).await;
    let request =
        RotateWebhookSecretRequest { webhook_id: made.webhook_id.clone(), ..Default::default() };
    let fault = refused(server.webhooks().rotate_webhook_secret(request).await);
    assert_eq!(fault.fields(), ["webhook.destination.http.headers[0].name"]);
}

#[tokio::test]
async fn the_log_shows_signatures_masked() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let made = server.create(signed(&receiver.url(), SigningScheme::StandardWebhooks, &[])).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    server.wait_log(&id, "success", |log| log.end_time.is_some()).await;
    let shown = |log: tidings::grpc::proto::EventLog| {
        let headers = log.attempts[0].request_headers.clone();
        let ours = headers.into_iter().filter(|h| h.name.starts_with("webhook-"));
        ours.map(|h| (h.name, h.values.concat())).collect::<Vec<_>>()
    };
    let masked = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| (name.to_owned(), "***".to_owned()));
    assert_eq!(shown(server.log(&id).await), masked);
    server.update(update(change(&made, None), &["signing"])).await;
    assert_eq!(shown(server.log(&id).await), masked, "as it was then");
    let later = server.publish(event("a", "{}")).await.event_id;
    server.wait_log(&later, "success", |log| log.end_time.is_some()).await;
    assert_eq!(shown(server.log(&later).await), []);
}

#[tokio::test]
async fn no_secret_is_in_records_changes_and_refusals() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let made = server.create(signed(&receiver.url(), HEX, &["s3cret-one"])).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    let log = server.wait_log(&id, "success", |log| log.end_time.is_some()).await;
    let changes = server.tail(earliest()).await.expect("a tail").changes(2).await;
    let standard = SigningScheme::StandardWebhooks;
    let bad = signed(NOWHERE, standard, &["s3cret-two", "whsec_s3cret-three"]);
    let request = CreateWebhookRequest { webhook: Some(bad), ..Default::default() };
    let fault = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(fault.faults.len(), 2);
    let stored = server.webhook(&made.webhook_id).await;
    for text in [
        format!("{log:?} {:?}", server.log(&id).await),
        format!("{changes:?}"),
        format!("{fault:?}"),
        format!("{stored:?}"),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn no_secret_is_in_what_the_server_writes_about_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["serve", "--dev", "--log", "trace", "--listen", "127.0.0.1:0", "--database"])
        .arg(format!("sqlite:{}", directory.path().join("t.db").display()))
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let line = lines.next_line().await.expect("readable").expect("a first line");
    let address = line.strip_prefix("listening on ").expect("the promised first line");
    let mut webhooks =
        WebhookServiceClient::connect(format!("http://{address}")).await.expect("a connection");

    let webhook = Some(signed(NOWHERE, HEX, &["s3cret-one"]));
    let request = CreateWebhookRequest { webhook, ..Default::default() };
    let made = webhooks.create_webhook(request).await.expect("a webhook").into_inner();
    let webhook_id = made.webhook.expect("the webhook").webhook_id;
    let value = "s3cret-two".to_owned();
    let request = RotateWebhookSecretRequest { webhook_id, value, ..Default::default() };
    webhooks.rotate_webhook_secret(request.clone()).await.expect("a rotation");
    refused(webhooks.rotate_webhook_secret(request).await);
    child.kill().await.expect("killed");
    let written = std::fs::read_to_string(&log).expect("the log");
    assert!(written.contains("webhook written"), "it logs");
    let leak = written.lines().find(|line| line.contains("s3cret"));
    assert_eq!(leak, None);
}
