//! JSON objects whose members keep their order and their text: names of headers stay
//! in the caller's order, payloads stay byte for byte.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{codes::Code, envelope::Remark};
use crate::{
    domain::{error::Faults, limits},
    http::body::BodyFault,
};

/// Members that an object may have: each that is not known is answered with a warning.
const MEMBERS: usize = 1_000;

/// An object whose members are taken out one after the other.
pub(super) struct Object {
    /// What stands before the names of its members in faults.
    prefix: String,
    members: Vec<(String, Box<RawValue>)>,
}

impl Object {
    /// Reads the body of a request. A member that is given twice is a fault.
    ///
    /// # Errors
    ///
    /// Where it is no JSON object.
    pub(super) fn read(body: &[u8], faults: &mut Faults) -> Result<Self, BodyFault> {
        let members = serde_json::from_slice(body);
        let members = members.map_err(|error| BodyFault::Malformed(error.to_string()))?;
        Ok(Self::of(members, String::new(), faults))
    }

    fn of(Pairs(pairs): Pairs, prefix: String, faults: &mut Faults) -> Self {
        let mut object = Self { prefix, members: Vec::with_capacity(pairs.len()) };
        for (name, value) in pairs {
            if object.members.iter().any(|(known, _)| *known == name) {
                faults.invalid(object.path(&name), "is given twice");
            } else {
                object.members.push((name, value));
            }
        }
        object
    }

    /// The path of a member, as faults name it.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{}", self.prefix, short(name))
    }

    /// Takes a member out, whatever it is, null too.
    pub(super) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(at).1)
    }

    /// Takes out a value; null counts as absent.
    fn value<T: DeserializeOwned>(
        &mut self,
        name: &str,
        wanted: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        let raw = self.take(name).filter(|raw| !is_null(raw))?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            faults.invalid(self.path(name), format!("must be {wanted}"));
        }
        value
    }

    /// Takes out a text.
    pub(super) fn text(&mut self, name: &str, faults: &mut Faults) -> Option<String> {
        self.value(name, "a string", faults)
    }

    /// Takes out true or false.
    pub(super) fn truth(&mut self, name: &str, faults: &mut Faults) -> Option<bool> {
        self.value(name, "true or false", faults)
    }

    /// Takes out a list of texts.
    pub(super) fn texts(&mut self, name: &str, faults: &mut Faults) -> Option<Vec<String>> {
        self.value(name, "an array of strings", faults)
    }

    /// Takes out a whole number that is not negative; `30.0` is one.
    pub(super) fn count(&mut self, name: &str, faults: &mut Faults) -> Option<u32> {
        let wanted = "a whole number that is not negative";
        let number: f64 = self.value(name, wanted, faults)?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Some(number as u32);
        }
        faults.invalid(self.path(name), format!("must be {wanted}"));
        None
    }

    /// Takes out an object.
    pub(super) fn object(&mut self, name: &str, faults: &mut Faults) -> Option<Self> {
        let pairs = self.value(name, "an object", faults)?;
        let prefix = format!("{}.", self.path(name));
        Some(Self::of(pairs, prefix, faults))
    }

    /// All that is left, whatever it is.
    pub(super) fn all(self) -> Vec<(String, Box<RawValue>)> {
        self.members
    }

    /// All that is left, each of which has to be a text.
    pub(super) fn all_texts(self, faults: &mut Faults) -> Vec<(String, String)> {
        let mut texts = Vec::with_capacity(self.members.len());
        for (name, raw) in &self.members {
            match serde_json::from_str(raw.get()) {
                Ok(text) => texts.push((name.clone(), text)),
                Err(_) => faults.invalid(self.path(name), "must be a string"),
            }
        }
        texts
    }

    /// A warning for each member that nobody took out.
    pub(super) fn ignored(&self) -> impl Iterator<Item = Remark> {
        self.members.iter().map(|(name, _)| {
            let message = format!("{} is not known and was ignored", short(name));
            Remark::warning(Code::MemberIgnored, message)
        })
    }
}

/// Whether a member is null.
pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A name as it is told: of one that is too long, its beginning.
fn short(name: &str) -> String {
    name.chars().take(limits::NAME_CHARS).collect()
}

/// The members of an object as they stand in the text.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object with at most {MEMBERS} members")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() == MEMBERS {
                        return Err(serde::de::Error::invalid_length(MEMBERS + 1, &self));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        from.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Object, Faults) {
        let mut faults = Faults::default();
        let object = Object::read(text.as_bytes(), &mut faults).unwrap_or_else(|e| panic!("{e}"));
        (object, faults)
    }

    fn told(faults: Faults) -> Vec<String> {
        let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
        violations.into_iter().map(|v| format!("{} {}", v.field, v.message)).collect()
    }

    #[test]
    fn members_keep_their_text_and_their_order() {
        let (mut object, mut faults) =
            read(r#"{"data": {"n":1.10, "n":9007199254740993}, "z":"1","a":"2"}"#);
        let data = object.take("data").expect("a member");
        assert_eq!(data.get(), r#"{"n":1.10, "n":9007199254740993}"#);
        let texts = object.all_texts(&mut faults);
        assert_eq!(texts, [("z".into(), "1".into()), ("a".into(), "2".into())]);
        assert!(faults.is_empty());
    }

    #[test]
    fn null_is_absent_and_what_is_wrong_is_named() {
        let (mut object, mut faults) = read(
            r#"{"a":null,"b":7,"c":"x","d":[1],"e":-1,"f":1.5,"g":"true","h":[],"o":{"x":1,"x":2},"b":8}"#,
        );
        assert_eq!(object.text("a", &mut faults), None);
        assert_eq!(object.text("b", &mut faults), None);
        assert_eq!(object.count("c", &mut faults), None);
        assert_eq!(object.texts("d", &mut faults), None);
        assert_eq!(object.count("e", &mut faults), None);
        assert_eq!(object.count("f", &mut faults), None);
        assert_eq!(object.truth("g", &mut faults), None);
        assert!(object.object("h", &mut faults).is_none());
        let inner = object.object("o", &mut faults).expect("an object");
        assert!(inner.all_texts(&mut faults).is_empty());
        assert_eq!(
            told(faults),
            [
                "b is given twice",
                "b must be a string",
                "c must be a whole number that is not negative",
                "d must be an array of strings",
                "e must be a whole number that is not negative",
                "f must be a whole number that is not negative",
                "g must be true or false",
                "h must be an object",
                "o.x is given twice",
                "o.x must be a string",
            ]
        );
        assert_eq!(object.ignored().count(), 0);
    }

    #[test]
    fn what_is_no_object_of_a_size_is_refused() {
        let many: Vec<_> = (0..=MEMBERS).map(|i| format!("\"{i}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        let deep = format!("{{\"a\":{}}}", "[".repeat(100_000));
        for bad in ["", "[]", "null", "7", "{", "{\"a\"}", "{} {}", "{'a':1}", &many, &deep] {
            assert!(Object::read(bad.as_bytes(), &mut Faults::default()).is_err(), "{bad:.40}");
        }
        let (object, _) = read(&format!("{{\"{}\":1}}", "n".repeat(100_000)));
        let told = serde_json::to_string(&object.ignored().next()).expect("JSON");
        assert!(told.contains("nnn is not known") && told.len() < 2 * limits::NAME_CHARS, "{told}");
    }
}
