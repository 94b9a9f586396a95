//! Webhooks come, are found and go: what their owner gets to see of it.

use std::collections::HashSet;

use tidings::grpc::proto::{
    CreateWebhookRequest, DeleteWebhookRequest, DeleteWebhookResponse, EventLogFilter,
    GetWebhookRequest, ListEventMetadataRequest, ListWebhooksRequest, SuspendWebhookRequest,
    UnsuspendWebhookRequest, Webhook, WebhookState,
};
use tonic::{Code, Status};

use super::support::{
    api::{event, header, http, seconds, update, webhook},
    receiver::Receiver,
    refusal::refused,
    server::TestServer,
};

/// Nothing is ever sent there.
const URL: &str = "http://127.0.0.1:9/hook";

pub(crate) async fn delete(
    server: &TestServer,
    webhook_id: &str,
    etag: &str,
) -> Result<DeleteWebhookResponse, Status> {
    let (webhook_id, etag) = (webhook_id.into(), etag.into());
    let request = DeleteWebhookRequest { webhook_id, etag, ..Default::default() };
    server.webhooks().delete_webhook(request).await.map(|deleted| deleted.into_inner())
}

#[tokio::test]
async fn a_new_webhook_has_ids_defaults_and_its_maker() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["pointsIssued"])).await;

    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    assert!(made.webhook_id.len() == 24 && made.webhook_id.bytes().all(hex), "{made:?}");
    assert_eq!(made.consumer_group_id.parse::<uuid::Uuid>().map(|id| id.is_nil()), Ok(false));
    assert_eq!((made.number, made.tenant_id.as_str()), (1, "default"));
    assert_eq!((made.enabled, made.state()), (Some(true), WebhookState::Active));
    assert_eq!((made.max_allowed_connections, made.sla), (Some(10), Some(seconds(3600))));
    assert_eq!((made.retry_policy.clone(), made.suspension.clone()), (None, None));
    assert!(!made.etag.is_empty());
    let attribution = made.attribution.clone().expect("an attribution");
    let maker = attribution.created_by.clone().expect("a maker");
    assert_eq!((maker.code.as_str(), maker.name.as_str()), ("dev", "Developer"));
    assert_eq!(attribution.updated_by, attribution.created_by);
    assert!(attribution.create_time.is_some());
    assert_eq!(attribution.update_time, attribution.create_time);
    assert_eq!(server.webhook(&made.webhook_id).await, made);
}

#[tokio::test]
async fn a_change_is_attributed_and_changes_the_etag() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["*"])).await;
    let change = Webhook { name: "v".into(), ..made.clone() };
    let changed = server.update(update(change, &["name"])).await;

    assert_ne!(changed.etag, made.etag);
    let (before, after) = (made.attribution.unwrap(), changed.attribution.clone().unwrap());
    assert_eq!(after.create_time, before.create_time);
    let micros = |t: Option<prost_types::Timestamp>| t.map(|t| (t.seconds, t.nanos));
    assert!(micros(after.update_time) > micros(before.update_time));
    assert_eq!(server.webhook(&made.webhook_id).await, changed);

    // What changes nothing is no change.
    let same = server.update(update(changed.clone(), &["*"])).await;
    assert_eq!(same, changed);
}

#[tokio::test]
async fn numbers_rise_and_are_never_used_again() {
    let server = TestServer::start().await;
    let mut numbers = Vec::new();
    for name in ["a", "b", "c"] {
        let made = server.create(webhook(name, URL, &["*"])).await;
        numbers.push(made.number);
        delete(&server, &made.webhook_id, "").await.expect("deleted");
    }
    assert_eq!(numbers, [1, 2, 3]);
    let server = server.restart().await;
    assert_eq!(server.create(webhook("d", URL, &["*"])).await.number, 4);
}

#[tokio::test]
async fn a_name_is_taken_until_its_webhook_is_deleted() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["*"])).await;
    let again = CreateWebhookRequest {
        webhook: Some(webhook("w", URL, &["custom.registered"])),
        ..Default::default()
    };
    let taken = refused(server.webhooks().create_webhook(again.clone()).await);
    assert_eq!(taken.what(), (Code::AlreadyExists, "WEBHOOK_NAME_TAKEN"));
    assert_eq!(taken.fields(), ["webhook.name"]);
    let custom = ListEventMetadataRequest { origin: 2, ..Default::default() };
    let types = server.event_types().list_event_metadata(custom).await.expect("a page");
    assert_eq!(types.into_inner().total_size, 0, "what is refused registers no names");
    let other = server.create(webhook("v", URL, &["*"])).await;
    let renamed = Webhook { name: "w".into(), ..other };
    let taken = refused(server.try_update(update(renamed, &["name"])).await);
    assert_eq!(taken.what(), (Code::AlreadyExists, "WEBHOOK_NAME_TAKEN"));
    let elsewhere = CreateWebhookRequest { tenant_id: "acme".into(), ..again };
    server.webhooks().create_webhook(elsewhere).await.expect("another tenant's names are its own");

    delete(&server, &made.webhook_id, "").await.expect("deleted");
    let next = server.create(webhook("w", URL, &["*"])).await;
    assert_ne!(next.webhook_id, made.webhook_id);
}

