//! Payloads are JSON text that is kept byte for byte: checked here, never rewritten.

use serde::de::IgnoredAny;

use super::limits;

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// It is larger than that many bytes.
    #[error("must be at most {0} bytes")]
    TooLarge(usize),
    /// It is nested deeper than that many levels.
    #[error("must be nested at most {0} levels deep")]
    TooDeep(usize),
    /// It has U+0000, raw or escaped, which many receivers and databases cannot hold.
    #[error("must not contain U+0000")]
    Null,
    /// It is no JSON text.
    #[error("is not valid JSON: {0}")]
    Syntax(String),
    /// It is JSON, but no object.
    #[error("must be a JSON object")]
    NoObject,
}

/// Checks that a text is a JSON object within the limits, without building it.
pub fn check_payload(text: &str) -> Result<(), JsonFault> {
    if text.len() > limits::PAYLOAD_BYTES {
        return Err(JsonFault::TooLarge(limits::PAYLOAD_BYTES));
    }
    check_bytes(text.as_bytes(), limits::PAYLOAD_DEPTH)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| JsonFault::Syntax(e.to_string()))?;
    if text.trim_start().starts_with('{') { Ok(()) } else { Err(JsonFault::NoObject) }
}

/// Checks one enrichment block: JSON of any kind, or an object where it must be one. Its
/// size is for the caller, who knows of the others.
pub fn check_block(text: &str, must_be_object: bool) -> Result<(), JsonFault> {
    check_bytes(text.as_bytes(), limits::ENRICHMENT_DEPTH)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| JsonFault::Syntax(e.to_string()))?;
    let is_object = text.trim_start().starts_with('{');
    if is_object || !must_be_object { Ok(()) } else { Err(JsonFault::NoObject) }
}

/// Checks the size of static properties, which are known to be a JSON object.
pub fn check_properties(text: &str) -> Result<(), JsonFault> {
    if text.len() > limits::PROPERTIES_BYTES {
        return Err(JsonFault::TooLarge(limits::PROPERTIES_BYTES));
    }
    check_bytes(text.as_bytes(), limits::PROPERTIES_DEPTH)
}

/// Looks for U+0000 and for too many levels in one pass. What is no JSON at all
/// is left to the parser, which says where.
fn check_bytes(bytes: &[u8], levels: usize) -> Result<(), JsonFault> {
    let (mut depth, mut in_string) = (0usize, false);
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            0 => return Err(JsonFault::Null),
            b'\\' if in_string => {
                if tail.starts_with(b"u0000") {
                    return Err(JsonFault::Null);
                }
                rest = tail.get(1..).unwrap_or_default();
            }
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > levels {
                    return Err(JsonFault::TooDeep(levels));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_within_the_limits_pass() {
        let deep = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
        let big = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::PAYLOAD_BYTES - 8));
        for good in
            ["{}", " {\"a\":[1,2,{}]} ", r#"{"a":"[[[\"{\\"}"#, r#"{"a":"\\u0000"}"#, &deep, &big]
        {
            assert_eq!(check_payload(good), Ok(()), "{}", &good[..good.len().min(60)]);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_own_fault() {
        let deep = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
        let big = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::PAYLOAD_BYTES - 7));
        assert_eq!(check_payload(&deep), Err(JsonFault::TooDeep(limits::PAYLOAD_DEPTH)));
        assert_eq!(
            check_payload(&"[".repeat(200_000)),
            Err(JsonFault::TooDeep(limits::PAYLOAD_DEPTH))
        );
        assert_eq!(check_payload(&big), Err(JsonFault::TooLarge(limits::PAYLOAD_BYTES)));
        assert_eq!(check_payload("{\"a\":\"\0\"}"), Err(JsonFault::Null));
        assert_eq!(check_payload(r#"{"a":"x\u0000"}"#), Err(JsonFault::Null));
        for array in ["[1]", "1", "null", "\"{}\""] {
            assert_eq!(check_payload(array), Err(JsonFault::NoObject), "{array}");
        }
        for broken in
            ["", "{", "{\"a\":}", "{} {}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}", "\u{feff}{}"]
        {
            assert!(matches!(check_payload(broken), Err(JsonFault::Syntax(_))), "{broken}");
        }
    }

    /// JSON, and what nearly is: any text in strings, escapes good and bad, large
    /// numbers, keys twice.
    fn nearly_json() -> impl Strategy<Value = String> {
        let text = || {
            let part = prop_oneof![
                3 => "[a-c{}:,\\[\\] ]{0,3}",
                1 => "\\PC{0,3}",
                1 => "\\\\[\"\\\\/bfnrtux0]",
                1 => "\\\\u[0-9a-fA-F]{4}",
                1 => any::<char>().prop_map(String::from),
            ];
            prop::collection::vec(part, 0..3).prop_map(|parts| format!("\"{}\"", parts.concat()))
        };
        let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?";
        let leaf = prop_oneof![number.prop_map(String::from), text(), "null|true|false|tru|NaN|01"];
        let value = leaf.prop_recursive(6, 40, 4, move |inner| {
            let member =
                (text(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(" ,"))),
                prop::collection::vec(member, 0..4).prop_map(|m| format!("{{{}}}", m.join(","))),
            ]
        });
        let member = (text(), value).prop_map(|(name, value)| format!("{name}:{value}"));
        prop::collection::vec(member, 0..4).prop_map(|m| format!("\t{{{}}} \r\n", m.join(",")))
    }

    /// The two things that JSON has and serde_json's values have not.
    fn is_beyond_values(error: &serde_json::Error) -> bool {
        let error = error.to_string();
        ["number out of range", "surrogate", "unexpected end of hex escape"]
            .iter()
            .any(|known| error.contains(known))
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[\\[\\]{}\",:\\\\u0]*|(?s).{0,40}") {
            let _ = check_payload(&text);
        }

        #[test]
        fn what_it_accepts_is_an_object_to_the_parser(
            text in prop_oneof!["[{}\\[\\]\",:a1\\\\ ]{0,24}".prop_map(String::from), nearly_json()],
        ) {
            let parsed = serde_json::from_str::<serde_json::Value>(&text);
            match (check_payload(&text), parsed) {
                (Ok(()), Ok(value)) => prop_assert!(value.is_object()),
                (Ok(()), Err(error)) => prop_assert!(is_beyond_values(&error), "{}", error),
                // What the parser takes is refused for U+0000 only, being small and no array.
                (Err(JsonFault::Null), _) => prop_assert!(text.contains("\\u0000") || text.contains('\0')),
                (Err(JsonFault::NoObject), Ok(value)) => prop_assert!(!value.is_object()),
                (Err(fault), parsed) => {
                    prop_assert!(parsed.is_err() && !fault.to_string().is_empty(), "{}", fault);
                }
            }
        }

        #[test]
        fn the_level_that_is_too_deep_is_found_at_any_shape(
            shape in prop::collection::vec(any::<bool>(), 1..300),
        ) {
            // The outermost is an object, so that only the depth can be wrong.
            let open = |array: &bool| if *array { "[" } else { "{\"[\\\"{\":" };
            let close = |array: &bool| if *array { "]" } else { "}" };
            let opened: String = shape.iter().map(open).collect();
            let closed: String = shape.iter().rev().map(close).collect();
            let expected = if shape.len() < limits::PAYLOAD_DEPTH {
                Ok(())
            } else {
                Err(JsonFault::TooDeep(limits::PAYLOAD_DEPTH))
            };
            prop_assert_eq!(check_payload(&format!("{{\"\":{opened}0{closed}}}")), expected);
        }
    }
}
