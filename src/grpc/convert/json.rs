//! `google.protobuf.Struct` to JSON text and back. Events do not need the way back:
//! answers carry the text that was stored.

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;

use super::place::Place;
use crate::domain::error::Faults;

/// Doubles below this hold every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes an object as JSON text, keys in order. Whole numbers that doubles hold
/// exactly are written without a fraction. What JSON cannot say is a fault.
pub(crate) fn read_object(object: &Struct, at: &str, faults: &mut Faults) -> String {
    let mut json = String::new();
    write_object(&mut json, object, &Place::Field(at), faults);
    json
}

/// An object from the JSON text that [`read_object`] made of it.
pub(crate) fn show_object(json: &str) -> Struct {
    let fields: serde_json::Map<String, Json> = serde_json::from_str(json).unwrap_or_default();
    show_fields(fields)
}

fn show_fields(fields: serde_json::Map<String, Json>) -> Struct {
    Struct { fields: fields.into_iter().map(|(key, value)| (key, show_value(value))).collect() }
}

fn show_value(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(show_value).collect() })
        }
        Json::Object(fields) => Kind::StructValue(show_fields(fields)),
    };
    Value { kind: Some(kind) }
}

fn write_object(json: &mut String, object: &Struct, at: &Place<'_>, faults: &mut Faults) {
    json.push('{');
    for (i, (key, value)) in object.fields.iter().enumerate() {
        if i > 0 {
            json.push(',');
        }
        write_text(json, key);
        json.push(':');
        write_value(json, value, &Place::Key(at, key), faults);
    }
    json.push('}');
}

fn write_value(json: &mut String, value: &Value, at: &Place<'_>, faults: &mut Faults) {
    match &value.kind {
        None => faults.invalid(at, "has no value; null is one"),
        Some(Kind::NullValue(_)) => json.push_str("null"),
        Some(Kind::BoolValue(value)) => json.push_str(if *value { "true" } else { "false" }),
        Some(Kind::NumberValue(number)) => write_number(json, *number, at, faults),
        Some(Kind::StringValue(text)) => write_text(json, text),
        Some(Kind::StructValue(object)) => write_object(json, object, at, faults),
        Some(Kind::ListValue(list)) => {
            json.push('[');
            for (i, value) in list.values.iter().enumerate() {
                if i > 0 {
                    json.push(',');
                }
                write_value(json, value, &Place::Index(at, i), faults);
            }
            json.push(']');
        }
    }
}

fn write_number(json: &mut String, number: f64, at: &Place<'_>, faults: &mut Faults) {
    match read_number(number) {
        Some(number) => json.push_str(&number.to_string()),
        None => faults.invalid(at, "must be a finite number"),
    }
}

/// A number that JSON can say: without a fraction where doubles hold it exactly.
pub(crate) fn read_number(number: f64) -> Option<serde_json::Number> {
    if number.fract() == 0.0 && number.abs() < EXACT {
        // Exact: it is whole and within the bounds of i64.
        return Some((number as i64).into());
    }
    serde_json::Number::from_f64(number)
}

fn write_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(fields: impl IntoIterator<Item = (&'static str, Kind)>) -> Struct {
        let value = |(key, kind): (&str, _)| (key.to_owned(), Value { kind: Some(kind) });
        Struct { fields: fields.into_iter().map(value).collect() }
    }

    fn list(kinds: impl IntoIterator<Item = Kind>) -> Kind {
        let values = kinds.into_iter().map(|kind| Value { kind: Some(kind) }).collect();
        Kind::ListValue(prost_types::ListValue { values })
    }

    #[test]
    fn an_object_becomes_the_json_that_it_means() {
        let mut faults = Faults::default();
        let numbers = [0.0, -0.0, 1.0, -7.0, 9_007_199_254_740_991.0, EXACT, 1.5, 1e300, -2.5e-7];
        let object = object([
            ("z", list(numbers.map(Kind::NumberValue))),
            ("a \"b\"", Kind::StringValue("tab\tü".to_owned())),
            ("n", Kind::NullValue(0)),
            ("o", Kind::StructValue(object([("t", Kind::BoolValue(true))]))),
        ]);
        assert_eq!(
            read_object(&object, "event.object", &mut faults),
            "{\"a \\\"b\\\"\":\"tab\\tü\",\"n\":null,\"o\":{\"t\":true},\
             \"z\":[0,0,1,-7,9007199254740991,9007199254740992.0,1.5,1e+300,-2.5e-7]}"
        );
        assert!(faults.is_empty());
        let json = read_object(&object, "event.object", &mut faults);
        assert_eq!(show_object(&json), object);
    }

    #[test]
    fn what_json_cannot_say_is_named() {
        let mut faults = Faults::default();
        let mut bad = object([
            ("a", list([Kind::NumberValue(1.0), Kind::NumberValue(f64::NAN)])),
            ("b", Kind::StructValue(object([("c", Kind::NumberValue(f64::INFINITY))]))),
        ]);
        bad.fields.insert("d".to_owned(), Value { kind: None });
        read_object(&bad, "event.object", &mut faults);
        let error = faults.into_error();
        let at: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(at, ["event.object.a[1]", "event.object.b.c", "event.object.d"]);
    }

    #[test]
    fn a_million_faults_below_a_long_key_cost_little() {
        let values = vec![Value { kind: None }; 1_000_000];
        let mut bad = object([]);
        let list = Value { kind: Some(Kind::ListValue(ListValue { values })) };
        bad.fields.insert("k".repeat(1_000_000), list);
        let mut faults = Faults::default();
        read_object(&bad, "event.object", &mut faults);
        let error = faults.into_error();
        assert_eq!(error.violations.len() + error.omitted_violations, 1_000_000);
        assert!(error.violations.len() <= 1_000, "{}", error.violations.len());
        let longest = error.violations.iter().map(|v| v.field.len()).max();
        assert!(longest < Some(200) && error.message.len() < 500_000);
    }

    /// Any value of the wire that JSON has, too.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Kind::NullValue(0)),
            any::<bool>().prop_map(Kind::BoolValue),
            any::<f64>()
                .prop_filter("JSON has no others", |number| number.is_finite())
                .prop_map(Kind::NumberValue),
            any::<String>().prop_map(Kind::StringValue),
        ];
        let kind = leaf.prop_recursive(5, 40, 5, |inner| {
            let value = inner.prop_map(|kind| Value { kind: Some(kind) });
            let list = prop::collection::vec(value.clone(), 0..5);
            prop_oneof![
                list.prop_map(|values| Kind::ListValue(ListValue { values })),
                prop::collection::btree_map(any::<String>(), value, 0..5)
                    .prop_map(|fields| Kind::StructValue(Struct { fields })),
            ]
        });
        kind.prop_map(|kind| Value { kind: Some(kind) })
    }

    proptest! {
        #[test]
        fn objects_read_back_as_they_were(
            fields in prop::collection::btree_map(any::<String>(), value(), 0..5),
        ) {
            let (object, mut faults) = (Struct { fields }, Faults::default());
            let json = read_object(&object, "o", &mut faults);
            prop_assert!(faults.is_empty());
            // Keys, texts and numbers alike; of the zeros, the negative one is written 0.
            prop_assert_eq!(show_object(&json), object);
        }

        #[test]
        fn numbers_keep_their_value(number: f64) {
            let mut faults = Faults::default();
            let json = read_object(&object([("n", Kind::NumberValue(number))]), "o", &mut faults);
            prop_assert_eq!(faults.is_empty(), number.is_finite());
            if number.is_finite() {
                let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
                prop_assert_eq!(read["n"].as_f64(), Some(number));
            }
        }
    }
}
