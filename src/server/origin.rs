//! Origins of web pages in a configuration.

use http::HeaderValue;
use serde::{Deserializer, Serialize, Serializer, de::Error};
use url::Url;

use super::written_list;

/// The origin of a web page, as browsers write it: `https://console.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    /// As it stands in requests.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no origin such as https://console.example");
        let url = Url::parse(text).map_err(|_| refused())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused());
        }
        let origin = url.origin().ascii_serialization();
        // Written otherwise, it would never be met: browsers write it in one way only.
        if origin != text {
            return Err(format!("{text:?} is no origin: did you mean {origin}?"));
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| refused())
    }
}

pub(super) fn serialize<S: Serializer>(origins: &[Origin], to: S) -> Result<S::Ok, S::Error> {
    let texts: Vec<_> = origins.iter().map(|origin| origin.0.to_str().unwrap_or("")).collect();
    texts.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Origin>, D::Error> {
    let origins = written_list::read(from, "origins such as https://console.example")?;
    origins.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in ["https://console.example", "http://localhost:3000", "http://[::1]:8080"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "console.example",
            "https://console.example/",
            "https://console.example/x",
            "https://Console.example",
            "https://console.example:443",
            "ftp://console.example",
            "https://u@console.example",
        ] {
            assert!(bad.parse::<Origin>().is_err_and(|e| e.contains("is no origin")), "{bad}");
        }
    }
}
