//! The members of a JSON object as the text that they are written in.

/// One member: its name, decoded, and the text of name and value.
pub struct Member<'a> {
    /// Decoded.
    pub name: String,
    /// As written, quotes included.
    pub raw_name: &'a str,
    /// As written.
    pub value: &'a str,
}

/// The members of an object, in order. `object` is known to be valid JSON; of what
/// is not, members are left out.
pub fn members(object: &str) -> Vec<Member<'_>> {
    let text = object.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_default();
    split(inner, b',').into_iter().filter_map(member).collect()
}

fn member(text: &str) -> Option<Member<'_>> {
    let colon = split(text, b':').first()?.len();
    let (raw_name, value) = (text.get(..colon)?.trim(), text.get(colon + 1..)?.trim());
    // A name that is no Unicode text, such as half a surrogate pair, is none of ours.
    let name = serde_json::from_str(raw_name).unwrap_or_default();
    Some(Member { name, raw_name, value })
}

/// Splits at a separator that stands in no string and in nothing nested.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ if byte == separator && depth == 0 => {
                // The separator is ASCII, so both sides are whole characters.
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text() {
        let object =
            r#" { "a,\"":[1, {"x":"}:,"}] ,"\u0062" : 9007199254740993,"ü":"\\","a,\"":1.10 } "#;
        let found: Vec<_> =
            members(object).into_iter().map(|m| (m.name, m.raw_name, m.value)).collect();
        let expected = [
            ("a,\"", r#""a,\"""#, r#"[1, {"x":"}:,"}]"#),
            ("b", r#""\u0062""#, "9007199254740993"),
            ("ü", r#""ü""#, r#""\\""#),
            ("a,\"", r#""a,\"""#, "1.10"),
        ];
        assert_eq!(found, expected.map(|(name, raw, value)| (name.to_owned(), raw, value)));
        assert!(members("{ }").is_empty());
    }
}
