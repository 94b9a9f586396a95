//! What each kind of mask does to a stored webhook.

use std::time::Duration;

use prost_types::FieldMask;

use super::*;
use crate::{
    domain::{
        error::Reason,
        limits,
        retry::{RetryPolicy, Waits},
        webhook::{Header, HttpDestination, Method},
    },
    grpc::proto::{Destination, FailureHandling, HttpDestination as Http, QueueDestination},
};

fn header(name: &str, value: &str, sensitive: bool) -> Header {
    Header { name: name.into(), values: vec![value.into()], sensitive }
}

fn sent(name: &str, value: &str) -> HttpHeader {
    HttpHeader { name: name.into(), values: vec![value.into()], sensitive: false }
}

fn stored() -> WebhookSpec {
    WebhookSpec {
        name: "old".into(),
        display_name: None,
        enabled: false,
        event_filters: Vec::new(),
        event_names: vec!["a".into(), "b".into()],
        destination: HttpDestination {
            url: "http://old/".into(),
            method: Method::Put,
            headers: vec![header("X-Key", "s3cret", true), header("X-Open", "1", false)],
            timeout: Some(Duration::from_secs(3)),
        },
        max_allowed_connections: 3,
        sla: Duration::from_secs(9),
        retry_policy: Some(RetryPolicy {
            waits: Waits::Schedule(vec![Duration::from_secs(1)]),
            ..RetryPolicy::default()
        }),
        delivery_order: Default::default(),
        max_deliveries_per_second: 0.0,
        failure_handling: None,
        signing: None,
        labels: [("k".to_owned(), "v".to_owned()), ("l".to_owned(), "w".to_owned())].into(),
        payload_format: Default::default(),
        static_properties: None,
        enrichment: Default::default(),
    }
}

