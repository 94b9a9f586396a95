//! Single values: numbers, enums, ids.

use std::str::FromStr;

use uuid::Uuid;

use crate::{domain::error::Faults, grpc::proto};

/// A known value of an enum, be it UNSPECIFIED.
pub(crate) fn read_enum<E: TryFrom<i32>>(number: i32, at: &str, faults: &mut Faults) -> Option<E> {
    let value = E::try_from(number).ok();
    if value.is_none() {
        faults.invalid(at, format!("has no value of number {number}"));
    }
    value
}

/// A list of enum values of which none is UNSPECIFIED.
pub(crate) fn read_numbers<D>(
    numbers: &[i32],
    at: &str,
    known: impl Fn(i32) -> Option<D>,
    faults: &mut Faults,
) -> Vec<D> {
    let mut values = Vec::with_capacity(numbers.len());
    for (i, number) in numbers.iter().enumerate() {
        match known(*number) {
            Some(value) => values.push(value),
            None => faults.invalid(format!("{at}[{i}]"), format!("must not be number {number}")),
        }
    }
    values
}

/// Text that has a form of its own, such as an id; empty means none.
pub(crate) fn read_text<T: FromStr<Err = &'static str>>(
    text: &str,
    at: &str,
    faults: &mut Faults,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|fault| faults.invalid(at, fault)).ok()
}

/// A UUID with hyphens; empty means none.
pub(crate) fn read_uuid(text: &str, at: &str, faults: &mut Faults) -> Option<Uuid> {
    // Event ids are UUIDs too and have the same form.
    read_text::<crate::domain::id::EventId>(text, at, faults).map(|id| id.0)
}

/// Notes a number that must not be negative.
pub(crate) fn check_not_negative(number: i32, at: &str, faults: &mut Faults) {
    if number < 0 {
        faults.invalid(at, "must not be negative");
    }
}

/// A count for the wire, where counts are `int32`.
pub(crate) fn show_count<N: TryInto<i32>>(count: N) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}

/// Whether everything of a record is wanted; `default` where the request does not say.
pub(crate) fn read_view(view: i32, default: proto::View, faults: &mut Faults) -> bool {
    match read_enum(view, "view", faults).unwrap_or(default) {
        proto::View::Unspecified => default == proto::View::Full,
        proto::View::Basic => false,
        proto::View::Full => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_a_fault_at_its_place() {
        let mut faults = Faults::default();
        assert_eq!(
            read_enum::<proto::HttpMethod>(2, "m", &mut faults),
            Some(proto::HttpMethod::Put)
        );
        assert_eq!(read_uuid("", "id", &mut faults), None);
        assert!(read_view(0, proto::View::Full, &mut faults));
        assert!(!read_view(0, proto::View::Basic, &mut faults));
        assert!(faults.is_empty());

        read_enum::<proto::HttpMethod>(99, "m", &mut faults);
        read_uuid("ccc983c2df7a4eceb5cce574cec66fc1", "id", &mut faults);
        read_view(7, proto::View::Full, &mut faults);
        read_numbers(&[1, 0], "list", |n| (n > 0).then_some(n), &mut faults);
        let error = faults.into_error();
        let at: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(at, ["m", "id", "view", "list[1]"]);
    }
}
