//! Reading the members of a JSON object one by one, so that all faults are told at once.

use serde_json::{Map, Value};

use crate::domain::error::Faults;

/// An object whose members are taken out one after the other. A member that is null
/// counts as absent.
pub(super) struct Members {
    /// What stands before the names of its members in faults.
    prefix: String,
    left: Map<String, Value>,
}

impl Members {
    /// The members of a value, which must be an object. `at` is its path, empty for the body itself.
    pub(super) fn of(value: Value, at: &str, faults: &mut Faults) -> Self {
        let prefix = if at.is_empty() { String::new() } else { format!("{at}.") };
        let left = match value {
            Value::Object(members) => members,
            _ => {
                faults.invalid(if at.is_empty() { "body" } else { at }, "must be an object");
                Map::new()
            }
        };
        Self { prefix, left }
    }

    /// The path of a member, as faults name it.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Takes a member out, whatever it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// Takes out a text.
    pub(super) fn text(&mut self, name: &str, faults: &mut Faults) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                faults.invalid(self.path(name), "must be a string");
                None
            }
        }
    }

    /// Takes out a truth value.
    pub(super) fn truth(&mut self, name: &str, faults: &mut Faults) -> Option<bool> {
        let read = self.take(name)?.as_bool();
        if read.is_none() {
            faults.invalid(self.path(name), "must be true or false");
        }
        read
    }

    /// Takes out a list of texts.
    pub(super) fn texts(&mut self, name: &str, faults: &mut Faults) -> Option<Vec<String>> {
        let read = read_texts(self.take(name)?);
        if read.is_none() {
            faults.invalid(self.path(name), "must be an array of strings");
        }
        read
    }

    /// Takes out an object.
    pub(super) fn object(&mut self, name: &str, faults: &mut Faults) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(members) => Some(members),
            _ => {
                faults.invalid(self.path(name), "must be an object");
                None
            }
        }
    }

    /// Names of the members that nobody took out.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.left.keys().map(String::as_str)
    }
}

/// A list of texts, where it is one.
pub(super) fn read_texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(entries) = value else { return None };
    let read = entries.into_iter().map(|entry| match entry {
        Value::String(text) => Some(text),
        _ => None,
    });
    read.collect()
}
