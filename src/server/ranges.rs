//! Ranges of addresses in a configuration: a list, or one text with commas between
//! them, as an environment variable has it.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(ranges: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
    ranges.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected ranges such as 10.0.0.0/8")]
    enum Written {
        Text(String),
        List(Vec<String>),
    }
    let ranges = match Written::deserialize(from)? {
        // A variable that is set to nothing.
        Written::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        Written::Text(text) => text.split(',').map(parse).collect::<Result<_, _>>(),
        Written::List(list) => list.iter().map(|text| parse(text)).collect(),
    };
    ranges.map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let Ok(range) = text.parse::<IpNet>() else {
        return Err(format!("{text:?} is no range such as 10.0.0.0/8"));
    };
    // It would open more than was meant, perhaps.
    if range.trunc() != range {
        return Err(format!("{text} begins within its range: did you mean {}?", range.trunc()));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let read = deserialize(StrDeserializer::<Error>::new(text)).map_err(|e| e.to_string())?;
        Ok(read.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn ranges_are_read_or_refused() {
        assert_eq!(read("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(read("10.0.0.0/8, fd00::/8").as_deref(), Ok("10.0.0.0/8 fd00::/8"));
        assert_eq!(read(" ").as_deref(), Ok(""));
        assert_eq!(read("0.0.0.0/0").as_deref(), Ok("0.0.0.0/0"));
        for bad in ["10.0.0.1", "10.0.0.0/33", "10.0.0.0/8,", "localhost", "::/129", "10/8"] {
            assert!(read(bad).is_err_and(|error| error.contains("10.0.0.0/8")), "{bad}");
        }
        assert!(read("10.1.2.3/8").is_err_and(|error| error.contains("10.0.0.0/8?")));
    }
}
