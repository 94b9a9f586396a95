//! Enrichment: details of an event that only webhooks which ask for them receive. That
//! is how personal data stays out of all others.

use std::{collections::HashSet, fmt::Write, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{error::Faults, json, limits, members::members, text};

/// The block that is picked by identifier.
const CUSTOMER_IDENTIFIERS: &str = "customerIdentifiers";
/// All blocks, in the order in which bodies have them.
const BLOCKS: [&str; 5] = [
    "tillDetails",
    "storeDetails",
    "awardedReference",
    "availablePointsBalance",
    CUSTOMER_IDENTIFIERS,
];

/// Which blocks a webhook asks for; none unless it says so. Stored as JSON: a new
/// member needs a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Enrichment {
    /// `tillDetails`.
    pub till_details: bool,
    /// `storeDetails`.
    pub store_details: bool,
    /// `awardedReference`.
    pub awarded_reference: bool,
    /// `availablePointsBalance`.
    pub available_points_balance: bool,
    /// These members of `customerIdentifiers`.
    pub customer_identifiers: Vec<String>,
}

impl Enrichment {
    /// Whether no block is asked for.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what is wrong with it to `faults`, under the path `webhook.enrichment`.
    pub(super) fn check(&self, faults: &mut Faults) {
        let at = "webhook.enrichment.customer_identifiers";
        if self.customer_identifiers.len() > limits::CUSTOMER_IDENTIFIERS {
            let message = format!("must have at most {} names", limits::CUSTOMER_IDENTIFIERS);
            faults.invalid(at, message);
            return;
        }
        let mut seen = HashSet::new();
        for (i, name) in self.customer_identifiers.iter().enumerate() {
            let at = format!("{at}[{i}]");
            text::check_name(faults, &at, name);
            if !seen.insert(name) {
                faults.invalid(at, "is named twice");
            }
        }
    }

    fn asks_for(&self, block: &str) -> bool {
        match block {
            "tillDetails" => self.till_details,
            "storeDetails" => self.store_details,
            "awardedReference" => self.awarded_reference,
            "availablePointsBalance" => self.available_points_balance,
            CUSTOMER_IDENTIFIERS => !self.customer_identifiers.is_empty(),
            _ => false,
        }
    }

    /// The blocks of an event that are asked for, by name, as they are written. A block
    /// that the event lacks is left out, and so is an identifier.
    pub(super) fn pick(&self, blocks: Option<&Blocks>) -> Vec<(&'static str, String)> {
        let Some(blocks) = blocks.filter(|_| !self.is_none()) else { return Vec::new() };
        let given = members(blocks.as_str());
        let wanted = BLOCKS.into_iter().filter(|name| self.asks_for(name));
        wanted
            .filter_map(|name| {
                let value = given.iter().find(|member| member.name == name)?.value;
                match name {
                    CUSTOMER_IDENTIFIERS => Some((name, self.pick_identifiers(value)?)),
                    _ => Some((name, value.to_owned())),
                }
            })
            .collect()
    }

    fn pick_identifiers(&self, object: &str) -> Option<String> {
        let given = members(object);
        let mut picked = String::new();
        for wanted in &self.customer_identifiers {
            // Of a name written twice the last one counts, as for most parsers.
            if let Some(member) = given.iter().rfind(|member| member.name == *wanted) {
                picked.push(if picked.is_empty() { '{' } else { ',' });
                // Writing to a String cannot fail.
                let _ = write!(picked, "{}:{}", member.raw_name, member.value);
            }
        }
        (!picked.is_empty()).then(|| picked + "}")
    }
}

/// The blocks of one event: JSON text of an object by block, each as it was published.
/// Never an empty one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks(Arc<str>);

