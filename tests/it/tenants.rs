//! `TenantService`, and what a tenant may take.

use prost_types::FieldMask;
use tidings::grpc::proto::{
    BatchPublishEventsRequest, CreateWebhookRequest, GetTenantRequest, ListTenantsRequest,
    PublishEventRequest, Tenant, UpdateTenantRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::support::{
    api::{event, seconds, webhook},
    clients::Clients,
    clock::ManualClock,
    keys::{self, HOME},
    receiver::Receiver,
    refusal::refused,
    server::TestServer,
};

const FULL: (Code, &str) = (Code::ResourceExhausted, "QUOTA_EXCEEDED");

async fn update(
    clients: &Clients,
    tenant: Tenant,
    mask: &[&str],
    allow_missing: bool,
) -> Result<Tenant, Status> {
    let paths = mask.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!mask.is_empty()).then_some(FieldMask { paths });
    let request = UpdateTenantRequest { tenant: Some(tenant), update_mask, allow_missing };
    let answer = clients.tenants().update_tenant(request).await?;
    Ok(answer.into_inner().tenant.expect("a tenant"))
}

/// Sets something of the home tenant.
async fn set(server: &TestServer, tenant: Tenant) {
    update(server, Tenant { tenant_id: HOME.into(), ..tenant }, &[], false).await.expect("set");
}

async fn publish(clients: &Clients) -> Result<(), Status> {
    let request = PublishEventRequest { event: Some(event("a", "{}")), ..Default::default() };
    clients.events().publish_event(request).await.map(drop)
}

fn assert_full<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.expect_err("a refusal");
    let wait = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(wait.is_some_and(|wait| !wait.is_zero()), "{status:?}");
    assert_eq!(refused(Err::<(), _>(status)).what(), FULL);
}

#[tokio::test]
async fn settings_are_changed_and_shown() {
    let server = TestServer::strict().await;
    let admin = server.with_key("all").await;
    let get = || async {
        let request = GetTenantRequest::default();
        let answer = admin.tenants().get_tenant(request).await.expect("a tenant");
        answer.into_inner().tenant.expect("the tenant")
    };
    let fresh = get().await;
    assert_eq!((fresh.tenant_id.as_str(), fresh.time_zone.as_str()), (HOME, "UTC"));
    assert!(fresh.attribution.is_some() && fresh.retention.is_none());
    let given = Tenant {
        display_name: "Home".into(),
        time_zone: "asia/kolkata".into(),
        retention: Some(seconds(7_200)),
        etag: fresh.etag.clone(),
        ..Default::default()
    };
    let changed = update(&admin, given.clone(), &[], false).await.expect("changed");
    assert_eq!(changed.time_zone, "Asia/Kolkata");
    assert_eq!(changed, get().await);
    let by = changed.attribution.clone().and_then(|a| a.updated_by).expect("an actor");
    assert!(by.code.starts_with("ak_"));
    let stale = update(&admin, given, &[], false).await;
    assert_eq!(refused(stale).what(), (Code::Aborted, "ETAG_MISMATCH"));
    let named = Tenant { max_webhooks: 7, ..Default::default() };
    let masked = update(&admin, named, &["display_name"], false).await.expect("changed");
    assert_eq!((masked.display_name.as_str(), masked.max_webhooks), ("", 0));
    assert_eq!(masked.time_zone, "Asia/Kolkata");

    let bad = Tenant {
        time_zone: "Mars".into(),
        max_webhooks: -1,
        max_events_per_second: -1.0,
        retention: Some(seconds(1)),
        ..Default::default()
    };
    let refusal = refused(update(&admin, bad, &["*"], false).await);
    let expected = ["max_webhooks", "time_zone", "retention", "max_events_per_second"];
    assert_eq!(refusal.fields(), expected.map(|field| format!("tenant.{field}")));
}