#[tokio::test]
async fn a_deleted_webhook_is_not_found_anywhere_but_its_log_stays() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let made = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let published = server.publish(event("pointsIssued", "{}")).await;
    server.wait_log(&published.event_id, "success", |log| log.status == 3).await;

    let webhook_id = made.webhook_id.clone();
    let deleted = delete(&server, &webhook_id, "").await.expect("deleted");
    assert_eq!(deleted.webhook, Some(made.clone()), "the answer is the webhook as it was");

    let mut client = server.webhooks();
    let get = GetWebhookRequest { webhook_id: webhook_id.clone(), ..Default::default() };
    let suspend = SuspendWebhookRequest { webhook_id: webhook_id.clone(), ..Default::default() };
    let unsuspend =
        UnsuspendWebhookRequest { webhook_id: webhook_id.clone(), ..Default::default() };
    for refusal in [
        refused(client.get_webhook(get).await),
        refused(server.try_update(update(made.clone(), &["name"])).await),
        refused(delete(&server, &webhook_id, "").await),
        refused(client.suspend_webhook(suspend).await),
        refused(client.unsuspend_webhook(unsuspend).await),
    ] {
        assert_eq!(refusal.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
    }
    let page = server.list(ListWebhooksRequest::default()).await;
    assert_eq!((page.webhooks.len(), page.total_size), (0, 0));
    let logs = server
        .logs(EventLogFilter { webhook_ids: vec![webhook_id.clone()], ..Default::default() })
        .await;
    assert_eq!(logs.len(), 1);
    assert_eq!(server.publish(event("pointsIssued", "{}")).await.matched_webhook_count, 0);

    for webhook_id in [webhook_id, "671f45d8760af000077b19f8".into(), "no id".into()] {
        let request =
            DeleteWebhookRequest { webhook_id, allow_missing: true, ..Default::default() };
        let deleted = client.delete_webhook(request).await.expect("missing is allowed");
        assert_eq!(deleted.into_inner().webhook, None);
    }
}