fn http(http: Http) -> Option<Destination> {
    Some(Destination { kind: Some(Kind::Http(http)) })
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn apply(request: UpdateWebhookRequest) -> (WebhookSpec, Vec<(String, Reason)>) {
    let mut faults = Faults::default();
    let spec = WebhookPatch::new(request, Faults::default()).apply(&stored(), &mut faults);
    let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
    (spec, violations.into_iter().map(|v| (v.field, v.reason)).collect())
}

fn update(webhook: Webhook, paths: &[&str]) -> (WebhookSpec, Vec<(String, Reason)>) {
    let update_mask = mask(paths);
    apply(UpdateWebhookRequest { webhook: Some(webhook), update_mask, ..Default::default() })
}

fn good(webhook: Webhook, paths: &[&str]) -> WebhookSpec {
    let (spec, faults) = update(webhook, paths);
    assert_eq!(faults, [], "{paths:?}");
    spec
}

#[test]
fn without_a_mask_only_what_is_set_is_written() {
    assert_eq!(good(Webhook::default(), &[]), stored());
    let webhook = Webhook {
        enabled: Some(true),
        destination: http(Http { url: "http://new/".into(), ..Default::default() }),
        ..Default::default()
    };
    let mut expected = WebhookSpec { enabled: true, ..stored() };
    expected.destination.url = "http://new/".into();
    assert_eq!(good(webhook, &[]), expected);
}

#[test]
fn a_star_replaces_all_and_unmasks_nothing() {
    let webhook = Webhook {
        name: "new".into(),
        event_names: vec!["c".into()],
        destination: http(Http {
            url: "http://new/".into(),
            headers: vec![sent("x-key", "***")],
            ..Default::default()
        }),
        ..Default::default()
    };
    let spec = good(webhook, &["*"]);
    let expected = WebhookSpec {
        name: "new".into(),
        event_names: vec!["c".into()],
        destination: HttpDestination {
            url: "http://new/".into(),
            headers: vec![header("x-key", "s3cret", true)],
            ..Default::default()
        },
        ..WebhookSpec::default()
    };
    assert_eq!(spec, expected);
}

#[test]
fn a_masked_field_that_is_absent_gets_its_default() {
    let reset = |path: &str| good(Webhook::default(), &[path]);
    assert!(reset("enabled").enabled);
    assert_eq!(reset("name").name, "");
    assert_eq!(
        reset("max_allowed_connections").max_allowed_connections,
        limits::DEFAULT_MAX_CONNECTIONS
    );
    assert_eq!(reset("sla").sla, limits::DEFAULT_SLA);
    assert_eq!(reset("retry_policy").retry_policy, None);
    assert_eq!(reset("retry_policy.schedule").retry_policy, Some(RetryPolicy::default()));
    assert!(reset("labels").labels.is_empty());
    assert_eq!(reset("destination.http.url").destination.url, "");
    assert!(reset("destination.http.headers").destination.headers.is_empty());
    assert_eq!(reset("destination.http.timeout").destination.timeout, None);
    assert_eq!(reset("destination.http.method").destination.method, Method::Post);
    for gone in ["destination", "destination.http"] {
        let missing = ("webhook.destination".to_owned(), Reason::FieldRequired);
        assert_eq!(update(Webhook::default(), &[gone]).1, [missing]);
    }
}

#[test]
fn a_path_writes_no_more_than_it_names() {
    let webhook = Webhook {
        name: "new".into(),
        destination: http(Http { url: "http://new/".into(), method: 4, ..Default::default() }),
        labels: [("k".to_owned(), "new".to_owned())].into(),
        ..Default::default()
    };
    let mut expected = stored();
    expected.destination.url = "http://new/".into();
    assert_eq!(good(webhook.clone(), &["destination.http.url"]), expected);

    expected.destination =
        HttpDestination { url: "http://new/".into(), method: Method::Delete, ..Default::default() };
    assert_eq!(good(webhook.clone(), &["destination"]), expected);
    assert_eq!(good(webhook.clone(), &["destination.http"]), expected);

    let labels = good(webhook, &["labels.k", "labels.l", "etag"]).labels;
    assert_eq!(labels, [("k".to_owned(), "new".to_owned())].into());
}

#[test]
fn removals_come_first_and_additions_last() {
    let (spec, faults) = apply(UpdateWebhookRequest {
        webhook: Some(Webhook::default()),
        remove_event_names: vec!["a".into(), "absent".into()],
        add_event_names: vec!["b".into(), "a".into(), "c".into(), "c".into()],
        remove_headers: vec!["x-open".into()],
        add_headers: vec![sent("X-KEY", "***"), sent("X-New", "2")],
        ..Default::default()
    });
    assert_eq!(faults, []);
    assert_eq!(spec.event_names, ["b", "a", "c"]);
    let headers = [header("X-KEY", "s3cret", true), header("X-New", "2", false)];
    assert_eq!(spec.destination.headers, headers);

    let (spec, _) = apply(UpdateWebhookRequest {
        webhook: Some(Webhook { event_names: vec!["a".into()], ..Default::default() }),
        remove_event_names: vec!["a".into()],
        ..Default::default()
    });
    assert_eq!(spec.event_names, ["a"], "the mask writes after the removal");
}

#[test]
fn paths_that_cannot_be_written_are_named() {
    let paths = [
        "webhook_id",
        "tenant_id",
        "state",
        "suspension.cause",
        "number",
        "nonsense",
        "maxRetries",
        "",
        "*",
        "sla.seconds",
    ];
    let (_, faults) = update(Webhook::default(), &paths);
    assert_eq!(faults.len(), paths.len());
    assert!(faults.iter().all(|fault| *fault == ("update_mask".to_owned(), Reason::FieldInvalid)));
}

#[test]
fn what_is_not_available_is_refused_where_it_is_asked_for_only() {
    for harmless in [
        "failure_handling",
        "failure_handling.notify_emails",
        "signing.secrets",
        "enrichment",
        "destination.queue",
        "destination.queue.uri",
        "delivery_order",
        "payload_format",
        "static_properties",
    ] {
        assert_eq!(good(Webhook::default(), &[harmless]), stored(), "{harmless}");
    }
    let kind = Some(Kind::Queue(QueueDestination { uri: "nats:".into(), ..Default::default() }));
    let queue = Webhook { destination: Some(Destination { kind }), ..Default::default() };
    let refused = [("webhook.destination.queue".to_owned(), Reason::FeatureNotAvailable)];
    for paths in [&["destination"][..], &["destination.queue"], &["destination.queue.uri"], &[]] {
        assert_eq!(update(queue.clone(), paths).1, refused, "{paths:?}");
    }
}

#[test]
fn who_is_told_is_changed_and_cleared_by_masks() {
    let told = FailureHandling {
        notify_emails: vec!["a@example.com".into()],
        alert_url: "http://a/".into(),
        suspend_after_failures: 3,
        ..Default::default()
    };
    let given = |handling| Webhook { failure_handling: Some(handling), ..Default::default() };
    let spec = good(given(told.clone()), &["failure_handling.alert_url"]);
    let handling = spec.failure_handling.expect("failure handling");
    assert_eq!((handling.alert_url.as_str(), handling.suspend_after_failures), ("http://a/", 0));
    let spec = good(given(told), &["failure_handling"]);
    let handling = spec.failure_handling.expect("failure handling");
    assert_eq!(handling.notify_emails, ["a@example.com"]);
}

#[test]
fn failure_handling_is_taken_out_before_what_is_given_is_put_in() {
    let handling =
        |failures| FailureHandling { suspend_after_failures: failures, ..Default::default() };
    let given = |handling| Webhook { failure_handling: handling, ..Default::default() };
    let with = good(given(Some(handling(3))), &["failure_handling"]);
    let stored = with.failure_handling.clone().expect("failure handling");
    assert_eq!(stored.suspend_after_failures, 3);
    let without = UpdateWebhookRequest { remove_failure_handling: true, ..Default::default() };
    let (spec, faults) = apply(without);
    assert!(faults.is_empty() && spec.failure_handling.is_none());
}
