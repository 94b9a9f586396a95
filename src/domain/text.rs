//! Rules for short texts that callers send.

use super::{
    error::{Faults, Reason},
    limits,
};

/// Checks a text that may be empty: at most `chars` characters, no U+0000.
pub fn check(faults: &mut Faults, field: &str, text: &str, chars: usize) {
    if text.contains('\0') {
        faults.invalid(field, "must not contain U+0000");
    }
    if text.len() > chars && text.chars().count() > chars {
        faults.invalid(field, format!("must be at most {chars} characters"));
    }
}

/// Checks a mandatory name: 1 to 255 characters, no U+0000.
pub fn check_name(faults: &mut Faults, field: &str, text: &str) {
    if text.is_empty() {
        faults.required(field);
    }
    check(faults, field, text, limits::NAME_CHARS);
}

/// Checks an event type's name: 1 to 255 characters, none of them a control
/// character, white space, `*` or `/`, so that it can stand in patterns and paths.
pub fn check_event_name(faults: &mut Faults, field: &str, name: &str) {
    if name.is_empty() {
        faults.add(field, Reason::FieldRequired, "is required");
    } else if name.chars().any(is_reserved) {
        faults.invalid(field, "must not contain white space, control characters, * or /");
    }
    check(faults, field, name, limits::NAME_CHARS);
}

/// U+0000 is a fault of its own.
fn is_reserved(c: char) -> bool {
    (c.is_control() && c != '\0') || c.is_whitespace() || c == '*' || c == '/'
}

/// Checks labels, attributes and the like: how many, keys not empty, lengths.
pub fn check_map<'a>(
    faults: &mut Faults,
    field: &str,
    entries: impl ExactSizeIterator<Item = (&'a String, &'a String)>,
) {
    if entries.len() > limits::LABELS {
        faults.invalid(field, format!("must have at most {} entries", limits::LABELS));
    }
    for (key, value) in entries {
        check_name(faults, &format!("{field}[{}]", key.escape_default()), key);
        check(faults, &format!("{field}[{}]", key.escape_default()), value, limits::NAME_CHARS);
    }
}
