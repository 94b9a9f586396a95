//! Lists in a configuration: as such, or as one text with commas between the entries, as
//! an environment variable has it.

use serde::{Deserialize, Deserializer, de::Error};

/// Reads the entries, without the space around them. `wanted` says what they should be.
pub(super) fn read<'de, D: Deserializer<'de>>(
    from: D,
    wanted: &str,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        List(Vec<String>),
    }
    let entries = match Written::deserialize(from) {
        // A variable that is set to nothing.
        Ok(Written::Text(text)) if text.trim().is_empty() => Vec::new(),
        Ok(Written::Text(text)) => text.split(',').map(|entry| entry.trim().to_owned()).collect(),
        Ok(Written::List(list)) => list.iter().map(|entry| entry.trim().to_owned()).collect(),
        Err(_) => return Err(D::Error::custom(format!("expected {wanted}"))),
    };
    Ok(entries)
}
