//! Ranges of addresses in a configuration.

use ipnet::IpNet;
use serde::{Deserializer, Serialize, Serializer, de::Error};

use super::written_list;

pub(super) fn serialize<S: Serializer>(ranges: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
    ranges.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let ranges = written_list::read(from, "ranges such as 10.0.0.0/8")?;
    ranges.iter().map(|text| parse(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<IpNet, String> {
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
