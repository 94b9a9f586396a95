//! Query parameters, taken out one by one, so that all faults are told at once.

use std::{ops::RangeInclusive, str::FromStr};

use url::form_urlencoded;

use crate::domain::{error::Faults, limits};

/// The parameters of a request that nobody took out yet.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a request.
    pub(super) fn of(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn take(&mut self, name: &str) -> Vec<String> {
        let taken = self.0.extract_if(.., |(known, _)| known == name);
        taken.map(|(_, value)| value).collect()
    }

    /// Takes out all values of a parameter; an empty one counts as absent.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let mut texts = self.take(name);
        texts.retain(|text| !text.is_empty());
        texts
    }

    /// Takes out the one value of a parameter; an empty one counts as absent.
    pub(super) fn text(&mut self, name: &str, faults: &mut Faults) -> Option<String> {
        let texts = self.texts(name);
        only(name, texts, faults)
    }

    /// Takes out all values of a parameter, each of which has to be of a kind.
    pub(super) fn all<T: FromStr>(
        &mut self,
        name: &str,
        wanted: &str,
        faults: &mut Faults,
    ) -> Vec<T> {
        let mut read = Vec::new();
        for text in self.take(name) {
            match text.parse() {
                Ok(value) => read.push(value),
                Err(_) if faults.names(name) => {}
                Err(_) => faults.invalid(name, format!("must be {wanted}")),
            }
        }
        read
    }

    /// Takes out the one value of a parameter, which has to be of a kind.
    pub(super) fn one<T: FromStr>(
        &mut self,
        name: &str,
        wanted: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        let texts = self.take(name);
        let value = only(name, texts, faults)?.parse().ok();
        if value.is_none() {
            faults.invalid(name, format!("must be {wanted}"));
        }
        value
    }

    /// Takes out how many results are wanted, or left out: a number in this range.
    pub(super) fn count(
        &mut self,
        name: &str,
        range: RangeInclusive<i32>,
        faults: &mut Faults,
    ) -> Option<i32> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let count: i32 = self.one(name, &wanted, faults)?;
        if !range.contains(&count) {
            faults.invalid(name, format!("must be {wanted}"));
            return None;
        }
        Some(count)
    }

    /// Names of the parameters that nobody took out; of many, the first ones.
    pub(super) fn left(&self) -> impl Iterator<Item = String> {
        const TOLD: usize = 100;
        let names = self.0.iter().take(TOLD);
        names.map(|(name, _)| name.chars().take(limits::NAME_CHARS).collect())
    }
}

/// The one value of a parameter; of several the last.
fn only(name: &str, mut values: Vec<String>, faults: &mut Faults) -> Option<String> {
    if values.len() > 1 {
        faults.invalid(name, "is given twice");
    }
    values.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_once_and_what_is_wrong_is_named() {
        let mut faults = Faults::default();
        let query = "a=1&b=x&b=y&c=no&d=&limit=0&e=true&e=false&f=%ff%2B+z&g=&h=&x=1";
        let mut parameters = Parameters::of(Some(query));
        assert_eq!(parameters.one::<u16>("a", "a number", &mut faults), Some(1));
        assert_eq!(parameters.texts("b"), ["x", "y"]);
        assert_eq!(parameters.one::<bool>("c", "true or false", &mut faults), None);
        assert_eq!(parameters.text("d", &mut faults), None);
        assert_eq!(parameters.count("limit", 1..=1_000, &mut faults), None);
        assert_eq!(parameters.one::<bool>("e", "true or false", &mut faults), Some(false));
        assert_eq!(parameters.text("f", &mut faults).as_deref(), Some("\u{fffd}+ z"));
        assert_eq!(parameters.one::<u16>("g", "a number", &mut faults), None);
        assert!(parameters.all::<u16>("h", "a number", &mut faults).is_empty());
        assert_eq!(parameters.left().collect::<Vec<_>>(), ["x"]);
        let told = faults.into_error().violations;
        assert_eq!(
            told.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(),
            ["c", "limit", "e", "g", "h"]
        );
    }
}
