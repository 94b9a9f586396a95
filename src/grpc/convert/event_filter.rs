//! Filters of webhooks, and `google.protobuf.Value` to JSON and back.

use prost_types::{ListValue, Struct, Value as Proto, value::Kind};
use serde_json::Value;

use super::{json::read_number, place::Place, value};
use crate::{
    domain::{
        error::Faults,
        event_filter::{EventFilter, FilterOperator},
    },
    grpc::proto,
};

/// Reads the filters of a webhook.
pub(crate) fn read_filters(
    filters: &[proto::EventFilter],
    faults: &mut Faults,
) -> Vec<EventFilter> {
    let read = |(i, filter)| read_filter(filter, &format!("webhook.event_filters[{i}]"), faults);
    filters.iter().enumerate().map(read).collect()
}

fn read_filter(filter: &proto::EventFilter, at: &str, faults: &mut Faults) -> EventFilter {
    let proto::EventFilter { path, operator, values } = filter;
    let operator = read_operator(*operator, &format!("{at}.operator"), faults);
    let mut read = Vec::with_capacity(values.len());
    let place = format!("{at}.values");
    for (i, value) in values.iter().enumerate() {
        read.push(read_value(value, &Place::Index(&Place::Field(&place), i), faults));
    }
    // Where the operator is at fault already, its values are not: any will do.
    let unread = if read.is_empty() { FilterOperator::Exists } else { FilterOperator::Equals };
    EventFilter { path: path.clone(), operator: operator.unwrap_or(unread), values: read }
}

fn read_operator(number: i32, at: &str, faults: &mut Faults) -> Option<FilterOperator> {
    match value::read_enum(number, at, faults)? {
        proto::FilterOperator::Unspecified => {
            faults.required(at);
            None
        }
        proto::FilterOperator::Equals => Some(FilterOperator::Equals),
        proto::FilterOperator::NotEquals => Some(FilterOperator::NotEquals),
        proto::FilterOperator::Exists => Some(FilterOperator::Exists),
        proto::FilterOperator::Prefix => Some(FilterOperator::Prefix),
        proto::FilterOperator::GreaterThan => Some(FilterOperator::GreaterThan),
        proto::FilterOperator::LessThan => Some(FilterOperator::LessThan),
    }
}

/// What JSON cannot say is a fault. The depth is bounded by the wire's.
fn read_value(value: &Proto, at: &Place<'_>, faults: &mut Faults) -> Value {
    match &value.kind {
        None => {
            faults.invalid(at, "has no value; null is one");
            Value::Null
        }
        Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) => match read_number(*number) {
            Some(number) => Value::Number(number),
            None => {
                faults.invalid(at, "must be a finite number");
                0.into()
            }
        },
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::StructValue(object)) => {
            let read = |(key, value): (&String, _)| {
                (key.clone(), read_value(value, &Place::Key(at, key), faults))
            };
            Value::Object(object.fields.iter().map(read).collect())
        }
        Some(Kind::ListValue(list)) => {
            let read = |(i, value)| read_value(value, &Place::Index(at, i), faults);
            Value::Array(list.values.iter().enumerate().map(read).collect())
        }
    }
}

/// A filter as its owner sees it.
pub(crate) fn show_filter(filter: &EventFilter) -> proto::EventFilter {
    let EventFilter { path, operator, values } = filter;
    proto::EventFilter {
        path: path.clone(),
        // The domain's numbers are the contract's.
        operator: *operator as i32,
        values: values.iter().map(show_value).collect(),
    }
}

fn show_value(value: &Value) -> Proto {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        // They came as doubles.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.iter().map(show_value).collect() })
        }
        Value::Object(values) => {
            let show = |(key, value): (&String, _)| (key.clone(), show_value(value));
            Kind::StructValue(Struct { fields: values.iter().map(show).collect() })
        }
    };
    Proto { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_read_back_as_they_were() {
        let values = vec![json!([null, true, -7, 1.5, 1e300, "ü"]), json!({"a": {"b": []}})];
        let filter =
            EventFilter { path: "/a~1b".into(), operator: FilterOperator::NotEquals, values };
        let mut faults = Faults::default();
        assert_eq!(read_filters(&[show_filter(&filter)], &mut faults), [filter]);
        assert!(faults.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named_once() {
        let number = |n| Proto { kind: Some(Kind::NumberValue(n)) };
        let operator =
            |operator, values| proto::EventFilter { path: String::new(), operator, values };
        let bad = [
            operator(0, vec![]),
            operator(9, vec![number(1.0)]),
            operator(5, vec![number(f64::NAN)]),
            operator(1, vec![Proto { kind: None }]),
        ];
        let mut faults = Faults::default();
        crate::domain::event_filter::check_filters(&read_filters(&bad, &mut faults), &mut faults);
        let violations = faults.into_error().violations;
        let at: Vec<_> = violations.iter().map(|v| v.field.as_str()).collect();
        let expected = ["[0].operator", "[1].operator", "[2].values[0]", "[3].values[0]"];
        assert_eq!(at, expected.map(|at| format!("webhook.event_filters{at}")));
    }
}
