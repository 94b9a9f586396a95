//! URLs that lead to private and local addresses are refused when they are given.

use std::sync::Arc;

use tidings::grpc::proto::{CreateWebhookRequest, ListWebhooksRequest, Webhook};
use tonic::{Code, Status};

use super::support::{
    api::{event, update, webhook},
    names::Names,
    receiver::Receiver,
    refusal::refused,
    server::TestServer,
};

const URL: &str = "webhook.destination.http.url";

async fn create(server: &TestServer, name: &str, url: &str) -> Result<Webhook, Status> {
    let webhook = Some(webhook(name, url, &["*"]));
    let request = CreateWebhookRequest { webhook, ..Default::default() };
    let made = server.webhooks().create_webhook(request).await?;
    Ok(made.into_inner().webhook.expect("the webhook"))
}

async fn assert_forbidden(server: &TestServer, url: &str) {
    let refusal = refused(create(server, "w", url).await);
    let what = (Code::InvalidArgument, "DESTINATION_FORBIDDEN");
    assert_eq!(refusal.what(), what, "{url}: {refusal:?}");
    assert_eq!(refusal.reasons(), [(URL, "DESTINATION_FORBIDDEN")], "{url}");
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_in_every_form() {
    let names = Names::new();
    let server = TestServer::guarded(names.clone(), &[]).await;
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.01",
        "017700000001",
        "0177.1",
        "127.1",
        "127.0.0.1:8080",
        "%31%32%37.0.0.1",
        "１２７。０。０。１",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.255.255",
        "169.254.169.254",
        "169.254.0.1",
        "0xa9fea9fe",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[::10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::a00:1]",
        "[2002:a00:1::1]",
        "[2001:0:4136:e378:8000:63bf:f5ff:fffe]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST.",
        "hook.localhost:9000",
    ] {
        assert_forbidden(&server, &format!("http://{host}/hook")).await;
    }
    for url in [
        "http:127.0.0.1",
        "http:\\\\127.0.0.1\\@8.8.8.8/",
        "http://127.0.0.1#@8.8.8.8/",
        "https://127.0.0.1?@8.8.8.8/",
        "HTTPS://10.0.0.1",
        "http://12\t7.0.\n0.1/",
    ] {
        assert_forbidden(&server, url).await;
    }
    let refusal = refused(create(&server, "w", "http://8.8.8.8@127.0.0.1/").await);
    assert_eq!(refusal.reasons(), [(URL, "FIELD_INVALID")]);
    assert_eq!(names.asked("localhost"), 0);
    assert_eq!(server.list(ListWebhooksRequest::default()).await.total_size, 0);
    // What is public is no matter for the guard.
    for (name, url) in [("a", "https://8.8.8.8/"), ("b", "http://[2606:4700:4700::1111]:81/")] {
        create(&server, name, url).await.expect("a webhook");
    }
}

#[tokio::test]
async fn names_are_judged_by_all_their_addresses() {
    let names = Names::new();
    let server = TestServer::guarded(names.clone(), &[]).await;
    for addresses in [
        &["10.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["::1", "8.8.8.8"],
        &["2606:4700:4700::1111", "8.8.8.8", "::ffff:169.254.169.254"],
        &["64:ff9b::7f00:1"],
    ] {
        names.tell("hook.test", addresses);
        assert_forbidden(&server, "https://hook.test/").await;
    }
    names.tell("hook.test", &["8.8.8.8", "2606:4700:4700::1111"]);
    create(&server, "public", "https://hook.test/").await.expect("a webhook");
    names.tell("empty.test", &[]);
    create(&server, "empty", "https://empty.test/").await.expect("a webhook");
    create(&server, "unknown", "https://unknown.test/").await.expect("a webhook");
    assert_eq!(names.asked("unknown.test"), 1);
}

#[tokio::test]
async fn the_guard_and_the_form_are_told_at_once_and_validation_hears_of_it_too() {
    let names = Names::new();
    names.tell("hook.test", &["10.0.0.1"]);
    let server = TestServer::guarded(names, &[]).await;
    let mut bad = webhook("", "http://hook.test/", &["*"]);
    bad.max_allowed_connections = Some(0);
    let request = CreateWebhookRequest { webhook: Some(bad), ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    let fields = ["webhook.name", "webhook.max_allowed_connections", URL];
    assert_eq!(refusal.fields(), fields);
    assert!(!refusal.message.contains("10.0.0.1"), "{}", refusal.message);

    let webhook = Some(webhook("w", "http://hook.test/", &["*"]));
    let request = CreateWebhookRequest { webhook, validate_only: true, ..Default::default() };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(refusal.reasons(), [(URL, "DESTINATION_FORBIDDEN")]);
}

#[tokio::test]
async fn names_that_keep_the_resolver_waiting_hold_up_nobody_for_long() {
    let names = Names::new();
    names.keep_silent("slow.test");
    let server = Arc::new(TestServer::guarded(names.clone(), &[]).await);
    let creating: Vec<_> = (0..40)
        .map(|n| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                create(&server, &format!("w{n}"), "http://slow.test/").await.expect("a webhook");
            })
        })
        .collect();
    for created in creating {
        created.await.expect("no panic");
    }
    assert_eq!(names.asked("slow.test"), 32, "no more look-ups are under way at once");
    // Addresses need no look-up, so they are judged whatever the resolver does.
    assert_forbidden(&server, "http://127.0.0.1/").await;
}

