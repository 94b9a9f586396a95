//! Definitions of webhooks that nobody can use: each fault is told, once, at its field.

use prost_types::Duration;
use tidings::grpc::proto::{
    CreateWebhookRequest, Destination, HttpHeader, ListWebhooksRequest, RetryPolicy, Webhook,
};
use tonic::Code;

use super::support::{
    api::{header, http, seconds, webhook},
    refusal::refused,
    server::TestServer,
};

type Spoil = fn(&mut Webhook);

fn policy(webhook: &mut Webhook) -> &mut RetryPolicy {
    webhook.retry_policy.get_or_insert_default()
}

fn headers(webhook: &mut Webhook, headers: impl IntoIterator<Item = HttpHeader>) {
    http(webhook).headers = headers.into_iter().collect();
}

/// Negative, not normal, or beyond 365 days.
const SPANS: [Duration; 5] = [
    Duration { seconds: -1, nanos: 0 },
    Duration { seconds: 0, nanos: -1 },
    Duration { seconds: 0, nanos: 1_000_000_000 },
    Duration { seconds: i64::MAX, nanos: 0 },
    Duration { seconds: 366 * 24 * 3600, nanos: 0 },
];

async fn check(server: &TestServer, cases: &[(&str, &str, &[Spoil])]) {
    for (field, reason, spoils) in cases {
        for (i, spoil) in spoils.iter().enumerate() {
            let mut bad = webhook("w", "http://127.0.0.1:9/", &["*"]);
            spoil(&mut bad);
            let request = CreateWebhookRequest { webhook: Some(bad), ..Default::default() };
            let refusal = refused(server.webhooks().create_webhook(request).await);
            assert_eq!(refusal.what(), (Code::InvalidArgument, *reason), "{field} {i}");
            assert_eq!(refusal.reasons(), [(*field, *reason)], "{field} {i}");
        }
    }
    assert_eq!(server.list(ListWebhooksRequest::default()).await.total_size, 0);
}

