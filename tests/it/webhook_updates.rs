//! What an update writes: masks, removals and additions, headers that stay secret.

use tidings::grpc::proto::{HttpHeader, RetryPolicy, UpdateWebhookRequest, Webhook};
use tonic::Code;

use super::support::{
    api::{event, header, http, seconds, update, webhook},
    receiver::Receiver,
    refusal::refused,
    server::TestServer,
};

/// Nothing is ever sent there.
const URL: &str = "http://127.0.0.1:9/hook";

fn full(url: &str) -> Webhook {
    let mut full = webhook("w", url, &["pointsIssued", "pointsRedeemed"]);
    full.max_allowed_connections = Some(3);
    full.sla = Some(seconds(60));
    full.labels.insert("team".into(), "loyalty".into());
    full.labels.insert("stage".into(), "test".into());
    let (schedule, max_age) = (vec![seconds(1), seconds(2)], Some(seconds(600)));
    full.retry_policy = Some(RetryPolicy { schedule, max_age, ..Default::default() });
    http(&mut full).headers = vec![
        header("Authorization", "Basic c2VjcmV0"),
        HttpHeader { sensitive: true, ..header("X-Key", "k1") },
        header("X-Open", "1"),
    ];
    http(&mut full).timeout = Some(seconds(5));
    full
}

/// With nothing set but the id.
fn blank(of: &Webhook) -> Webhook {
    Webhook { webhook_id: of.webhook_id.clone(), ..Default::default() }
}

#[tokio::test]
async fn without_a_mask_what_is_set_is_written_and_the_rest_stays() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    let change = Webhook { max_allowed_connections: Some(7), ..blank(&made) };
    let changed = server.update(update(change, &[])).await;
    let expected = Webhook {
        max_allowed_connections: Some(7),
        attribution: changed.attribution.clone(),
        etag: changed.etag.clone(),
        ..made
    };
    assert_eq!(changed, expected);
}

#[tokio::test]
async fn a_star_replaces_everything() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    let bare = Webhook {
        webhook_id: made.webhook_id.clone(),
        ..webhook("v", "http://127.0.0.1:9/other", &["*"])
    };
    let changed = server.update(update(bare, &["*"])).await;
    assert_eq!((changed.name.as_str(), changed.event_names.as_slice()), ("v", &["*".into()][..]));
    assert_eq!((changed.max_allowed_connections, changed.sla), (Some(10), Some(seconds(3600))));
    assert!(changed.labels.is_empty() && changed.retry_policy.is_none());
    let mut changed = changed;
    assert_eq!((http(&mut changed).headers.len(), http(&mut changed).timeout), (0, None));
    assert_eq!((changed.number, changed.consumer_group_id), (made.number, made.consumer_group_id));
}

#[tokio::test]
async fn a_path_writes_what_it_names_and_no_more() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    let mut other = webhook("ignored", "http://127.0.0.1:9/new", &["*"]);
    other.webhook_id = made.webhook_id.clone();
    other.labels.insert("stage".into(), "live".into());
    let max_age = Some(seconds(900));
    other.retry_policy = Some(RetryPolicy { max_age, ..Default::default() });
    let paths = ["destination.http.url", "labels.stage", "labels.team", "retry_policy.max_age"];
    let mut changed = server.update(update(other, &paths)).await;

    let mut expected = made.clone();
    http(&mut expected).url = "http://127.0.0.1:9/new".into();
    expected.labels = [("stage".into(), "live".into())].into();
    expected.retry_policy.as_mut().unwrap().max_age = max_age;
    expected.attribution = changed.attribution.clone();
    expected.etag = changed.etag.clone();
    assert_eq!(changed, expected);

    // Named and absent means the default.
    changed = server.update(update(blank(&made), &["sla", "retry_policy", "labels"])).await;
    assert_eq!((changed.sla, changed.retry_policy), (Some(seconds(3600)), None));
    assert!(changed.labels.is_empty());
    assert_eq!(changed.event_names, made.event_names);
}

