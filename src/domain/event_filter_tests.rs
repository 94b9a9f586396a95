//! What filters accept, and what filters may be.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn filter(path: &str, operator: FilterOperator, values: Value) -> EventFilter {
    let Value::Array(values) = values else { panic!("values are a list") };
    EventFilter { path: path.into(), operator, values }
}

fn faults(filters: &[EventFilter]) -> Vec<String> {
    let mut faults = Faults::default();
    check_filters(filters, &mut faults);
    faults
        .check()
        .err()
        .map(|e| e.violations)
        .unwrap_or_default()
        .into_iter()
        .map(|v| v.field)
        .collect()
}

#[test]
fn conditions_hold_where_the_contract_says_so() {
    use FilterOperator::*;
    let payload = read_payload(
        r#"{"n":null,"i":9007199254740993,"d":1.0,"s":"gold-1","a":[{"b/c":true,"~":2}],"h":1.5}"#,
    )
    .expect("JSON");
    for (path, operator, values, holds) in [
        ("/s", Equals, json!(["silver", "gold-1"]), true),
        ("/s", Equals, json!(["gold"]), false),
        ("/d", Equals, json!([1]), true),
        ("/d", Equals, json!(["1"]), false),
        ("/i", Equals, json!([9007199254740993_i64]), true),
        ("/i", Equals, json!([9007199254740992.0]), false),
        ("/a/0/b~1c", Equals, json!([true]), true),
        ("/a/0/~0", GreaterThan, json!([1.5]), true),
        ("/a", Equals, json!([[{"~": 2.0, "b/c": true}]]), true),
        ("/a/00", Exists, json!([]), false),
        ("/x", Equals, json!([null]), false),
        ("/n", Equals, json!([null]), true),
        ("/x", NotEquals, json!([1]), true),
        ("/s", NotEquals, json!(["a", "gold-1"]), false),
        ("/s", NotEquals, json!([1]), true),
        ("/n", Exists, json!([]), true),
        ("/x", Exists, json!([]), false),
        ("", Exists, json!([]), true),
        ("/s", Prefix, json!(["x", "gold-"]), true),
        ("/d", Prefix, json!(["1"]), false),
        ("/i", GreaterThan, json!([9007199254740992.0]), true),
        ("/i", LessThan, json!([9007199254740993_i64]), false),
        ("/h", GreaterThan, json!([1]), true),
        ("/h", LessThan, json!([2]), true),
        ("/h", LessThan, json!([1]), false),
        ("/i", LessThan, json!([1e300]), true),
        ("/i", GreaterThan, json!([-1e300]), true),
        ("/s", GreaterThan, json!([0]), false),
        ("/x", LessThan, json!([0]), false),
    ] {
        let filter = filter(path, operator, values);
        assert_eq!(filter.holds(&payload), holds, "{filter:?}");
    }
}

#[test]
fn all_faults_of_filters_are_named() {
    use FilterOperator::*;
    let bad = [
        filter("a", Equals, json!([])),
        filter("/~2", Exists, json!([1])),
        filter("/~", GreaterThan, json!([1, 2])),
        filter("/a", LessThan, json!(["1"])),
        filter("/\0", Prefix, json!(["a", 1, "\0"])),
        filter(&"/a".repeat(513), Equals, json!([1])),
        filter("", Equals, Value::Array(vec![json!(1); 101])),
    ];
    let at = |rest: &str| format!("webhook.event_filters{rest}");
    let expected = [
        "[0].path",
        "[0].values",
        "[1].path",
        "[1].values",
        "[2].path",
        "[2].values",
        "[3].values",
        "[4].path",
        "[4].values[1]",
        "[4].values[2]",
        "[5].path",
        "[6].values",
    ];
    assert_eq!(faults(&bad), expected.map(at));
    let deep = (0..33).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(faults(&[filter("", Equals, json!([deep[0], deep]))]), [at("[0].values[1]")]);
    let many = vec![filter("/a~0~1", Exists, json!([])); 51];
    assert!(faults(&many[..50]).is_empty());
    assert_eq!(faults(&many), [at("")]);
}

#[test]
fn payloads_are_read_at_any_allowed_depth() {
    let deep = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    let payload = read_payload(&deep).expect("JSON");
    assert!(filter(&"/a".repeat(128), FilterOperator::Equals, json!([1])).holds(&payload));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(path in "\\PC{0,12}|(/[a-c~01]{0,3}){0,4}", json in "[{}\\[\\]\":,a0-9.eE-]{0,24}") {
        for operator in [FilterOperator::Equals, FilterOperator::NotEquals, FilterOperator::LessThan] {
            let filter = filter(&path, operator, json!([1, "a", {"a": 0.5}]));
            faults(std::slice::from_ref(&filter));
            if let Some(payload) = read_payload(&json) {
                filter.holds(&payload);
            }
        }
    }

    #[test]
    fn every_key_has_a_pointer(key in "\\PC{0,12}|[~/01]{0,6}") {
        let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        let filter = filter(&path, FilterOperator::Equals, json!([7]));
        prop_assert!(faults(std::slice::from_ref(&filter)).is_empty());
        let payload = json!({ key: 7 });
        prop_assert!(filter.holds(&payload));
    }

    #[test]
    fn integers_and_doubles_have_one_order(integer: i64, double in -1e19f64..1e19) {
        let (one, other) = (Number::from(integer), Number::from_f64(double).expect("finite"));
        prop_assert_eq!(order(&one, &other), order(&other, &one).map(Ordering::reverse));
        prop_assert_eq!(order(&one, &Number::from(integer)), Some(Ordering::Equal));
    }

    #[test]
    fn they_agree_with_a_naive_evaluation(
        payload in payload(),
        path in "(/([ab]|~0|~1|0|1|)){0,3}",
        values in prop::collection::vec(payload(), 0..3),
        bound in -2i32..3,
    ) {
        use FilterOperator::*;
        let found = walk(&payload, &path);
        let of = |operator| filter(&path, operator, Value::Array(values.clone()));
        let any = |test: &dyn Fn(&Value, &Value) -> bool| {
            found.is_some_and(|found| values.iter().any(|value| test(found, value)))
        };
        let equals = any(&|a, b| as_doubles(a) == as_doubles(b));
        prop_assert_eq!(of(Equals).holds(&payload), equals);
        prop_assert_eq!(of(NotEquals).holds(&payload), !equals);
        let prefix = any(&|a, b| match (a, b) {
            (Value::String(text), Value::String(prefix)) => text.starts_with(&**prefix),
            _ => false,
        });
        prop_assert_eq!(of(Prefix).holds(&payload), prefix);
        prop_assert_eq!(filter(&path, Exists, json!([])).holds(&payload), found.is_some());
        let number = found.and_then(Value::as_f64);
        let greater = filter(&path, GreaterThan, json!([bound])).holds(&payload);
        prop_assert_eq!(greater, number.is_some_and(|number| number > f64::from(bound)));
        let less = filter(&path, LessThan, json!([bound])).holds(&payload);
        prop_assert_eq!(less, number.is_some_and(|number| number < f64::from(bound)));
        // Read from its text, as it is when an event is matched, it is the same.
        let read = read_payload(&payload.to_string());
        prop_assert_eq!(read.as_ref(), Some(&payload));
    }
}

/// Small values of few kinds, so that some are equal.
fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        (-4i32..6).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[ab~/0]?", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(&step.replace("~1", "/").replace("~0", "~")),
        Value::Array(values) => values.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The same with all numbers as doubles, which hold these exactly.
fn as_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(values) => values.iter().map(as_doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), as_doubles(value))).collect()
        }
        other => other.clone(),
    }
}