#[tokio::test]
async fn webhooks_of_other_tenants_are_not_found() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["*"])).await;
    let get = GetWebhookRequest {
        tenant_id: "acme".into(),
        webhook_id: made.webhook_id.clone(),
        ..Default::default()
    };
    let refusal = refused(server.webhooks().get_webhook(get).await);
    assert_eq!(refusal.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
    let list = ListWebhooksRequest { tenant_id: "acme".into(), ..Default::default() };
    assert_eq!(server.list(list).await.total_size, 0);
    let request = DeleteWebhookRequest {
        tenant_id: "acme".into(),
        webhook_id: made.webhook_id,
        ..Default::default()
    };
    let refusal = refused(server.webhooks().delete_webhook(request).await);
    assert_eq!(refusal.what(), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
}

#[tokio::test]
async fn an_old_etag_is_refused() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["*"])).await;
    let change = |name: &str| Webhook { name: name.into(), ..made.clone() };
    let changed = server.update(update(change("v"), &["name"])).await;

    let old = refused(server.try_update(update(change("u"), &["name"])).await);
    assert_eq!(old.what(), (Code::Aborted, "ETAG_MISMATCH"));
    let old = refused(delete(&server, &made.webhook_id, &made.etag).await);
    assert_eq!(old.what(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(server.webhook(&made.webhook_id).await, changed);

    let any = Webhook { etag: String::new(), ..change("u") };
    let changed = server.update(update(any, &["name"])).await;
    delete(&server, &made.webhook_id, &changed.etag).await.expect("deleted");
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let server = TestServer::start().await;
    let made = server.create(webhook("w", URL, &["*"])).await;
    let changes = (0..6).map(|i| {
        let mut change = Webhook { webhook_id: made.webhook_id.clone(), ..Default::default() };
        change.labels.insert(format!("k{i}"), "v".into());
        server.try_update(update(change, &[&format!("labels.k{i}")]))
    });
    for changed in futures_util::future::join_all(changes).await {
        changed.expect("a change");
    }
    let labels: HashSet<String> =
        server.webhook(&made.webhook_id).await.labels.into_keys().collect();
    assert_eq!(labels, (0..6).map(|i| format!("k{i}")).collect());
}

#[tokio::test]
async fn what_is_only_checked_changes_nothing_and_shows_no_ids() {
    let server = TestServer::start().await;
    let check = |webhook: Webhook| CreateWebhookRequest {
        webhook: Some(webhook),
        validate_only: true,
        ..Default::default()
    };
    let checked =
        server.webhooks().create_webhook(check(webhook("w", URL, &["custom.name"]))).await;
    let checked = checked.expect("a check").into_inner().webhook.expect("the webhook");
    assert_eq!((checked.name.as_str(), checked.max_allowed_connections), ("w", Some(10)));
    assert_eq!((checked.webhook_id.as_str(), checked.number), ("", 0));
    assert_eq!((checked.consumer_group_id.as_str(), checked.etag.as_str()), ("", ""));
    assert_eq!(server.list(ListWebhooksRequest::default()).await.total_size, 0);

    let made = server.create(webhook("w", URL, &["*"])).await;
    assert_eq!(made.number, 1);
    let taken = refused(server.webhooks().create_webhook(check(webhook("w", URL, &["*"]))).await);
    assert_eq!(taken.what(), (Code::AlreadyExists, "WEBHOOK_NAME_TAKEN"));
    let bad = refused(server.webhooks().create_webhook(check(Webhook::default())).await);
    assert_eq!(
        bad.reasons(),
        [
            ("webhook.destination", "FIELD_REQUIRED"),
            ("webhook.name", "FIELD_REQUIRED"),
            ("webhook.event_names", "EVENT_NAMES_REQUIRED"),
        ]
    );

    let mut request = update(Webhook { name: "v".into(), ..made.clone() }, &["name"]);
    request.validate_only = true;
    let checked = server.update(request).await;
    assert_eq!((checked.name.as_str(), &checked.webhook_id), ("v", &made.webhook_id));
    assert_eq!(server.webhook(&made.webhook_id).await, made);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_webhook() {
    let server = TestServer::start().await;
    let key = "0b9f9a70-9d5b-4b6a-8f19-0d6c3f7f0a01";
    let request = |webhook: Webhook| CreateWebhookRequest {
        webhook: Some(webhook),
        idempotency_key: key.into(),
        ..Default::default()
    };
    let mut hook = webhook("w", URL, &["*"]);
    http(&mut hook).headers.push(header("Authorization", "Basic c2VjcmV0"));
    let create = async |hook: &Webhook| {
        let made = server.webhooks().create_webhook(request(hook.clone())).await?;
        Ok::<_, Status>(made.into_inner().webhook.expect("the webhook"))
    };
    let first = create(&hook).await.expect("made");
    server.update(update(Webhook { name: "v".into(), ..first.clone() }, &["name"])).await;
    let again = create(&hook).await.expect("the first answer");
    assert_eq!(again, first);
    let server_side = request(hook.clone());
    let upper = CreateWebhookRequest { idempotency_key: key.to_uppercase(), ..server_side };
    let again = server.webhooks().create_webhook(upper).await.expect("the same UUID");
    assert_eq!(again.into_inner().webhook, Some(first.clone()));

    let other = create(&webhook("other", URL, &["*"])).await;
    assert_eq!(refused(other).what(), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    let elsewhere = CreateWebhookRequest { tenant_id: "acme".into(), ..request(hook) };
    let elsewhere = server.webhooks().create_webhook(elsewhere).await.expect("another tenant's");
    assert_ne!(elsewhere.into_inner().webhook.expect("a webhook").webhook_id, first.webhook_id);
    assert_eq!(server.list(ListWebhooksRequest::default()).await.total_size, 1);
}

#[tokio::test]
async fn calls_of_one_idempotency_key_at_the_same_time_make_one_webhook() {
    let server = TestServer::start().await;
    let calls = (0..8).map(|_| {
        let request = CreateWebhookRequest {
            webhook: Some(webhook("w", URL, &["*"])),
            idempotency_key: "0b9f9a70-9d5b-4b6a-8f19-0d6c3f7f0a02".into(),
            ..Default::default()
        };
        let mut client = server.webhooks();
        async move { client.create_webhook(request).await }
    });
    let mut made = HashSet::new();
    for answer in futures_util::future::join_all(calls).await {
        let webhook = answer.expect("the one webhook").into_inner().webhook.expect("a webhook");
        made.insert(webhook.webhook_id);
    }
    assert_eq!(made.len(), 1);
    assert_eq!(server.list(ListWebhooksRequest::default()).await.total_size, 1);
}