#[tokio::test]
async fn paths_that_are_unknown_or_read_only_are_refused() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    for path in ["nonsense", "webhook_id", "state", "number", "suspension.cause", "maxRetries", ""]
    {
        let bad = refused(server.try_update(update(made.clone(), &["name", path])).await);
        assert_eq!(bad.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{path}");
        assert_eq!(bad.fields(), ["update_mask"], "{path}");
    }
    let bad = refused(server.try_update(update(made.clone(), &["nonsense", "state", "x.y"])).await);
    assert_eq!(bad.faults.len(), 3);
    let missing = refused(server.try_update(update(blank(&made), &["name", "destination"])).await);
    assert_eq!(missing.fields(), ["webhook.destination", "webhook.name"]);
    assert_eq!(server.webhook(&made.webhook_id).await, made);

    let nameless = refused(server.try_update(update(Webhook::default(), &["name"])).await);
    assert_eq!(nameless.reasons(), [("webhook.webhook_id", "FIELD_REQUIRED")]);
    let empty = refused(server.try_update(UpdateWebhookRequest::default()).await);
    assert_eq!(empty.reasons(), [("webhook", "FIELD_REQUIRED")]);
}

#[tokio::test]
async fn removals_come_first_and_additions_win() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    let mut changed = server
        .update(UpdateWebhookRequest {
            webhook: Some(blank(&made)),
            remove_event_names: vec!["pointsIssued".into(), "pointsRedeemed".into()],
            add_event_names: vec!["pointsRedeemed".into(), "tierRenewed".into()],
            remove_headers: vec!["x-open".into(), "AUTHORIZATION".into()],
            add_headers: vec![header("x-open", "2"), header("X-New", "3")],
            ..Default::default()
        })
        .await;
    assert_eq!(changed.event_names, ["pointsRedeemed", "tierRenewed"]);
    let headers: Vec<_> = http(&mut changed)
        .headers
        .iter()
        .map(|h| (h.name.as_str(), h.values[0].as_str()))
        .collect();
    assert_eq!(headers, [("X-Key", "***"), ("x-open", "2"), ("X-New", "3")]);

    let none = UpdateWebhookRequest {
        webhook: Some(blank(&made)),
        remove_event_names: changed.event_names,
        ..Default::default()
    };
    let bad = refused(server.try_update(none).await);
    assert_eq!(bad.what(), (Code::InvalidArgument, "EVENT_NAMES_REQUIRED"));
}

#[tokio::test]
async fn added_event_names_are_matched_by_the_next_publish() {
    let server = TestServer::start().await;
    let made = server.create(full(URL)).await;
    assert_eq!(server.publish(event("tierRenewed", "{}")).await.matched_webhook_count, 0);
    let add = UpdateWebhookRequest {
        webhook: Some(blank(&made)),
        add_event_names: vec!["tierRenewed".into()],
        ..Default::default()
    };
    server.update(add).await;
    assert_eq!(server.publish(event("tierRenewed", "{}")).await.matched_webhook_count, 1);
}

#[tokio::test]
async fn sensitive_headers_are_masked_and_survive_their_mask() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let mut made = server.create(full(&receiver.url())).await;
    let shown = |hook: &mut Webhook| -> Vec<(String, String, bool)> {
        let headers = http(hook).headers.iter();
        headers.map(|h| (h.name.clone(), h.values.join(","), h.sensitive)).collect()
    };
    let masked = [
        ("Authorization".to_owned(), "***".to_owned(), true),
        ("X-Key".to_owned(), "***".to_owned(), true),
        ("X-Open".to_owned(), "1".to_owned(), false),
    ];
    assert_eq!(shown(&mut made), masked);

    // Written back as it was read, with one header more.
    http(&mut made).headers.push(header("X-New", "2"));
    let mut changed = server.update(update(made, &["destination.http.headers"])).await;
    assert_eq!(shown(&mut changed)[..3], masked);
    server.publish(event("pointsIssued", "{}")).await;
    let received = receiver.wait_for(1).await;
    for (name, value) in
        [("authorization", "Basic c2VjcmV0"), ("x-key", "k1"), ("x-open", "1"), ("x-new", "2")]
    {
        assert_eq!(received[0].header(name), Some(value));
    }

    // A mask with nothing behind it is no value.
    let mut unknown = changed.clone();
    http(&mut unknown).headers = vec![HttpHeader { sensitive: true, ..header("X-Else", "***") }];
    let bad = refused(server.try_update(update(unknown, &["destination.http.headers"])).await);
    assert_eq!(bad.fields(), ["webhook.destination.http.headers[0].values"]);
}
