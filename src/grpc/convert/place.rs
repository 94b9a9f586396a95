//! Where something stands in a message.

use std::fmt;

/// Characters of a key that are shown.
const KEY_CHARS: usize = 64;

/// A place in a message that callers nest as they like. Put into words only where it
/// is at fault: keys are the caller's, and there may be a million places below a key
/// of a megabyte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// A field of the request.
    Field(&'a str),
    /// A member of an object.
    Key(&'a Place<'a>, &'a str),
    /// An element of a list.
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(path) => f.write_str(path),
            Self::Index(list, index) => write!(f, "{list}[{index}]"),
            Self::Key(object, key) => {
                write!(f, "{object}.")?;
                match key.char_indices().nth(KEY_CHARS) {
                    Some((end, _)) => write!(f, "{}...", key[..end].escape_default()),
                    None => write!(f, "{}", key.escape_default()),
                }
            }
        }
    }
}

impl From<&Place<'_>> for String {
    fn from(place: &Place<'_>) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_a_path_and_long_keys_are_cut() {
        let (root, long) = (Place::Field("event.object"), "ü".repeat(KEY_CHARS + 1));
        let list = Place::Key(&root, "a\n");
        assert_eq!(Place::Index(&list, 7).to_string(), "event.object.a\\n[7]");
        let cut = format!("event.object.{}...", "\\u{fc}".repeat(KEY_CHARS));
        assert_eq!(Place::Key(&root, &long).to_string(), cut);
        assert_eq!(Place::Key(&root, &long[2..]).to_string(), cut.trim_end_matches('.'));
    }
}
