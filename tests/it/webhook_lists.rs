//! Finding webhooks: each filter, and pages.

use tidings::grpc::proto::{ListWebhooksRequest, SuspendWebhookRequest, Webhook, WebhookState};
use tonic::Code;

use super::support::{api::webhook, refusal::refused, server::TestServer};

/// Nothing is ever sent there.
const URL: &str = "http://127.0.0.1:9/hook";

fn names(webhooks: &[Webhook]) -> Vec<&str> {
    webhooks.iter().map(|webhook| webhook.name.as_str()).collect()
}

#[tokio::test]
async fn each_filter_takes_what_it_names() {
    let server = TestServer::start().await;
    let active = server.create(webhook("active", URL, &["pointsIssued", "a.b"])).await;
    let mut stopped = webhook("stopped", URL, &["pointsRedeemed"]);
    stopped.enabled = Some(false);
    stopped.labels = [("team".into(), "x".into()), ("stage".into(), "live".into())].into();
    server.create(stopped).await;
    let suspended = server.create(webhook("suspended", URL, &["a.*"])).await;
    let webhook_id = suspended.webhook_id.clone();
    let suspend = SuspendWebhookRequest { webhook_id, ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let mut all = webhook("all", URL, &["*"]);
    all.labels.insert("team".into(), "x".into());
    server.create(all).await;

    let d = ListWebhooksRequest::default;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let states = |states: &[WebhookState]| states.iter().map(|&state| state.into()).collect();
    let group = active.consumer_group_id;
    let cases: Vec<(ListWebhooksRequest, &[&str])> = vec![
        (d(), &["active", "stopped", "suspended", "all"]),
        (ListWebhooksRequest { name: "all".into(), ..d() }, &["all"]),
        (ListWebhooksRequest { name: "ALL".into(), ..d() }, &[]),
        (ListWebhooksRequest { enabled: Some(false), ..d() }, &["stopped"]),
        (ListWebhooksRequest { enabled: Some(true), ..d() }, &["active", "suspended", "all"]),
        (ListWebhooksRequest { suspended: Some(true), ..d() }, &["suspended"]),
        (ListWebhooksRequest { suspended: Some(false), ..d() }, &["active", "stopped", "all"]),
        (ListWebhooksRequest { active: Some(true), ..d() }, &["active", "all"]),
        (ListWebhooksRequest { active: Some(false), ..d() }, &["stopped", "suspended"]),
        (
            ListWebhooksRequest { event_names: vec!["a.b".into()], ..d() },
            &["active", "suspended", "all"],
        ),
        (ListWebhooksRequest { event_names: vec!["a.*".into()], ..d() }, &["suspended", "all"]),
        (
            ListWebhooksRequest {
                event_names: vec!["pointsRedeemed".into(), "pointsIssued".into()],
                ..d()
            },
            &["active", "stopped", "all"],
        ),
        (
            ListWebhooksRequest {
                states: states(&[WebhookState::Suspended, WebhookState::Stopped]),
                ..d()
            },
            &["stopped", "suspended"],
        ),
        (ListWebhooksRequest { labels: [label("team", "x")].into(), ..d() }, &["stopped", "all"]),
        (
            ListWebhooksRequest {
                labels: [label("team", "x"), label("stage", "live")].into(),
                ..d()
            },
            &["stopped"],
        ),
        (ListWebhooksRequest { labels: [label("team", "y")].into(), ..d() }, &[]),
        (ListWebhooksRequest { consumer_group_id: group, ..d() }, &["active"]),
        (
            ListWebhooksRequest { labels: [label("team", "x")].into(), enabled: Some(true), ..d() },
            &["all"],
        ),
    ];
    for (request, expected) in cases {
        let page = server.list(request.clone()).await;
        assert_eq!(names(&page.webhooks), expected, "{request:?}");
        assert_eq!((page.total_size, page.next_page_token.as_str()), (expected.len() as i64, ""));
    }
}

#[tokio::test]
async fn pages_have_everything_once_and_their_tokens_are_bound_to_the_query() {
    let server = TestServer::start().await;
    let expected: Vec<String> = (0..23).map(|i| format!("w{i:02}")).collect();
    for name in &expected {
        server.create(webhook(name, URL, &["*"])).await;
    }
    let request = ListWebhooksRequest { page_size: 5, skip: 2, ..Default::default() };
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = server.list(ListWebhooksRequest { page_token: token, ..request.clone() }).await;
        assert_eq!(page.total_size, 23);
        assert!(page.webhooks.len() <= 5);
        seen.extend(page.webhooks.into_iter().map(|webhook| webhook.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, expected[2..]);

    let token = server.list(request.clone()).await.next_page_token;
    let larger =
        ListWebhooksRequest { page_size: 50, page_token: token.clone(), ..request.clone() };
    assert_eq!(server.list(larger).await.webhooks.len(), 16, "the size may change");
    for other in [
        ListWebhooksRequest { page_token: token.clone(), skip: 0, ..request.clone() },
        ListWebhooksRequest { page_token: token.clone(), enabled: Some(true), ..request.clone() },
        ListWebhooksRequest {
            page_token: token.clone(),
            tenant_id: "acme".into(),
            ..request.clone()
        },
        ListWebhooksRequest { page_token: format!("{token}x"), ..request.clone() },
        ListWebhooksRequest { page_token: "nonsense".into(), ..request.clone() },
    ] {
        let bad = refused(server.webhooks().list_webhooks(other).await);
        assert_eq!(bad.what(), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
        assert_eq!(bad.fields(), ["page_token"]);
    }

    let none = ListWebhooksRequest { skip: 99, ..Default::default() };
    assert_eq!(server.list(none).await.webhooks.len(), 0);
    let all = ListWebhooksRequest { page_size: i32::MAX, ..Default::default() };
    assert_eq!(server.list(all).await.webhooks.len(), 23);
}

#[tokio::test]
async fn all_faults_of_a_query_are_named() {
    let server = TestServer::start().await;
    let request = ListWebhooksRequest {
        page_size: -1,
        skip: -1,
        name: "a\0".into(),
        event_names: vec!["b\0".into()],
        states: vec![0, 1, 9],
        labels: [("k\0".into(), "v".into())].into(),
        consumer_group_id: "no uuid".into(),
        ..Default::default()
    };
    let bad = refused(server.webhooks().list_webhooks(request).await);
    assert_eq!(bad.what(), (Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(
        bad.fields(),
        [
            "states[0]",
            "states[2]",
            "consumer_group_id",
            "page_size",
            "skip",
            "name",
            "event_names[0]",
            "labels[k\\u{0}]",
        ]
    );
}
