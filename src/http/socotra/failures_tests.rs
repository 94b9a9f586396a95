use serde_json::json;

use super::*;

/// The webhook that a request makes, as it is shown.
fn made(handling: Value) -> Result<Value, Vec<String>> {
    let mut spec = WebhookSpec::default();
    reset(&mut spec);
    changed(&spec, json!({"failureHandling": handling}), Failures::read_new)
        .map(|spec| shown(&spec))
}

fn changed(
    spec: &WebhookSpec,
    body: Value,
    read: fn(&mut Members, &mut Faults) -> Failures,
) -> Result<WebhookSpec, Vec<String>> {
    let mut faults = Faults::default();
    let failures = read(&mut Members::of(body, "", &mut faults), &mut faults);
    let mut spec = spec.clone();
    failures.change(&mut spec, &mut faults);
    match faults.check() {
        Ok(()) => Ok(spec),
        Err(error) => Err(error.violations.into_iter().map(|v| v.field).collect()),
    }
}

fn shown(spec: &WebhookSpec) -> Value {
    serde_json::to_value(Shown::of(spec)).expect("JSON")
}

#[test]
fn what_is_absent_has_its_default() {
    let nothing = json!({"alertEndpoint": null, "triggers": ["4xx", "5xx", "timeout"],
        "retryStrategy": null, "divert": false, "suspend": false});
    assert_eq!(made(Value::Null), Ok(nothing.clone()));
    assert_eq!(made(json!({})), Ok(nothing));
    let strategy = json!({"type": "linear", "interval": 1_500});
    let told = made(json!({"retryStrategy": strategy})).expect("accepted");
    assert_eq!(told["retryStrategy"], json!({"type": "linear", "interval": 1_500, "attempts": 3}));
}

#[test]
fn strategies_are_policies_and_back() {
    for kind in [LINEAR, EXPONENTIAL] {
        let strategy = json!({"type": kind, "interval": 2_000, "attempts": 10});
        let told = made(json!({"retryStrategy": strategy})).expect("accepted");
        assert_eq!(told["retryStrategy"], strategy);
    }
    let foreign = [
        RetryPolicy::default(),
        RetryPolicy { max_retries: Some(0), ..RetryPolicy::default() },
        RetryPolicy {
            waits: Waits::Schedule(vec![Duration::from_secs(1), Duration::from_secs(2)]),
            max_retries: Some(2),
            ..RetryPolicy::default()
        },
    ];
    for policy in foreign {
        assert!(Strategy::of(&policy).is_none(), "{policy:?}");
    }
}

#[test]
fn removals_come_first_and_additions_win() {
    let spec = WebhookSpec::default();
    let change = json!({"failureHandling": {"removeTriggers": ["5xx", "timeout"],
        "addTriggers": ["5xx", "404"], "removeAlertEndpoint": true, "alertEndpoint": "http://a/"}});
    let after = changed(&spec, change, Failures::read_change).expect("accepted");
    let told = shown(&after);
    assert_eq!(told["triggers"], json!(["408", "429", "connection", "5xx", "404"]));
    assert_eq!(told["alertEndpoint"], "http://a/");
    let policy = after.retry_policy.clone().expect("a policy");
    assert_eq!(policy.waits, Waits::Default, "the rest of another dialect's policy stays");

    let change = json!({"failureHandling": {"removeRetryStrategy": true}});
    let without = changed(&after, change, Failures::read_change).expect("accepted");
    assert_eq!(without.retry_policy.and_then(|policy| policy.max_retries), Some(0));
    let change = json!({"failureHandling": {"divert": true}});
    let same = changed(&spec, change, Failures::read_change).expect("accepted");
    assert_eq!(same, spec, "nothing was asked that is not so");
}

#[test]
fn all_faults_are_named() {
    let bad = json!({"triggers": ["6xx", "5xx", "5xx"], "alertEndpoint": "", "x": 1, "divert": "no",
        "retryStrategy": {"type": "cubic", "interval": 0, "attempts": 11, "y": 1}});
    let at = |name: &str| format!("failureHandling.{name}");
    let expected = [
        "retryStrategy.type",
        "retryStrategy.interval",
        "retryStrategy.attempts",
        "retryStrategy.y",
        "divert",
        "alertEndpoint",
        "triggers[0]",
        "triggers[2]",
        "x",
    ];
    assert_eq!(made(bad), Err(expected.map(at).to_vec()));
    assert_eq!(made(json!({"triggers": []})), Err(vec![at("triggers")]));
    let missing = ["retryStrategy.type", "retryStrategy.interval"].map(at).to_vec();
    assert_eq!(made(json!({"retryStrategy": {}})), Err(missing));
}