#[tokio::test]
async fn tenants_are_made_and_listed_by_those_who_have_them_all() {
    let server = TestServer::strict().await;
    let own = server.with_key("all").await;
    let all = server.with_token(&keys::make(&server.database(), "*", "all").await);
    let new = || Tenant { tenant_id: "new".into(), display_name: "N".into(), ..Default::default() };
    assert_eq!(refused(update(&all, new(), &[], false).await).reason, "TENANT_NOT_FOUND");
    let bad = Tenant { time_zone: "Mars".into(), ..new() };
    assert_eq!(refused(update(&all, bad, &[], true).await).code, Code::InvalidArgument);
    let get = GetTenantRequest { tenant_id: "new".into() };
    let missing = refused(all.tenants().get_tenant(get.clone()).await);
    assert_eq!(missing.what(), (Code::NotFound, "TENANT_NOT_FOUND"), "nothing is half done");
    update(&all, new(), &[], true).await.expect("made");
    all.tenants().get_tenant(get).await.expect("the tenant");

    let list = |page_token| ListTenantsRequest { page_size: 1, page_token };
    let denied = refused(own.tenants().list_tenants(list(String::new())).await);
    assert_eq!(denied.code, Code::PermissionDenied);
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let page = all.tenants().list_tenants(list(token)).await.expect("a page").into_inner();
        ids.extend(page.tenants.into_iter().map(|tenant| tenant.tenant_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(ids, [HOME, "new"]);
}

#[tokio::test]
async fn webhooks_beyond_the_quota_are_refused() {
    let server = TestServer::start().await;
    set(&server, Tenant { max_webhooks: 1, ..Default::default() }).await;
    let create = |name: &str| CreateWebhookRequest {
        webhook: Some(webhook(name, "http://127.0.0.1:9/", &["*"])),
        ..Default::default()
    };
    server.webhooks().create_webhook(create("a")).await.expect("a webhook");
    assert_full(server.webhooks().create_webhook(create("b")).await);
    let elsewhere = CreateWebhookRequest { tenant_id: "other".into(), ..create("b") };
    server.webhooks().create_webhook(elsewhere).await.expect("the quota is the tenant's own");
}

#[tokio::test]
async fn events_that_come_too_fast_are_refused() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |_| {}).await;
    set(&server, Tenant { max_events_per_second: 2.0, ..Default::default() }).await;
    publish(&server).await.expect("published");
    publish(&server).await.expect("published");
    assert_full(publish(&server).await);
    clock.advance(std::time::Duration::from_secs(1));
    let events = vec![event("a", "{}"); 4];
    let batch = BatchPublishEventsRequest { events, ..Default::default() };
    server.events().batch_publish_events(batch).await.expect("a batch is let through whole");
    clock.advance(std::time::Duration::from_secs(1));
    assert_full(publish(&server).await);
    clock.advance(std::time::Duration::from_secs(1));
    publish(&server).await.expect("it is paid for");
}

#[tokio::test]
async fn events_are_refused_while_too_many_deliveries_wait() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |_| {}).await;
    let receiver = Receiver::start().await;
    let made = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let suspend = tidings::grpc::proto::SuspendWebhookRequest {
        webhook_id: made.webhook_id.clone(),
        ..Default::default()
    };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    set(&server, Tenant { max_waiting_deliveries: 3, ..Default::default() }).await;
    for _ in 0..3 {
        publish(&server).await.expect("published");
    }
    // Counted again, and full indeed.
    clock.advance(std::time::Duration::from_secs(2));
    assert_full(publish(&server).await);
    let lift = tidings::grpc::proto::UnsuspendWebhookRequest {
        webhook_id: made.webhook_id,
        ..Default::default()
    };
    server.webhooks().unsuspend_webhook(lift).await.expect("lifted");
    receiver.wait_for(3).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while publish(&server).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it stays full");
        clock.advance(std::time::Duration::from_secs(2));
        tokio::task::yield_now().await;
    }
}
