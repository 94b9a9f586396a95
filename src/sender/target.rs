//! Where requests go: a URL, taken apart and checked once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderValue, Uri};
use url::{Host, Url};

/// Where requests go. Parsed once per webhook, then shared by its deliveries.
///
/// Its `Debug` and `Display` show scheme, host and port only: paths and queries of webhooks carry
/// tokens.
#[derive(Clone)]
pub struct Target {
    pub(super) origin: Origin,
    /// The value of the `Host` header: no default port, IPv6 in brackets.
    pub(super) authority: HeaderValue,
    /// Path and query, as the request line wants them.
    pub(super) path_and_query: Uri,
}

/// The part of a target that decides whether a connection can be used for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) https: bool,
    pub(super) host: HostName,
    pub(super) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostName {
    Name(String),
    Address(IpAddr),
}

/// Why a URL cannot be a target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is not an absolute URL.
    #[error("not a valid URL: {0}")]
    Malformed(#[from] url::ParseError),
    /// The scheme is something else than `http` or `https`.
    #[error("the scheme must be http or https")]
    Scheme,
    /// It contains a user name or a password.
    #[error("a user name or password in the URL is not supported")]
    UserInfo,
    /// There is no host.
    #[error("the URL has no host")]
    Host,
    /// Path and query cannot be sent, for instance because they are longer than 64 KiB.
    #[error("the path and query of the URL cannot be sent")]
    Path,
}

impl Target {
    /// Parses a URL the way browsers do (WHATWG), so `http:/host` means `http://host/` and
    /// `http://0x7f.1/` means `http://127.0.0.1/`. A fragment is dropped.
    ///
    /// # Errors
    ///
    /// When the URL is malformed, is neither `http` nor `https`, has user information or no host.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let url = Url::parse(url)?;
        let (https, default_port) = match url.scheme() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(TargetError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        let host = url.host().ok_or(TargetError::Host)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let host = match host {
            Host::Domain(name) => HostName::Name(name.to_owned()),
            Host::Ipv4(address) => HostName::Address(address.into()),
            Host::Ipv6(address) => HostName::Address(address.into()),
        };
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            origin: Origin { https, host, port: url.port().unwrap_or(default_port) },
            authority: HeaderValue::try_from(authority).map_err(|_| TargetError::Host)?,
            path_and_query: Uri::try_from(path_and_query).map_err(|_| TargetError::Path)?,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostName::Name(name) => write!(f, "{name}:{}", self.port),
            HostName::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.origin)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sender::Request;

    #[test]
    fn urls_are_taken_apart() {
        for (url, shown, authority, path) in [
            ("http://a.test", "http://a.test:80", "a.test", "/"),
            ("http:/a.test", "http://a.test:80", "a.test", "/"),
            ("HTTP://A.test:80/x", "http://a.test:80", "a.test", "/x"),
            ("https://a.test:8443/x?y=1#z", "https://a.test:8443", "a.test:8443", "/x?y=1"),
            ("https://a.test?q", "https://a.test:443", "a.test", "/?q"),
            ("http://[::1]:81/", "http://[::1]:81", "[::1]:81", "/"),
            ("http://0x7f.1/", "http://127.0.0.1:80", "127.0.0.1", "/"),
            (
                "http://bücher.test/ü x?`{}|\"",
                "http://xn--bcher-kva.test:80",
                "xn--bcher-kva.test",
                "/%C3%BC%20x?`{}|%22",
            ),
        ] {
            let target = Target::parse(url).expect(url);
            assert_eq!(target.to_string(), shown, "{url}");
            assert_eq!(target.authority, authority, "{url}");
            assert_eq!(target.path_and_query, path, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        use TargetError::{Malformed, Path, Scheme, UserInfo};
        let long = format!("http://a.test/{}", "x".repeat(70_000));
        for (url, expected) in [
            ("", matches!(Target::parse(""), Err(Malformed(_)))),
            ("/x", matches!(Target::parse("/x"), Err(Malformed(_)))),
            ("http://", matches!(Target::parse("http://"), Err(Malformed(_)))),
            ("ftp://a", matches!(Target::parse("ftp://a"), Err(Scheme))),
            ("a:1", matches!(Target::parse("a:1"), Err(Scheme))),
            ("u@", matches!(Target::parse("http://u@a/"), Err(UserInfo))),
            (":p@", matches!(Target::parse("http://:p@a/"), Err(UserInfo))),
            ("long", matches!(Target::parse(&long), Err(Path))),
        ] {
            assert!(expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_fits_into_a_request(
            url in "(?s)(http|https|HTTP|ftp|):?[/\\\\]{0,3}([a-z0-9.%-]{1,9}|\\[[0-9a-f:.]{1,12}\\]|\\PC{1,5})\
                (:[0-9]{0,6})?([/?#].{0,24}|[/?#][ -~\\r\\n\\t]{0,24})?|(?s).{0,30}",
        ) {
            let Ok(target) = Target::parse(&url) else { return Ok(()) };
            let request =
                Request { method: http::Method::POST, headers: Default::default(), body: "".into() };
            let request = request.into_http(&target);
            let (line, host) = (request.uri().to_string(), &request.headers()["host"]);
            let visible = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
            // No blank, no line end, no second host. Bytes beyond ASCII, if there were any,
            // would not be visible.
            prop_assert!(visible(line.as_bytes()) && line.starts_with('/'), "{}", line);
            prop_assert!(visible(host.as_bytes()) && !host.is_empty(), "{:?}", host);
            prop_assert!(request.uri().authority().is_none());
            prop_assert_eq!(host, &target.authority);

            // Parsed again, what was understood means the same.
            let scheme = if target.origin.https { "https" } else { "http" };
            let host = host.to_str().expect("visible");
            let again = Target::parse(&format!("{scheme}://{host}{line}")).expect("it parsed before");
            prop_assert_eq!(&again.origin, &target.origin);
            prop_assert_eq!(&again.path_and_query, &target.path_and_query);
            prop_assert_eq!(&again.authority, &target.authority);
        }
    }
}
