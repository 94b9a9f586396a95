//! What a request says about who sends it.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};

use crate::domain::{
    error::{Error, Reason, Result},
    limits,
};

/// Headers whose value is a token.
const TOKEN_HEADERS: [&str; 3] = ["x-cap-api-oauth-token", "x-token", "token"];
/// Schemes of `Authorization` that are followed by a token.
const TOKEN_SCHEMES: [&str; 2] = ["bearer", "soticket"];
/// The longest value that can be a credential: tokens of identity providers take some KiB.
const LONGEST: usize = 8 * 1_024;

/// One credential. It has no `Debug`: it never reaches a log.
pub(super) struct Presented {
    /// The user of HTTP Basic, which has to be the key's id.
    pub(super) key_id: Option<String>,
    pub(super) token: String,
}

/// The credentials of a request, and the address that it came from.
pub struct Credentials {
    pub(super) presented: Vec<Presented>,
    /// In words, what makes all of them worthless.
    pub(super) fault: Option<&'static str>,
    pub(super) from: Option<IpAddr>,
}

impl Credentials {
    /// Reads `Authorization` (Bearer, SoTicket, or Basic with the key's id as the user),
    /// `X-CAP-API-OAUTH-TOKEN`, `X-Token` and `Token`. `from` is who is on the other side of
    /// the connection.
    pub fn read(headers: &HeaderMap, from: Option<IpAddr>) -> Self {
        let mut credentials = Self { presented: Vec::new(), fault: None, from };
        for value in headers.get_all(header::AUTHORIZATION) {
            credentials.add(text(value).and_then(read_authorization));
        }
        for value in TOKEN_HEADERS.iter().flat_map(|name| headers.get_all(*name)) {
            credentials.add(text(value).map(token));
        }
        credentials
    }

    /// Adds a token that the request carries elsewhere.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.add(Some(Presented { key_id: None, token: token.to_owned() }));
        self
    }

    /// Those of a key's id and its token.
    pub fn of_key(key_id: &str, token: &str, from: Option<IpAddr>) -> Self {
        let key_id = Some(key_id.to_owned());
        Self { presented: vec![Presented { key_id, token: token.to_owned() }], fault: None, from }
    }

    fn add(&mut self, presented: Option<Presented>) {
        match presented {
            Some(_) if self.presented.len() == limits::CREDENTIALS => {
                self.fault = Some("there are too many credentials");
            }
            Some(presented) => self.presented.push(presented),
            None => self.fault = Some("the credentials are malformed"),
        }
    }

    /// What there is to be checked.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` where there is nothing, or nothing that can be read.
    pub(super) fn check_form(&self) -> Result<&[Presented]> {
        match self.fault {
            Some(fault) => Err(unauthenticated(fault)),
            None if self.presented.is_empty() => Err(unauthenticated(
                "credentials are required: send a key's token as authorization: Bearer TOKEN",
            )),
            None => Ok(&self.presented),
        }
    }
}

pub(super) fn unauthenticated(message: impl Into<String>) -> Error {
    Error::new(Reason::Unauthenticated, message)
}

fn token(text: &str) -> Presented {
    Presented { key_id: None, token: text.to_owned() }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().filter(|text| text.len() <= LONGEST).map(str::trim)
}

fn read_authorization(value: &str) -> Option<Presented> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if TOKEN_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Some(token(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (key_id, token) = pair.split_once(':')?;
    Some(Presented { key_id: Some(key_id.to_owned()), token: token.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Vec<(Option<String>, String)>> {
        let value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        let mut map = HeaderMap::new();
        for (name, text) in headers {
            map.append(*name, value(text));
        }
        let credentials = Credentials::read(&map, None);
        let presented = credentials.check_form()?.iter();
        Ok(presented.map(|one| (one.key_id.clone(), one.token.clone())).collect())
    }

    #[test]
    fn every_way_to_send_a_token_is_read() {
        let plain = |token: &str| Ok(vec![(None, token.to_owned())]);
        assert_eq!(read(&[("authorization", "Bearer tk_a")]), plain("tk_a"));
        assert_eq!(read(&[("authorization", "bearer  tk_a ")]), plain("tk_a"));
        assert_eq!(read(&[("authorization", "SoTicket tk_a")]), plain("tk_a"));
        assert_eq!(read(&[("x-cap-api-oauth-token", "tk_a")]), plain("tk_a"));
        assert_eq!(read(&[("x-token", "tk_a")]), plain("tk_a"));
        assert_eq!(read(&[("token", "tk_a")]), plain("tk_a"));
        let basic = format!("Basic {}", STANDARD.encode("ak_1:tk_a"));
        let both = read(&[("authorization", &basic), ("x-token", "tk_b")]);
        let expected = [(Some("ak_1".to_owned()), "tk_a".to_owned()), (None, "tk_b".to_owned())];
        assert_eq!(both, Ok(expected.to_vec()));
    }

    #[test]
    fn nothing_unreadable_and_too_much_are_refused() {
        let long = format!("Bearer {}", "a".repeat(LONGEST));
        for bad in ["", "tk_a", "Digest a=b", "Basic", "Basic !", "Basic YQ==", &long, "Bearer ä"]
        {
            let error = read(&[("authorization", bad)]).expect_err(bad);
            assert_eq!(error.reason, Reason::Unauthenticated);
            assert!(bad.is_empty() || !error.message.contains(bad), "{error}");
        }
        assert!(read(&[]).expect_err("nothing").message.contains("required"));
        let many = [("x-token", "tk_a"); limits::CREDENTIALS + 1];
        assert!(read(&many).is_err() && read(&many[1..]).is_ok());
        assert!(
            read(&[("x-token", "tk_a"), ("authorization", "x")]).is_err(),
            "one bad spoils all"
        );
    }
}
