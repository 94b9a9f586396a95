//! Answers compared with documented samples: members in the same order, values of the same
//! types and formats, and equal but for those that differ from call to call.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Panics where an answer differs from a sample. Values of members named in `free` need to
/// be of the sample's type and format only. Objects may have members after the sample's.
pub(crate) fn assert_like(sample: &str, answer: &str, free: &[&str]) {
    compare(sample, answer, "", free);
}

fn compare(sample: &str, answer: &str, at: &str, free: &[&str]) {
    match sample.as_bytes().first() {
        Some(b'{') => {
            let (wanted, given) = (members(sample), members(answer));
            let names = |members: &Members| -> Vec<String> {
                members.0.iter().take(wanted.0.len()).map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&given), names(&wanted), "members of {at}");
            for ((name, wanted), (_, given)) in wanted.0.iter().zip(&given.0) {
                compare(wanted.get(), given.get(), &format!("{at}/{name}"), free);
            }
        }
        Some(b'[') => {
            let (wanted, given) = (elements(sample), elements(answer));
            assert_eq!(given.len(), wanted.len(), "length of {at}");
            for (i, (wanted, given)) in wanted.iter().zip(&given).enumerate() {
                compare(wanted.get(), given.get(), &format!("{at}/{i}"), free);
            }
        }
        _ if free.iter().any(|name| at.ends_with(&format!("/{name}"))) => {
            assert_eq!(format_of(answer), format_of(sample), "{at}: {answer} for {sample}");
        }
        _ => assert_eq!(answer, sample, "{at}"),
    }
}

/// What stays the same of a value: of times and UUIDs their pattern, of numbers whether they
/// have a decimal point, of other texts that they are texts.
fn format_of(value: &str) -> String {
    let Some(text) = value.strip_prefix('"') else {
        let number = value.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        return match number {
            true if value.contains('.') => "a number with a point".to_owned(),
            true => "a whole number".to_owned(),
            false => value.to_owned(),
        };
    };
    let text = text.trim_end_matches('"');
    let pattern: String =
        text.chars().map(|c| if c.is_ascii_hexdigit() { '#' } else { c }).collect();
    let known = [
        "####-##-##T##:##:##.###+####",
        "####-##-##T##:##:##.#######+##:##",
        "########-####-####-####-############",
    ];
    match pattern.as_str() {
        "########################" => "24 hex digits".to_owned(),
        pattern if known.contains(&pattern) => pattern.to_owned(),
        _ => "a text".to_owned(),
    }
}

fn members(text: &str) -> Members {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no object: {error}: {text}"))
}

fn elements(text: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no array: {error}: {text}"))
}

struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(InOrder)
    }
}

#[test]
fn answers_that_differ_are_told_from_those_that_do_not() {
    let sample = r#"{"a": [{"n": 200.0, "t": "2020-04-23T11:10:51.351+0530", "x": null}], "b": 1}"#;
    let like = |answer: &'static str| {
        std::panic::catch_unwind(move || assert_like(sample, answer, &["n", "t"])).is_ok()
    };
    assert!(like(r#"{"a":[{"n":3.5,"t":"2026-11-21T00:00:00.000+0000","x":null}],"b":1,"c":2}"#));
    for bad in [
        r#"{"b":1,"a":[{"n":3.5,"t":"2026-11-21T00:00:00.000+0000","x":null}]}"#,
        r#"{"a":[{"n":3,"t":"2026-11-21T00:00:00.000+0000","x":null}],"b":1}"#,
        r#"{"a":[{"n":3.5,"t":"2026-11-21T00:00:00.000Z","x":null}],"b":1}"#,
        r#"{"a":[{"n":3.5,"t":"2026-11-21T00:00:00.000+0000","x":7}],"b":1}"#,
        r#"{"a":[{"n":3.5,"t":"2026-11-21T00:00:00.000+0000","x":null}],"b":2}"#,
        r#"{"a":[],"b":1}"#,
    ] {
        assert!(!like(bad), "{bad}");
    }
}
