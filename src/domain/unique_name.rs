//! Names for owners who need not care whether a name is taken.

use super::limits;

/// The name that is wanted, or where that is taken the first of `NAME (2)`, `NAME (3)` … that is
/// not. A long name is cut so that all of it fits.
pub fn unique_name(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1u64;
    while is_taken(&name) {
        number += 1;
        let suffix = format!(" ({number})");
        let kept = limits::NAME_CHARS.saturating_sub(suffix.len());
        name = wanted.chars().take(kept).chain(suffix.chars()).collect();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_is_free_is_taken() {
        let name = |taken: &[&str]| unique_name("a", |name| taken.contains(&name));
        assert_eq!(name(&[]), "a");
        assert_eq!(name(&["a", "a (3)"]), "a (2)");
        assert_eq!(name(&["a", "a (2)", "a (3)"]), "a (4)");
    }

    #[test]
    fn names_stay_within_their_limit() {
        let long = "ä".repeat(limits::NAME_CHARS);
        let name = unique_name(&long, |name| name == long);
        assert_eq!(name.chars().count(), limits::NAME_CHARS);
        assert!(name.ends_with("ä (2)"), "{name}");
    }
}
