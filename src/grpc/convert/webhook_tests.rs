//! That definitions survive the wire, and that nothing is accepted and ignored.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    enrichment::Enrichment,
    error::Reason,
    failure_handling::FailureHandling,
    retry::{FailureClass, RetryPolicy, Waits},
    signing::Signing,
};

fn read(webhook: &proto::Webhook) -> (WebhookSpec, Vec<(String, Reason)>) {
    let mut faults = Faults::default();
    let spec = read_webhook(webhook, None, &mut faults);
    let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
    (spec, violations.into_iter().map(|v| (v.field, v.reason)).collect())
}

fn http() -> proto::Webhook {
    definition(&WebhookSpec {
        name: "n".into(),
        destination: HttpDestination { url: "http://a/".into(), ..Default::default() },
        ..Default::default()
    })
}

#[test]
fn what_has_no_effect_yet_is_refused() {
    type Ask = fn(&mut proto::Webhook);
    let cases: [(&str, Ask); 1] = [("destination.queue", |w| {
        let kind = Some(Kind::Queue(proto::QueueDestination::default()));
        w.destination = Some(proto::Destination { kind });
    })];
    assert!(read(&http()).1.is_empty());
    for (field, ask) in cases {
        let mut webhook = http();
        ask(&mut webhook);
        let refused = (format!("webhook.{field}"), Reason::FeatureNotAvailable);
        assert_eq!(read(&webhook).1, [refused]);
    }
}

#[test]
fn what_asks_for_nothing_is_welcome() {
    let webhook = proto::Webhook {
        signing: Some(Default::default()),
        static_properties: Some(Default::default()),
        enrichment: Some(Default::default()),
        delivery_order: 0,
        payload_format: 0,
        state: 99,
        webhook_id: "ignored".into(),
        ..http()
    };
    assert!(read(&webhook).1.is_empty());
}

#[test]
fn numbers_without_meaning_are_faults() {
    let mut webhook = proto::Webhook { delivery_order: 9, payload_format: -1, ..http() };
    if let Some(Kind::Http(http)) = webhook.destination.as_mut().and_then(|d| d.kind.as_mut()) {
        http.method = 77;
    }
    let at =
        ["webhook.destination.http.method", "webhook.delivery_order", "webhook.payload_format"];
    assert_eq!(read(&webhook).1, at.map(|at| (at.to_owned(), Reason::FieldInvalid)));
}

#[test]
fn absent_fields_get_their_defaults_and_a_missing_destination_is_told_once() {
    let (spec, faults) = read(&proto::Webhook::default());
    assert_eq!(faults, [("webhook.destination".to_owned(), Reason::FieldRequired)]);
    let expected = WebhookSpec {
        destination: HttpDestination { url: UNREAD_URL.into(), ..Default::default() },
        ..Default::default()
    };
    assert_eq!(spec, expected);
    let negative = proto::Webhook { max_allowed_connections: Some(-5), ..http() };
    assert_eq!(read(&negative).0.max_allowed_connections, 0);
}

fn durations() -> impl Strategy<Value = Duration> {
    (0u64..=1_000_000_000_000).prop_map(Duration::from_micros)
}

fn waits() -> impl Strategy<Value = Waits> {
    prop_oneof![
        Just(Waits::Default),
        prop::collection::vec(durations(), 1..5).prop_map(Waits::Schedule),
        (durations(), prop::option::of(durations()), prop::option::of(1.0f64..9.0))
            .prop_map(|(initial, max, multiplier)| Waits::Backoff { initial, max, multiplier }),
    ]
}

fn policies() -> impl Strategy<Value = RetryPolicy> {
    (
        prop::option::of(0u32..=1_000),
        waits(),
        prop::option::of(0.0f64..=1.0),
        prop::option::of(durations()),
        prop::collection::vec(classes(), 0..4),
    )
        .prop_map(|(max_retries, waits, jitter, max_age, retry_on)| RetryPolicy {
            max_retries,
            waits,
            jitter,
            max_age,
            retry_on,
        })
}

fn classes() -> impl Strategy<Value = FailureClass> {
    prop_oneof![
        (100u16..600).prop_map(FailureClass::Status),
        (1u8..=5).prop_map(FailureClass::StatusClass),
        Just(FailureClass::Timeout),
        Just(FailureClass::Connection),
    ]
}