impl Blocks {
    /// Puts blocks together, JSON text by name; what is wrong with them is added to
    /// `faults`, under the path `at`. None where there are none.
    pub fn read<'a>(
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
        at: &str,
        faults: &mut Faults,
    ) -> Option<Self> {
        let mut given: Vec<_> = given.into_iter().collect();
        given.sort_unstable();
        if given.iter().map(|(_, value)| value.len()).sum::<usize>() > limits::ENRICHMENT_BYTES {
            let message = format!("must be at most {} bytes together", limits::ENRICHMENT_BYTES);
            faults.invalid(at, message);
            return None;
        }
        let mut object = String::new();
        for (name, value) in given {
            let at = format!("{at}[{}]", short(name));
            if !BLOCKS.contains(&name) {
                faults.invalid(at, format!("is none of {}", BLOCKS.join(", ")));
                continue;
            }
            let of_identifiers = name == CUSTOMER_IDENTIFIERS;
            if let Err(fault) = json::check_block(value, of_identifiers) {
                faults.invalid(at, fault.to_string());
                continue;
            }
            object.push(if object.is_empty() { '{' } else { ',' });
            let _ = write!(object, "\"{name}\":{}", value.trim());
        }
        (!object.is_empty()).then(|| Self((object + "}").into()))
    }

    /// As the store kept it.
    pub fn stored(object: String) -> Self {
        Self(object.into())
    }

    /// JSON text of the object.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The blocks, JSON text by name.
    pub fn by_name(&self) -> impl Iterator<Item = (String, String)> {
        members(&self.0).into_iter().map(|member| (member.name, member.value.to_owned()))
    }
}

fn short(name: &str) -> String {
    name.escape_default().take(limits::NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Option<Blocks>, Vec<String>> {
        let mut faults = Faults::default();
        let blocks = Blocks::read(given.iter().copied(), "e", &mut faults);
        match faults.check() {
            Ok(()) => Ok(blocks),
            Err(error) => Err(error.violations.into_iter().map(|v| v.field).collect()),
        }
    }

    #[test]
    fn only_what_is_asked_for_is_picked_byte_for_byte() {
        let ids = r#" {"mobile":"+49 1","email":"a@b", "id":9007199254740993} "#;
        let given = [("customerIdentifiers", ids), ("tillDetails", "{ \"a\":1.10}")];
        let blocks = read(&given).expect("good");
        let pick = |asks: &Enrichment| asks.pick(blocks.as_ref());
        assert!(pick(&Enrichment::default()).is_empty());
        let till = Enrichment { till_details: true, store_details: true, ..Enrichment::default() };
        assert_eq!(pick(&till), [("tillDetails", "{ \"a\":1.10}".to_owned())]);
        let of = |names: &[&str]| Enrichment {
            customer_identifiers: names.iter().map(|&name| name.into()).collect(),
            ..Enrichment::default()
        };
        let picked = r#"{"id":9007199254740993,"email":"a@b"}"#.to_owned();
        assert_eq!(pick(&of(&["id", "email", "none"])), [("customerIdentifiers", picked)]);
        assert!(pick(&of(&["none"])).is_empty());
        assert!(till.pick(None).is_empty());
    }

    #[test]
    fn each_fault_has_its_place() {
        let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
        let faults = read(&[
            ("other", "{}"),
            ("tillDetails", "{"),
            ("storeDetails", ""),
            ("awardedReference", &deep),
            ("availablePointsBalance", "\"\\u0000\""),
            ("customerIdentifiers", "[1]"),
        ]);
        let at = [
            "e[availablePointsBalance]",
            "e[awardedReference]",
            "e[customerIdentifiers]",
            "e[other]",
            "e[storeDetails]",
            "e[tillDetails]",
        ];
        assert_eq!(faults, Err(at.map(str::to_owned).to_vec()));
        let big = format!("\"{}\"", "x".repeat(limits::ENRICHMENT_BYTES));
        assert_eq!(read(&[("tillDetails", &big)]), Err(vec!["e".to_owned()]));
        assert_eq!(read(&[]), Ok(None));
        assert!(read(&[("availablePointsBalance", "17.50")]).expect("a number").is_some());
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_asked_for_comes_through(
            till: bool, store: bool, awarded: bool, points: bool,
            names in prop::collection::hash_set("[a-c]", 0..3),
        ) {
            let ids = r#"{"a":"secret-a","b":"secret-b","c":"secret-c"}"#;
            let given = BLOCKS.map(|name| (name, if name == CUSTOMER_IDENTIFIERS { ids } else { "7" }));
            let blocks = read(&given).expect("good");
            let asks = Enrichment {
                till_details: till,
                store_details: store,
                awarded_reference: awarded,
                available_points_balance: points,
                customer_identifiers: names.iter().cloned().collect(),
            };
            let picked = asks.pick(blocks.as_ref());
            for (block, asked) in
                BLOCKS.into_iter().zip([till, store, awarded, points, !names.is_empty()])
            {
                prop_assert_eq!(picked.iter().any(|(name, _)| *name == block), asked);
            }
            for name in ["a", "b", "c"] {
                let there = picked.iter().any(|(_, v)| v.contains(&format!("secret-{name}")));
                prop_assert_eq!(there, names.contains(name));
            }
        }
    }
}