#[tokio::test]
async fn a_repeated_call_gets_its_answer_whatever_the_name_means_by_now() {
    let names = Names::new();
    names.tell("hook.test", &["8.8.8.8"]);
    let server = TestServer::guarded(names.clone(), &[]).await;
    let request = CreateWebhookRequest {
        webhook: Some(webhook("w", "http://hook.test/", &["*"])),
        idempotency_key: "0b0f1f9c-6f4e-4d5e-8a55-93d6c0a1b2c3".into(),
        ..Default::default()
    };
    let first = server.webhooks().create_webhook(request.clone()).await.expect("a webhook");
    names.tell("hook.test", &["10.0.0.1"]);
    let again = server.webhooks().create_webhook(request).await.expect("the webhook");
    assert_eq!(first.into_inner().webhook, again.into_inner().webhook);
}

#[tokio::test]
async fn an_update_is_judged_where_it_changes_the_url() {
    let names = Names::new();
    names.tell("hook.test", &["8.8.8.8"]);
    let server = TestServer::guarded(names.clone(), &[]).await;
    let made = create(&server, "w", "http://hook.test/").await.expect("a webhook");
    let to = |url: &str| {
        let changed = webhook("w", url, &["*"]);
        update(
            Webhook { webhook_id: made.webhook_id.clone(), ..changed },
            &["destination.http.url"],
        )
    };
    for url in ["http://192.168.0.1/", "http://[::ffff:10.0.0.1]/", "http://localhost/"] {
        let refusal = refused(server.try_update(to(url)).await);
        assert_eq!(refusal.reasons(), [(URL, "DESTINATION_FORBIDDEN")], "{url}");
    }
    names.tell("hook.test", &["10.0.0.1"]);
    assert_eq!(server.enable(&made, false).await.enabled, Some(false));
    let refusal = refused(server.try_update(to("http://hook.test/other")).await);
    assert_eq!(refusal.reasons(), [(URL, "DESTINATION_FORBIDDEN")]);
    assert_eq!(server.webhook(&made.webhook_id).await.destination, made.destination);
}

#[tokio::test]
async fn allowed_ranges_are_open_and_no_more() {
    let receiver = Receiver::start().await;
    let server = TestServer::guarded(Names::new(), &["127.0.0.1/32", "fd00::/8"]).await;
    create(&server, "v6", "http://[fd00::1]/").await.expect("a webhook");
    let mapped = receiver.url().replace("127.0.0.1", "[::ffff:127.0.0.1]");
    create(&server, "mapped", &mapped).await.expect("a webhook");
    create(&server, "v4", &receiver.url()).await.expect("a webhook");
    for closed in ["http://127.0.0.2/", "http://[::1]/", "http://10.0.0.1/", "http://[fc00::1]/"] {
        assert_forbidden(&server, closed).await;
    }
    server.publish(event("a", "{}")).await;
    receiver.wait_for(2).await;
}

#[tokio::test]
async fn development_opens_local_and_private_addresses_and_no_more() {
    let server = TestServer::start().await;
    for (name, url) in [
        ("loopback", "http://127.0.0.1:9/"),
        ("private", "http://192.168.0.1/"),
        ("unique-local", "http://[fd12::1]/"),
        ("localhost", "http://localhost:9/"),
    ] {
        create(&server, name, url).await.expect("a webhook");
    }
    for url in ["http://169.254.169.254/", "http://0.0.0.0/", "http://[fd00:ec2::254]/"] {
        assert_forbidden(&server, url).await;
    }
}
