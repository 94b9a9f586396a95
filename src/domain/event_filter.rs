//! Conditions of a webhook on the payload: where to look, how to compare, with what.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{error::Faults, limits};

/// One condition on a payload. Stored as JSON: a new member needs a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventFilter {
    /// JSON Pointer (RFC 6901) from the root of the payload; empty is the whole.
    pub path: String,
    /// How to compare.
    pub operator: FilterOperator,
    /// What to compare with.
    pub values: Vec<Value>,
}

/// Compares a value of the payload with a filter's values; the numbers are the
/// contract's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterOperator {
    /// Equal to any of the values.
    #[default]
    Equals = 1,
    /// Equal to none of the values; a path that is missing is equal to none.
    NotEquals = 2,
    /// The path is there, null included.
    Exists = 3,
    /// Text that begins with any of the values.
    Prefix = 4,
    /// A number greater than the value.
    GreaterThan = 5,
    /// A number less than the value.
    LessThan = 6,
}

impl EventFilter {
    /// Whether a payload fulfils the condition. Values of a type that cannot be
    /// compared do not.
    pub fn holds(&self, payload: &Value) -> bool {
        let found = payload.pointer(&self.path);
        let any = |test: &dyn Fn(&Value, &Value) -> bool| {
            found.is_some_and(|found| self.values.iter().any(|value| test(found, value)))
        };
        match self.operator {
            FilterOperator::Equals => any(&equal),
            FilterOperator::NotEquals => !any(&equal),
            FilterOperator::Exists => found.is_some(),
            FilterOperator::Prefix => any(&begins_with),
            FilterOperator::GreaterThan => any(&|a, b| compare(a, b) == Some(Ordering::Greater)),
            FilterOperator::LessThan => any(&|a, b| compare(a, b) == Some(Ordering::Less)),
        }
    }

    fn check(&self, at: &str, faults: &mut Faults) {
        check_pointer(&format!("{at}.path"), &self.path, faults);
        let at = format!("{at}.values");
        let count = self.values.len();
        match self.operator {
            FilterOperator::Exists if count > 0 => {
                faults.invalid(&at, "must be empty where the operator asks for existence");
            }
            FilterOperator::Exists => {}
            FilterOperator::GreaterThan | FilterOperator::LessThan
                if count != 1 || !self.values.iter().all(Value::is_number) =>
            {
                faults.invalid(&at, "must be exactly one number");
            }
            _ if count == 0 => faults.required(&at),
            _ if count > limits::EVENT_FILTER_VALUES => {
                let message = format!("must be at most {} values", limits::EVENT_FILTER_VALUES);
                faults.invalid(&at, message);
                return;
            }
            _ => {}
        }
        for (i, value) in self.values.iter().enumerate().take(limits::EVENT_FILTER_VALUES) {
            let at = format!("{at}[{i}]");
            if self.operator == FilterOperator::Prefix && !value.is_string() {
                faults.invalid(&at, "must be a string");
            }
            if !is_shallow(value, limits::EVENT_FILTER_DEPTH) {
                let message =
                    format!("must be nested at most {} levels deep", limits::EVENT_FILTER_DEPTH);
                faults.invalid(&at, message);
            } else if has_null_character(value) {
                faults.invalid(&at, "must not contain U+0000");
            }
        }
    }
}

/// The first condition, counted from 0, that a payload does not fulfil; none where it
/// fulfils all. One that cannot be read fulfils no condition.
pub fn first_unfulfilled(filters: &[EventFilter], payload: Option<&Value>) -> Option<usize> {
    filters.iter().position(|filter| !payload.is_some_and(|payload| filter.holds(payload)))
}

/// A payload as filters read it, at any depth that publishing lets pass. None where
/// it has a number that is beyond all doubles, or half a surrogate pair: such a payload
/// fulfils no condition.
pub fn read_payload(payload: &str) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_str(payload);
    // The levels were counted when it was published.
    reader.disable_recursion_limit();
    Value::deserialize(&mut reader).ok()
}

/// Adds what is wrong with the filters of a webhook to `faults`.
pub fn check_filters(filters: &[EventFilter], faults: &mut Faults) {
    let at = "webhook.event_filters";
    if filters.len() > limits::EVENT_FILTERS {
        faults.invalid(at, format!("must be at most {}", limits::EVENT_FILTERS));
        return;
    }
    for (i, filter) in filters.iter().enumerate() {
        filter.check(&format!("{at}[{i}]"), faults);
    }
}

fn check_pointer(at: &str, path: &str, faults: &mut Faults) {
    if path.len() > limits::EVENT_FILTER_PATH_BYTES {
        let message = format!("must be at most {} bytes", limits::EVENT_FILTER_PATH_BYTES);
        faults.invalid(at, message);
    } else if path.contains('\0') {
        faults.invalid(at, "must not contain U+0000");
    } else if !path.is_empty() && !path.starts_with('/') {
        faults.invalid(at, "must be a JSON Pointer: empty, or begin with a slash");
    } else if path.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        faults.invalid(at, "must be a JSON Pointer: ~ is followed by 0 or 1");
    }
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|v| is_shallow(v, levels - 1)),
        Value::Object(values) => levels > 0 && values.values().all(|v| is_shallow(v, levels - 1)),
        _ => true,
    }
}

fn has_null_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_null_character),
        Value::Object(values) => {
            values.iter().any(|(key, value)| key.contains('\0') || has_null_character(value))
        }
        _ => false,
    }
}

/// Equal member by member, numbers by their value.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| equal(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, a)| other.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => one == other,
    }
}

fn begins_with(found: &Value, prefix: &Value) -> bool {
    matches!((found.as_str(), prefix.as_str()), (Some(text), Some(prefix)) if text.starts_with(prefix))
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other),
        _ => None,
    }
}

/// The order of two numbers, exact between integers, and between integers and doubles.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(one), None) => Some(beside(one, other.as_f64()?)),
        (None, Some(other)) => Some(beside(other, one.as_f64()?).reverse()),
        (None, None) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// An integer beside a double. The integer has at most 64 bits, so that where the
/// conversion of the double saturates, the order is the same.
fn beside(integer: i128, double: f64) -> Ordering {
    integer.cmp(&(double.floor() as i128)).then(if double.fract() == 0.0 {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

#[cfg(test)]
#[path = "event_filter_tests.rs"]
mod tests;