#[tokio::test]
async fn names_events_and_numbers_have_their_bounds() {
    let server = TestServer::start().await;
    check(
        &server,
        &[
            ("webhook.name", "FIELD_REQUIRED", &[|w| w.name.clear()]),
            (
                "webhook.name",
                "FIELD_INVALID",
                &[
                    |w| w.name = "ü".repeat(256),
                    |w| w.name = "a\0b".into(),
                    |w| w.name = "x".repeat(1 << 20),
                ],
            ),
            ("webhook.event_names", "EVENT_NAMES_REQUIRED", &[|w| w.event_names.clear()]),
            (
                "webhook.event_names",
                "FIELD_INVALID",
                &[|w| w.event_names = (0..1001).map(|i| format!("e{i}")).collect()],
            ),
            (
                "webhook.event_names[0]",
                "FIELD_INVALID",
                &[
                    |w| w.event_names = vec!["a\0".into()],
                    |w| w.event_names = vec!["a b".into()],
                    |w| w.event_names = vec!["a*".into()],
                    |w| w.event_names = vec!["*.a".into()],
                    |w| w.event_names = vec!["a/b".into()],
                    |w| w.event_names = vec!["x".repeat(256)],
                ],
            ),
            (
                "webhook.event_names[0]",
                "FIELD_REQUIRED",
                &[|w| w.event_names = vec![String::new()], |w| w.event_names = vec![".*".into()]],
            ),
            (
                "webhook.event_names[1]",
                "FIELD_INVALID",
                &[|w| w.event_names = vec!["a".into(), "a".into()]],
            ),
            (
                "webhook.max_allowed_connections",
                "MAX_ALLOWED_CONNECTIONS_NOT_POSITIVE",
                &[
                    |w| w.max_allowed_connections = Some(0),
                    |w| w.max_allowed_connections = Some(-1),
                    |w| w.max_allowed_connections = Some(i32::MIN),
                ],
            ),
            (
                "webhook.max_allowed_connections",
                "FIELD_INVALID",
                &[
                    |w| w.max_allowed_connections = Some(1001),
                    |w| w.max_allowed_connections = Some(i32::MAX),
                ],
            ),
            (
                "webhook.sla",
                "FIELD_INVALID",
                &[
                    |w| w.sla = Some(SPANS[0]),
                    |w| w.sla = Some(SPANS[1]),
                    |w| w.sla = Some(SPANS[2]),
                    |w| w.sla = Some(SPANS[3]),
                    |w| w.sla = Some(SPANS[4]),
                ],
            ),
            ("webhook.delivery_order", "FIELD_INVALID", &[|w| w.delivery_order = 99]),
            ("webhook.payload_format", "FIELD_INVALID", &[|w| w.payload_format = -1]),
            ("webhook.tenant_id", "FIELD_INVALID", &[|w| w.tenant_id = "acme".into()]),
            (
                "webhook.labels",
                "FIELD_INVALID",
                &[|w| w.labels = (0..65).map(|i| (format!("k{i}"), "v".into())).collect()],
            ),
            (
                "webhook.labels[k\\u{0}]",
                "FIELD_INVALID",
                &[|w| drop(w.labels.insert("k\0".into(), "v".into()))],
            ),
            (
                "webhook.labels[k]",
                "FIELD_INVALID",
                &[
                    |w| drop(w.labels.insert("k".into(), "v\0".into())),
                    |w| drop(w.labels.insert("k".into(), "v".repeat(256))),
                ],
            ),
            (
                "webhook.labels[]",
                "FIELD_REQUIRED",
                &[|w| drop(w.labels.insert(String::new(), "v".into()))],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn destinations_have_their_bounds() {
    let server = TestServer::start().await;
    check(
        &server,
        &[
            (
                "webhook.destination",
                "FIELD_REQUIRED",
                &[|w| w.destination = None, |w| w.destination = Some(Destination { kind: None })],
            ),
            ("webhook.destination.http.url", "FIELD_REQUIRED", &[|w| http(w).url.clear()]),
            (
                "webhook.destination.http.url",
                "FIELD_INVALID",
                &[
                    |w| http(w).url = "no url".into(),
                    |w| http(w).url = "http://user:secret@127.0.0.1/".into(),
                    |w| http(w).url = "http://127.0.0.1/a\0b".into(),
                    |w| http(w).url = format!("http://127.0.0.1/{}", "x".repeat(2048)),
                    |w| http(w).url = "x".repeat(1 << 20),
                    |w| http(w).url = "http:///".into(),
                    |w| http(w).url = "http://[::1/".into(),
                ],
            ),
            (
                "webhook.destination.http.url",
                "DESTINATION_FORBIDDEN",
                &[|w| http(w).url = "ftp://127.0.0.1/".into()],
            ),
            ("webhook.destination.http.method", "FIELD_INVALID", &[|w| http(w).method = 77]),
            (
                "webhook.destination.http.timeout",
                "FIELD_INVALID",
                &[
                    |w| http(w).timeout = Some(seconds(0)),
                    |w| http(w).timeout = Some(seconds(121)),
                    |w| http(w).timeout = Some(seconds(-1)),
                ],
            ),
            (
                "webhook.destination.http.headers",
                "FIELD_INVALID",
                &[|w| headers(w, (0..65).map(|i| header(&format!("x{i}"), "v")))],
            ),
            (
                "webhook.destination.http.headers[0].name",
                "FIELD_INVALID",
                &[
                    |w| headers(w, [header("", "v")]),
                    |w| headers(w, [header("a b", "v")]),
                    |w| headers(w, [header("a\0", "v")]),
                    |w| headers(w, [header("ü", "v")]),
                    |w| headers(w, [header("Host", "v")]),
                    |w| headers(w, [header("Tidings-Attempt", "v")]),
                    |w| headers(w, [header(&"x".repeat(4097), "v")]),
                ],
            ),
            (
                "webhook.destination.http.headers[1].name",
                "FIELD_INVALID",
                &[|w| headers(w, [header("a", "v"), header("A", "v")])],
            ),
            (
                "webhook.destination.http.headers[0].values",
                "FIELD_INVALID",
                &[
                    |w| headers(w, [header("a", "v\0")]),
                    |w| headers(w, [header("a", "v\r\nX-Other: w")]),
                    |w| headers(w, [header("a", "ü")]),
                    |w| headers(w, [header("a", &"v".repeat(4097))]),
                    |w| headers(w, [header("Authorization", "***")]),
                    |w| headers(w, [HttpHeader { name: "a".into(), ..Default::default() }]),
                    |w| {
                        headers(w, [HttpHeader { values: vec!["v".into(); 17], ..header("a", "") }])
                    },
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn retry_policies_have_their_bounds() {
    let server = TestServer::start().await;
    check(
        &server,
        &[
            (
                "webhook.retry_policy.max_retries",
                "FIELD_INVALID",
                &[
                    |w| policy(w).max_retries = Some(-1),
                    |w| policy(w).max_retries = Some(1001),
                    |w| policy(w).max_retries = Some(i32::MIN),
                ],
            ),
            (
                "webhook.retry_policy.schedule",
                "FIELD_INVALID",
                &[
                    |w| policy(w).schedule = vec![seconds(1); 51],
                    |w| {
                        policy(w).schedule = vec![seconds(1)];
                        policy(w).initial_backoff = Some(seconds(1));
                    },
                ],
            ),
            (
                "webhook.retry_policy.schedule[1]",
                "FIELD_INVALID",
                &[
                    |w| policy(w).schedule = vec![seconds(1), SPANS[0]],
                    |w| policy(w).schedule = vec![seconds(1), SPANS[2]],
                    |w| policy(w).schedule = vec![seconds(1), SPANS[4]],
                ],
            ),
            (
                "webhook.retry_policy.initial_backoff",
                "FIELD_INVALID",
                &[
                    |w| policy(w).initial_backoff = Some(seconds(0)),
                    |w| policy(w).initial_backoff = Some(SPANS[0]),
                    |w| policy(w).initial_backoff = Some(SPANS[4]),
                ],
            ),
            (
                "webhook.retry_policy.initial_backoff",
                "FIELD_REQUIRED",
                &[
                    |w| policy(w).max_backoff = Some(seconds(1)),
                    |w| policy(w).multiplier = Some(2.0),
                ],
            ),
            (
                "webhook.retry_policy.max_backoff",
                "FIELD_INVALID",
                &[|w| {
                    policy(w).initial_backoff = Some(seconds(2));
                    policy(w).max_backoff = Some(seconds(1));
                }],
            ),
            (
                "webhook.retry_policy.multiplier",
                "FIELD_INVALID",
                &[
                    |w| multiply(w, f64::NAN),
                    |w| multiply(w, f64::INFINITY),
                    |w| multiply(w, 0.99),
                    |w| multiply(w, -2.0),
                ],
            ),
            (
                "webhook.retry_policy.jitter",
                "FIELD_INVALID",
                &[
                    |w| policy(w).jitter = Some(f64::NAN),
                    |w| policy(w).jitter = Some(f64::NEG_INFINITY),
                    |w| policy(w).jitter = Some(-0.1),
                    |w| policy(w).jitter = Some(1.1),
                ],
            ),
            (
                "webhook.retry_policy.max_age",
                "FIELD_INVALID",
                &[
                    |w| policy(w).max_age = Some(seconds(0)),
                    |w| policy(w).max_age = Some(SPANS[0]),
                    |w| policy(w).max_age = Some(SPANS[4]),
                ],
            ),
        ],
    )
    .await;
}

fn multiply(webhook: &mut Webhook, by: f64) {
    policy(webhook).initial_backoff = Some(seconds(1));
    policy(webhook).multiplier = Some(by);
}

#[tokio::test]
async fn all_faults_of_a_request_are_named() {
    let server = TestServer::start().await;
    let mut bad = webhook("a\0", "nonsense", &["a b"]);
    bad.max_allowed_connections = Some(0);
    let request = CreateWebhookRequest {
        webhook: Some(bad),
        idempotency_key: "no uuid\0".into(),
        ..Default::default()
    };
    let refusal = refused(server.webhooks().create_webhook(request).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    let mut fields = refusal.fields();
    fields.sort_unstable();
    let expected = [
        "idempotency_key",
        "webhook.destination.http.url",
        "webhook.event_names[0]",
        "webhook.max_allowed_connections",
        "webhook.name",
    ];
    assert_eq!(fields, expected);
    assert!(expected.iter().all(|field| refusal.message.contains(field)), "{refusal:?}");
}
