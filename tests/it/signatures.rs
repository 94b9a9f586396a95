//! Signatures: what receivers get verifies, before, during and after a rotation.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tidings::grpc::proto::{
    HttpMethod, RotateWebhookSecretRequest, RotateWebhookSecretResponse, Signing, SigningScheme,
    SigningSecret, Webhook,
};

use super::support::{
    api::{event, http, seconds, webhook},
    clock::ManualClock,
    receiver::{Received, Receiver},
    server::TestServer,
};

pub(super) fn signed(url: &str, scheme: SigningScheme, values: &[&str]) -> Webhook {
    let secret = |value: &&str| SigningSecret { value: (*value).into(), ..Default::default() };
    let secrets = values.iter().map(secret).collect();
    let signing = Signing { scheme: scheme.into(), secrets, ..Default::default() };
    Webhook { signing: Some(signing), ..webhook("signed", url, &["*"]) }
}

pub(super) fn secrets(webhook: &Webhook) -> &[SigningSecret] {
    &webhook.signing.as_ref().expect("it signs").secrets
}

pub(super) async fn rotate(
    server: &TestServer,
    webhook: &Webhook,
    overlap: i64,
) -> RotateWebhookSecretResponse {
    let request = RotateWebhookSecretRequest {
        webhook_id: webhook.webhook_id.clone(),
        overlap: Some(seconds(overlap)),
        ..Default::default()
    };
    server.webhooks().rotate_webhook_secret(request).await.expect("a rotation").into_inner()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn signed_text(got: &Received) -> Vec<u8> {
    let id = got.header("webhook-id").expect("an id");
    let timestamp = got.header("webhook-timestamp").expect("a time");
    assert_eq!(Some(id), got.header("tidings-event-id"));
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", &got.body].concat()
}

/// The signature of a request by a `whsec_` secret.
pub(super) fn v1(secret: &str, got: &Received) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("whsec_")).expect("base64");
    format!("v1,{}", STANDARD.encode(hmac(&key, &signed_text(got))))
}

#[tokio::test]
async fn both_secrets_sign_during_a_rotation_and_the_older_one_ends_in_time() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::start().await;
    let hook = signed(&receiver.url(), SigningScheme::StandardWebhooks, &[]);
    let made = server.create(hook).await;
    let old = secrets(&made)[0].value.clone();
    server.publish(event("a", "{\"n\": 1.10}")).await;
    let got = receiver.wait_for(1).await.remove(0);
    assert_eq!(got.header("webhook-signature"), Some(&*v1(&old, &got)));
    assert_eq!(got.header("webhook-timestamp"), Some("1767225600"));

    clock.advance(Duration::from_secs(10));
    let rotated = rotate(&server, &made, 3_600).await;
    let new = rotated.secret.expect("the new secret").value;
    let shown = rotated.webhook.expect("the webhook");
    let values: Vec<_> = secrets(&shown).iter().map(|secret| &*secret.value).collect();
    assert_eq!(values, [&*new, ""], "only what this call set");
    assert_eq!(secrets(&shown)[1].expire_time.expect("an end").seconds, 1_767_225_610 + 3_600);
    server.publish(event("a", "{}")).await;
    let got = receiver.wait_for(2).await.remove(1);
    assert_eq!(
        got.header("webhook-signature"),
        Some(&*format!("{} {}", v1(&new, &got), v1(&old, &got)))
    );
    assert_eq!(got.header("webhook-timestamp"), Some("1767225610"));

    clock.advance(Duration::from_secs(3_600));
    server.publish(event("a", "{}")).await;
    let got = receiver.wait_for(3).await.remove(2);
    assert_eq!(got.header("webhook-signature"), Some(&*v1(&new, &got)), "the old one has ended");

    let again = rotate(&server, &made, 60).await.webhook.expect("the webhook");
    assert_eq!(secrets(&again).len(), 2, "what has expired is dropped");
}

#[tokio::test]
async fn a_retry_is_signed_with_its_own_time() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |_| {}).await;
    let receiver = Receiver::with(|r| {
        super::support::receiver::Reply::status(if r.index == 0 { 500 } else { 200 })
    })
    .await;
    let made = server.create(signed(&receiver.url(), SigningScheme::StandardWebhooks, &[])).await;
    let id = server.publish(event("a", "{}")).await.event_id;
    receiver.wait_for(1).await;
    server.wait_log(&id, "the failure", |log| log.attempt_count == 1).await;
    clock.advance(Duration::from_secs(60));
    let got = receiver.wait_for(2).await.remove(1);
    assert_eq!(got.header("webhook-timestamp"), Some("1767225660"));
    assert_eq!(got.header("webhook-signature"), Some(&*v1(&secrets(&made)[0].value, &got)));
}

#[tokio::test]
async fn plain_schemes_sign_the_body_in_one_header() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let mut hook = signed(&receiver.url(), SigningScheme::HmacSha256Base64, &["gehe\u{ef}m"]);
    hook.signing.as_mut().expect("signing").header_name = "X-SuperOffice-Signature".into();
    server.create(hook).await;
    server.publish(event("a", "{\"ü\":1}")).await;
    let got = receiver.wait_for(1).await.remove(0);
    let expected = STANDARD.encode(hmac("gehe\u{ef}m".as_bytes(), &got.body));
    assert!(!got.body.is_empty());
    assert_eq!(got.header("x-superoffice-signature"), Some(&*expected));
    assert_eq!(got.header("webhook-signature"), None);
}

#[tokio::test]
async fn a_get_signs_the_empty_body_that_it_sends() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let mut hook = signed(&receiver.url(), SigningScheme::HmacSha256Hex, &["new", "old"]);
    http(&mut hook).method = HttpMethod::Get.into();
    server.create(hook).await;
    server.publish(event("a", "{}")).await;
    let got = receiver.wait_for(1).await.remove(0);
    let hex: String = hmac(b"new", b"").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&*got.method, got.body.len()), ("GET", 0));
    assert_eq!(got.header("x-tidings-signature"), Some(&*hex));
}

#[tokio::test]
async fn ed25519_verifies_with_the_public_key_that_everybody_sees() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let scheme = SigningScheme::StandardWebhooksEd25519;
    let made = server.create(signed(&receiver.url(), scheme, &[])).await;
    assert!(secrets(&made)[0].value.starts_with("whsk_"));
    let seen = server.webhook(&made.webhook_id).await;
    let public = secrets(&seen)[0].public_key.strip_prefix("whpk_").expect("a public key");
    let public = STANDARD.decode(public).expect("base64").try_into().expect("32 bytes");
    server.publish(event("a", "{}")).await;
    let got = receiver.wait_for(1).await.remove(0);
    let signature = got.header("webhook-signature").expect("a signature");
    let signature = STANDARD.decode(signature.strip_prefix("v1a,").expect("v1a")).expect("base64");
    let signature = Signature::from_slice(&signature).expect("64 bytes");
    let key = VerifyingKey::from_bytes(&public).expect("a key");
    key.verify_strict(&signed_text(&got), &signature).expect("it verifies");
}