fn destinations() -> impl Strategy<Value = HttpDestination> {
    let methods = [Method::Post, Method::Put, Method::Get, Method::Delete, Method::Patch];
    let headers = ("[a-zA-Z-]{1,9}", prop::collection::vec("[ -~]{0,9}", 1..3), any::<bool>())
        .prop_map(|(name, values, sensitive)| Header {
            sensitive: sensitive || Header::always_sensitive(&name),
            name,
            values,
        });
    (
        "\\PC{0,20}",
        prop::sample::select(methods.to_vec()),
        prop::collection::vec(headers, 0..4),
        prop::option::of(durations()),
    )
        .prop_map(|(url, method, headers, timeout)| HttpDestination {
            url,
            method,
            headers,
            timeout,
        })
}

fn handlings() -> impl Strategy<Value = FailureHandling> {
    let told = (prop::collection::vec("\\PC{0,9}", 0..3), "\\PC{0,9}");
    let spans = (durations(), prop::option::of(durations()));
    (0u32..9, spans, any::<bool>(), any::<bool>(), told).prop_map(
        |(failures, (min_failing_time, resume_after), suspend, drop, (emails, alert_url))| {
            FailureHandling {
                suspend_after_failures: failures,
                min_failing_time,
                suspend_on_exhausted: suspend,
                resume_after,
                drop_exhausted: drop,
                notify_emails: emails,
                alert_url,
            }
        },
    )
}

fn formats() -> impl Strategy<Value = PayloadFormat> {
    prop::sample::select(vec![
        PayloadFormat::Event,
        PayloadFormat::CloudEvents,
        PayloadFormat::Raw,
        PayloadFormat::SuperOffice,
        PayloadFormat::Sonar,
        PayloadFormat::Socotra,
    ])
}

fn signings() -> impl Strategy<Value = Signing> {
    use crate::domain::{signing::SigningScheme as Scheme, time::Timestamp};
    let schemes = [
        Scheme::StandardWebhooks,
        Scheme::StandardWebhooksEd25519,
        Scheme::HmacSha256Hex,
        Scheme::HmacSha256Base64,
    ];
    let secret = ("[ -~]{1,9}", 0i64..9, prop::option::of(0i64..9));
    (prop::sample::select(schemes.to_vec()), "[a-z]{0,5}", prop::collection::vec(secret, 1..4))
        .prop_map(|(scheme, header_name, secrets)| {
            let secrets = secrets.into_iter().enumerate().map(|(i, (value, made, end))| {
                let create_time = Timestamp::from_micros(made);
                let expire_time = end.map(Timestamp::from_micros);
                SigningSecret { secret_id: i.to_string(), value, create_time, expire_time }
            });
            Signing { scheme, header_name, secrets: secrets.collect() }
        })
}

proptest! {
    #[test]
    fn a_definition_reads_back_as_it_was(
        name in "\\PC{0,20}", enabled: bool, event_names in prop::collection::vec("[a-z.*]{0,9}", 0..5),
        destination in destinations(), max_allowed_connections in 0u32..=1_000, sla in durations(),
        retry_policy in prop::option::of(policies()),
        max_deliveries_per_second in 0.0f64..9.0,
        failure_handling in prop::option::of(handlings()),
        signing in prop::option::of(signings()),
        labels in prop::collection::btree_map("[a-z]{0,5}", "\\PC{0,5}", 0..4),
        payload_format in formats(),
        delivery_order in prop::sample::select(vec![
            DeliveryOrder::Unordered, DeliveryOrder::ByKey, DeliveryOrder::Fifo]),
        static_properties in prop::option::of(Just(r#"{"a":[1,2.5,null],"b":{"c":"d"}}"#.into())),
        till_details: bool, customer_identifiers in prop::collection::vec("[a-z]{1,5}", 0..3),
    ) {
        let spec = WebhookSpec {
            name, display_name: None, enabled, event_names, destination, max_allowed_connections, sla, retry_policy,
            delivery_order, max_deliveries_per_second, failure_handling, signing, labels,
            payload_format, static_properties, event_filters: Vec::new(),
            enrichment: Enrichment { till_details, customer_identifiers, ..Enrichment::default() },
        };
        let mut faults = Faults::default();
        let back = read_webhook(&definition(&spec), Some(&spec), &mut faults);
        prop_assert!(faults.is_empty());
        prop_assert_eq!(&back, &spec);

        // And so it does from what its owner sees, masks included.
        let seen = show_spec(&spec, Header::masked, |_| false);
        prop_assume!({
            let mut names: Vec<_> = spec.destination.headers.iter().map(|h| h.name.to_lowercase()).collect();
            names.sort();
            names.windows(2).all(|pair| pair[0] != pair[1])
        });
        prop_assert_eq!(read_webhook(&seen, Some(&spec), &mut faults), spec);
    }
}
