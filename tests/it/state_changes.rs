//! Owners are told when a webhook is suspended or resumed, once each: by an event, by
//! e-mail; and of exhausted deliveries by a POST to the alert URL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidings::domain::secret::Secret;
use tidings::grpc::proto::{
    CreateWebhookRequest, FailureHandling, PublishEventRequest, SuspendWebhookRequest,
    UnsuspendWebhookRequest, Webhook, event_service_client::EventServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use tonic::Code;

use super::support::{
    api::{event, no_retries, quick_retries, update, webhook},
    clock::ManualClock,
    database::Database,
    process::ServerProcess,
    receiver::{Receiver, Reply},
    refusal::refused,
    server::TestServer,
    smtp::MailSink,
};

/// With secrets encrypted at rest: who is told does not depend on it.
async fn with_mail(sink: &MailSink) -> TestServer {
    let url = sink.url();
    TestServer::with(|config| {
        config.secret_key = Some(Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        config.smtp_url = Some(Secret::new(url));
        config.mail_from = "Tidings <tidings@example.com>".into();
    })
    .await
}

async fn failing() -> (Receiver, Arc<AtomicBool>) {
    let well = Arc::<AtomicBool>::default();
    let now = Arc::clone(&well);
    let answer = move |_: &_| Reply::status(if now.load(Ordering::SeqCst) { 200 } else { 503 });
    (Receiver::with(answer).await, well)
}

/// A webhook that its first failure suspends.
fn fragile(name: &str, receiver: &Receiver, events: &[&str]) -> Webhook {
    let mut hook = webhook(name, &receiver.url(), events);
    hook.retry_policy = Some(quick_retries(1_000));
    hook.failure_handling =
        Some(FailureHandling { suspend_after_failures: 1, ..Default::default() });
    hook
}

fn mailed(mut hook: Webhook, emails: &[&str]) -> Webhook {
    let handling = hook.failure_handling.get_or_insert_default();
    handling.notify_emails = emails.iter().map(|&email| email.into()).collect();
    hook
}

async fn unsuspend(server: &TestServer, id: &str) {
    let request = UnsuspendWebhookRequest { webhook_id: id.into(), ..Default::default() };
    server.webhooks().unsuspend_webhook(request).await.expect("unsuspended");
}

async fn suspend(server: &TestServer, id: &str) {
    let request = SuspendWebhookRequest {
        webhook_id: id.into(),
        message: "maintenance".into(),
        ..Default::default()
    };
    server.webhooks().suspend_webhook(request).await.expect("suspended");
}

#[tokio::test]
async fn a_suspension_and_its_end_are_told_by_event_and_mail_once_each() {
    let sink = MailSink::start().await;
    let server = with_mail(&sink).await;
    let (receiver, well) = failing().await;
    let watcher = Receiver::start().await;
    server.create(webhook("watcher", &watcher.url(), &["webhook.*"])).await;
    let hook = mailed(fragile("w", &receiver, &["*"]), &["a@example.com", "b@example.com"]);
    let id = server.create(hook).await.webhook_id;
    server.publish(event("a", "{}")).await;

    let told = watcher.wait_for(1).await.remove(0);
    assert_eq!(told.header("tidings-event-name"), Some("webhook.suspended"));
    assert_eq!(told.header("tidings-ref-id"), Some(id.as_str()));
    let data = &told.json()["data"];
    assert_eq!(data["webhookId"], id.as_str());
    assert_eq!((&data["state"], &data["cause"]), (&"TOO_MANY_ERRORS".into(), &"FAILURES".into()));
    let mails = sink.wait_for(2).await;
    let mut to: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    to.sort();
    assert_eq!(to, ["a@example.com", "b@example.com"]);
    assert!(mails[0].data.contains("Subject: Webhook w was suspended"), "{mails:?}");
    assert!(mails[0].data.contains("UnsuspendWebhook"), "{mails:?}");

    well.store(true, Ordering::SeqCst);
    unsuspend(&server, &id).await;
    let told = watcher.wait_for(2).await.remove(1);
    assert_eq!(told.header("tidings-event-name"), Some("webhook.resumed"));
    let mails = sink.wait_for(4).await;
    assert!(mails[3].data.contains("Subject: Webhook w was resumed"), "{mails:?}");
    // Although it takes all events, the webhook heard nothing of itself.
    let names = receiver.received();
    assert!(names.iter().all(|r| r.header("tidings-event-name") == Some("a")));
    server.stop().await;
    assert_eq!((watcher.count(), sink.mails().len()), (2, 4));
}

#[tokio::test]
async fn what_a_person_does_is_an_event_and_no_mail_and_other_tenants_hear_nothing() {
    let sink = MailSink::start().await;
    let server = with_mail(&sink).await;
    let (here, there) = (Receiver::start().await, Receiver::start().await);
    server.create(webhook("watcher", &here.url(), &["webhook.suspended"])).await;
    let request = CreateWebhookRequest {
        tenant_id: "other".into(),
        webhook: Some(webhook("watcher", &there.url(), &["*"])),
        ..Default::default()
    };
    server.webhooks().create_webhook(request).await.expect("a webhook");
    let held = mailed(webhook("held", &here.url(), &["x"]), &["a@example.com"]);
    let id = server.create(held).await.webhook_id;
    suspend(&server, &id).await;
    let told = here.wait_for(1).await.remove(0);
    assert_eq!(told.json()["data"]["message"], "maintenance");
    assert_eq!(told.json()["data"]["cause"], "OPERATOR");
    suspend(&server, &id).await;
    unsuspend(&server, &id).await;
    suspend(&server, &id).await;
    here.wait_for(2).await;
    server.stop().await;
    assert_eq!((here.count(), there.count(), sink.mails().len()), (2, 0, 0));
}

#[tokio::test]
async fn webhooks_that_hear_of_each_other_and_fail_come_to_rest() {
    let server = TestServer::start().await;
    let (a, _) = failing().await;
    let (b, well) = failing().await;
    let first = server.create(fragile("a", &a, &["x", "webhook.*"])).await.webhook_id;
    let mut second = fragile("b", &b, &["webhook.*"]);
    second.retry_policy = Some(quick_retries(3));
    let second = server.create(second).await.webhook_id;
    server.publish(event("x", "{}")).await;
    // The event, and its retries: none of them suspends the second webhook.
    b.wait_for(4).await;
    assert!(server.webhook(&first).await.suspension.is_some());
    assert!(server.webhook(&second).await.suspension.is_none());
    well.store(true, Ordering::SeqCst);
    suspend(&server, &second).await;
    assert_eq!(a.count(), 1, "what is suspended is sent nothing");
}

#[tokio::test]
async fn a_mail_server_that_is_down_holds_up_nothing_and_gets_the_mail_later() {
    let sink = MailSink::start().await;
    sink.refuse(true);
    let clock = ManualClock::new();
    let url = sink.url();
    let server = TestServer::with_clock(Arc::clone(&clock) as _, |config| {
        config.smtp_url = Some(Secret::new(url));
        config.mail_from = "tidings@example.com".into();
    })
    .await;
    let (receiver, _) = failing().await;
    let well = Receiver::start().await;
    server.create(webhook("well", &well.url(), &["a"])).await;
    server.create(mailed(fragile("w", &receiver, &["a"]), &["a@example.com"])).await;
    server.publish(event("a", "{}")).await;
    sink.wait_for_connections(1).await;
    server.publish(event("a", "{}")).await;
    well.wait_for(2).await;
    sink.refuse(false);
    let again = async {
        while sink.mails().is_empty() {
            clock.advance(Duration::from_secs(31));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("the mail");
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test]
async fn an_alert_is_sent_once_for_each_exhausted_delivery() {
    let server = TestServer::start().await;
    let (receiver, _) = failing().await;
    let alerts = Receiver::with(|_| Reply::status(500)).await;
    let mut hook = webhook("w", &receiver.url(), &["a"]);
    hook.retry_policy = Some(no_retries());
    hook.failure_handling = Some(FailureHandling { alert_url: alerts.url(), ..Default::default() });
    let made = server.create(hook).await;
    let first = server.publish(event("a", "{}")).await.event_id;
    let alert = alerts.wait_for(1).await.remove(0);
    assert_eq!(alert.method, "POST");
    let body = alert.json();
    assert_eq!(body["type"], "delivery.exhausted");
    assert_eq!((&body["eventId"], &body["httpStatus"]), (&first.into(), &503.into()));
    assert_eq!(body["webhookId"], made.webhook_id.as_str());
    server.publish(event("a", "{}")).await;
    alerts.wait_for(2).await;

    // Cleared, it is asked for no more.
    let change = Webhook { webhook_id: made.webhook_id, ..Default::default() };
    let changed = server.update(update(change, &["failure_handling.alert_url"])).await;
    assert_eq!(changed.failure_handling.map(|h| h.alert_url), Some(String::new()));
    let last = server.publish(event("a", "{}")).await.event_id;
    server.wait_log(&last, "its end", |record| record.end_time.is_some()).await;
    server.stop().await;
    assert_eq!(alerts.count(), 2, "refused ones are not tried again");
}

#[tokio::test]
async fn bad_addresses_and_urls_are_all_named() {
    let sink = MailSink::start().await;
    let server = with_mail(&sink).await;
    let mut hook = webhook("w", "http://127.0.0.1:9/", &["a"]);
    hook.failure_handling = Some(FailureHandling {
        notify_emails: ["ok@example.com", "bad", "a@b.c\r\nBcc: x@y.z", "ok@example.com"]
            .map(Into::into)
            .into(),
        alert_url: "ftp://a/".into(),
        ..Default::default()
    });
    let request = CreateWebhookRequest { webhook: Some(hook.clone()), ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(refusal.what().0, Code::InvalidArgument);
    let at = |field: &str| format!("webhook.failure_handling.{field}");
    let mut fields = refusal.fields();
    fields.sort_unstable();
    let expected =
        ["alert_url", "notify_emails[1]", "notify_emails[2]", "notify_emails[3]"].map(at);
    assert_eq!(fields, expected);
    let many = (0..11).map(|i| format!("a{i}@example.com")).collect();
    hook.failure_handling = Some(FailureHandling { notify_emails: many, ..Default::default() });
    let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(refusal.fields(), ["webhook.failure_handling.notify_emails"]);
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_the_change_and_the_mail_loses_and_repeats_nothing() {
    let sink = MailSink::start().await;
    let database = Database::new().await;
    let mut server = ServerProcess::with_mail(&database, &sink.url(), "before-mail=return").await;
    let (receiver, _) = failing().await;
    let watcher = Receiver::start().await;
    let mut webhooks = WebhookServiceClient::new(server.channel());
    for hook in [
        webhook("watcher", &watcher.url(), &["webhook.*"]),
        mailed(fragile("w", &receiver, &["a"]), &["a@example.com"]),
    ] {
        let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
        webhooks.create_webhook(request).await.expect("a webhook");
    }
    let request = PublishEventRequest { event: Some(event("a", "{}")), ..Default::default() };
    EventServiceClient::new(server.channel()).publish_event(request).await.expect("published");
    server.wait_for_abort().await;
    assert!(sink.mails().is_empty());
    let _again = ServerProcess::with_mail(&database, &sink.url(), "").await;
    sink.wait_for(1).await;
    let told = watcher.wait_for(1).await;
    // An attempt that the death cut off is made again; the event is the same one.
    let first = told[0].header("tidings-event-id").map(str::to_owned);
    assert!(watcher.received().iter().all(|r| r.header("tidings-event-id") == first.as_deref()));
    assert_eq!(sink.mails().len(), 1);
}
