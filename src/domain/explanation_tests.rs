//! Each reason, and that the words agree with what matching decides.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::{
    actor::{Actor, Attribution},
    id::{TenantKey, WebhookId, WebhookKey},
    subscription::SubscriptionIndex,
    webhook::{Suspension, SuspensionCause, WebhookSpec},
};

const MADE: Timestamp = Timestamp::from_micros(1_000);

fn webhook(names: &[&str], filters: Vec<EventFilter>) -> Webhook {
    Webhook {
        key: WebhookKey(1),
        tenant_key: TenantKey(1),
        webhook_id: WebhookId::new(MADE, [0; 8]),
        number: 1,
        consumer_group_id: Uuid::nil(),
        spec: WebhookSpec {
            event_names: names.iter().map(|&name| name.into()).collect(),
            event_filters: filters,
            ..WebhookSpec::default()
        },
        suspension: None,
        holds: Vec::new(),
        version: 1,
        attribution: Attribution::new(MADE, Actor::default()),
        delete_time: None,
    }
}

fn filter(path: &str, operator: FilterOperator, values: Vec<Value>) -> EventFilter {
    EventFilter { path: path.into(), operator, values }
}

fn suspended(mut webhook: Webhook) -> Webhook {
    webhook.suspension = Some(Suspension {
        suspend_time: MADE,
        cause: SuspensionCause::Operator,
        message: String::new(),
        resume_time: None,
    });
    webhook
}

fn reason(webhook: &Webhook, payload: &Value) -> (bool, String) {
    let told = explain(webhook, "loyalty.points", Some(payload), Subject::Hypothetical);
    (told.matched, told.reason)
}

#[test]
fn each_verdict_has_its_words() {
    use FilterOperator::{Equals, Exists, GreaterThan, Prefix};
    let long = "x".repeat(1_000);
    let mut stopped = webhook(&["*"], vec![]);
    stopped.spec.enabled = false;
    let loyal = |filters| webhook(&["a", "loyalty.*"], filters);
    let two = vec![filter("/a", Exists, vec![]), filter("/amount", GreaterThan, vec![json!(100)])];
    let many = (1..=5).map(Value::from).collect();
    let cases = [
        (loyal(vec![]), json!({}), true, "event_names has loyalty.*"),
        (
            loyal(two.clone()),
            json!({"a": null, "amount": 101}),
            true,
            "event_names has loyalty.*; all 2 filters hold",
        ),
        (
            loyal(two),
            json!({"a": null, "amount": 40}),
            false,
            "filter 2 (/amount > 100): value is 40",
        ),
        (
            loyal(vec![filter("/tier", Prefix, vec![json!("go"), json!("si")])]),
            json!({}),
            false,
            "filter 1 (/tier begins with \"go\" or \"si\"): there is no value",
        ),
        (
            loyal(vec![filter("", Equals, many)]),
            json!({"a": [long.as_str()]}),
            false,
            "filter 1 (payload = 1 or 2 or 3 or 2 more): value is an object",
        ),
        (
            webhook(&["loyalty"], vec![]),
            json!({}),
            false,
            "event_names has nothing that fits loyalty.points",
        ),
        (stopped, json!({}), false, "webhook is stopped"),
        (
            suspended(loyal(vec![])),
            json!({}),
            true,
            "event_names has loyalty.*; webhook is suspended, so the delivery waits",
        ),
    ];
    for (webhook, payload, matched, expected) in cases {
        assert_eq!(reason(&webhook, &payload), (matched, expected.to_owned()));
    }
    let cut = loyal(vec![filter("/a", Equals, vec![json!(1)])]);
    let (_, told) = reason(&cut, &json!({ "a": long }));
    assert!(told.chars().count() < 120 && told.ends_with("x…\""), "{told}");
}

#[test]
fn what_happened_wins_over_what_is_now() {
    let after = |micros| Timestamp::from_micros(MADE.micros() + micros);
    let told = |webhook: &Webhook, subject| {
        let told = explain(webhook, "a", Some(&json!({})), subject);
        (told.matched, told.reason)
    };
    let (here, gone) = (webhook(&["a"], vec![]), webhook(&["b"], vec![]));
    let done = Some(DeliveryStatus::Succeeded);
    assert_eq!(
        told(&gone, Subject::Published(after(1), done)),
        (
            true,
            "it matched when the event was published; by now event_names has nothing that fits a"
                .into()
        )
    );
    assert_eq!(
        told(&here, Subject::Published(after(1), None)),
        (false, "it did not match when the event was published; by now event_names has a".into())
    );
    for webhook in [&here, &gone] {
        assert_eq!(
            told(webhook, Subject::Published(after(-1), None)),
            (false, "webhook was made after the event".into())
        );
    }
    let held = suspended(here.clone());
    let waits = told(&held, Subject::Published(after(1), Some(DeliveryStatus::Pending))).1;
    assert!(waits.ends_with("so the delivery waits"), "{waits}");
    let done = told(&held, Subject::Published(after(1), done)).1;
    assert_eq!(done, "event_names has a");
}

#[test]
fn a_payload_that_filters_cannot_read_is_told() {
    let filtered = webhook(&["*"], vec![filter("/a", FilterOperator::Exists, vec![])]);
    let told = explain(&filtered, "a", None, Subject::Hypothetical);
    assert!(!told.matched && told.reason.contains("beyond the range"), "{told:?}");
    let open = webhook(&["*"], vec![]);
    assert!(explain(&open, "a", None, Subject::Hypothetical).matched);
}

proptest! {
    #[test]
    fn words_and_matching_agree(
        names in prop::collection::vec("[ab]{1,2}(\\.[ab]){0,2}(\\.\\*)?|\\*", 1..4),
        enabled: bool, name in "[ab]{1,2}(\\.[ab]?){0,3}", wanted in 0..3, given in 0..3,
    ) {
        let equals = filter("/n", FilterOperator::Equals, vec![json!(wanted)]);
        let mut hook = webhook(&[], vec![equals]);
        (hook.spec.event_names, hook.spec.enabled) = (names, enabled);
        let mut index = SubscriptionIndex::default();
        if hook.takes_events() {
            index.insert(hook.key, &hook.spec.event_names);
        }
        let payload = json!({"n": given});
        let matches = !index.matching(&name).is_empty()
            && first_unfulfilled(&hook.spec.event_filters, Some(&payload)).is_none();
        prop_assert_eq!(
            explain(&hook, &name, Some(&payload), Subject::Hypothetical).matched, matches);
    }
}
