//! JSON Schemas of payloads, draft-04 to 2020-12. Remote references are never
//! fetched: a schema that has one is refused.

use serde::Deserialize;
use serde_json::Value;

/// A schema that was compiled once.
#[derive(Debug)]
pub struct Schema(jsonschema::Validator);

/// A payload has this many faults named, at most.
const FAULTS_NAMED: usize = 10;

impl Schema {
    /// Compiles a schema. The draft is that of `$schema`, 2020-12 where it says none.
    ///
    /// # Errors
    ///
    /// In words: no JSON, no JSON Schema, or a reference to elsewhere.
    pub fn compile(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err("is no JSON Schema: it must be an object or a boolean".to_owned());
        }
        jsonschema::options().build(&schema).map(Self).map_err(|e| {
            let at = e.instance_path().as_str();
            format!("is no JSON Schema that can be used: {e}{}", at_pointer(at))
        })
    }

    /// What is wrong with a payload that is known to be JSON, each fault with its
    /// JSON Pointer; the first ten.
    pub fn faults(&self, payload: &str) -> Vec<String> {
        let mut reader = serde_json::Deserializer::from_str(payload);
        // The levels were counted already, and the parser's own limit is lower.
        reader.disable_recursion_limit();
        let value = match Value::deserialize(&mut reader) {
            Ok(value) => value,
            // JSON may have numbers that no double holds, and halves of surrogate pairs.
            Err(error) => return vec![format!("cannot be compared with the schema: {error}")],
        };
        (self.0.iter_errors(&value).take(FAULTS_NAMED))
            .map(|fault| {
                let at = fault.instance_path().as_str();
                format!("{}{}", fault.masked(), at_pointer(at))
            })
            .collect()
    }
}

fn at_pointer(pointer: &str) -> String {
    if pointer.is_empty() { " at the root".to_owned() } else { format!(" at {pointer}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue;

    #[test]
    fn faults_are_named_with_their_pointer() {
        let schema = Schema::compile(catalogue::schema("transaction")).expect("a schema");
        let good = r#"{"ingestionTimestamp":1,"name":"n","description":"d",
            "attributes":{"transactionNumber":"n1","transactionId":9007199254740993}}"#;
        assert!(schema.faults(good).is_empty());
        let bad = r#"{"ingestionTimestamp":"1","name":"n","description":"d","attributes":{"transactionId":1}}"#;
        let faults = schema.faults(bad).join("\n");
        assert!(
            faults.contains("/ingestionTimestamp") && faults.contains("/attributes"),
            "{faults}"
        );
    }

    #[test]
    fn what_cannot_be_compared_is_a_fault_and_not_a_pass() {
        let schema = Schema::compile(r#"{"required":["b"]}"#).expect("a schema");
        for payload in [r#"{"a":1e999}"#, r#"{"a":"\ud800"}"#] {
            assert_eq!(crate::domain::json::check_payload(payload), Ok(()));
            assert_eq!(schema.faults(payload).len(), 1, "{payload}");
        }
    }

    #[test]
    fn bad_schemas_are_refused() {
        let remote = r#"{"$ref":"http://schemas.example/other.json"}"#;
        for bad in ["", "{", "1", r#"{"type":"nonsense"}"#, r#"{"type":12}"#, remote] {
            assert!(Schema::compile(bad).is_err(), "{bad}");
        }
        assert!(Schema::compile("{}").is_ok());
    }

    #[test]
    fn payloads_of_any_allowed_depth_are_checked() {
        let deep = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
        let schema = Schema::compile(r#"{"required":["b"]}"#).expect("a schema");
        assert_eq!(schema.faults(&deep).len(), 1);
    }
}
