//! Where a provider's keys are read from.

use std::{fmt, fs::File, io::Read, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use url::{Host, Url};

use crate::{
    domain::address::is_local_name,
    sender::{Connection, HttpSender, Limits, Request, Target},
};

/// The longest key set that is read, bytes.
const LONGEST: usize = 256 * 1024;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A file, or a URL of https; http only within the machine, since whoever can change the answer
/// on its way can be anybody.
#[derive(Clone)]
pub enum KeySource {
    /// Looked at every few seconds.
    File(PathBuf),
    /// Asked every few minutes, and when a token names a key that is not known.
    Url(Box<Target>),
}

impl std::str::FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must be a file or a URL".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(text).map_err(|e| format!("{e}"))?;
        let is_inside = match url.host() {
            Some(Host::Domain(name)) => is_local_name(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if url.scheme() == "http" && !is_inside {
            return Err("must be a URL of https".to_owned());
        }
        Target::parse(text).map(Box::new).map(Self::Url).map_err(|e| e.to_string())
    }
}

impl fmt::Display for KeySource {
    /// Of a URL, scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(target) => target.fmt(f),
        }
    }
}

impl KeySource {
    /// Reads what is there now.
    pub(super) async fn read(&self, sender: &Arc<HttpSender>) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || read_file(path));
                reading.await.map_err(|e| e.to_string())?
            }
            Self::Url(target) => ask(target, sender).await,
        }
    }
}

fn read_file(path: PathBuf) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let most = LONGEST as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut text));
    read.map_err(|e| format!("it cannot be read: {e}"))?;
    if text.len() > LONGEST { Err(too_long()) } else { Ok(text) }
}

async fn ask(target: &Target, sender: &Arc<HttpSender>) -> Result<Vec<u8>, String> {
    let limits = Limits { timeout: TIMEOUT, excerpt_bytes: LONGEST + 1, drain_bytes: LONGEST + 1 };
    let request =
        Request { method: Method::GET, headers: HeaderMap::new(), body: Default::default() };
    let answer = Connection::new(Arc::clone(sender)).send(target, request, &limits).await;
    let answer = answer.map_err(|failure| failure.to_string())?;
    if answer.status != 200 {
        return Err(format!("it answered {}", answer.status));
    }
    if answer.excerpt.len() > LONGEST { Err(too_long()) } else { Ok(answer.excerpt.to_vec()) }
}

fn too_long() -> String {
    format!("it is longer than {LONGEST} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_or_a_url_that_nobody_can_change_on_its_way() {
        let shown = |text: &str| text.parse::<KeySource>().map(|source| source.to_string());
        assert_eq!(shown("keys.json").as_deref(), Ok("keys.json"));
        assert_eq!(shown("/etc/keys.json").as_deref(), Ok("/etc/keys.json"));
        assert!(shown("https://id.example/keys?x=1").is_ok_and(|shown| !shown.contains("keys")));
        for local in ["http://127.0.0.1:8080/k", "http://[::1]/k", "http://localhost/k"] {
            assert!(shown(local).is_ok(), "{local}");
        }
        for bad in
            ["", "http://id.example/keys", "http://10.0.0.1/k", "ftp://id.example/k", "https://"]
        {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
