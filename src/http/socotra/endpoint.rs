//! The endpoint of a webhook: where it is, its headers and its signature.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::{
        error::Faults,
        header_mask::read_header,
        signing::{Signing, SigningScheme, SigningSecret},
        webhook::{Header, HttpDestination, WebhookSpec},
    },
    http::members::{Members, read_texts},
};

/// The header of a signature.
const SIGNATURE: &str = "socotra-signature";

/// What a request says of an endpoint; what it does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    url: Option<String>,
    /// Names and values, to be added.
    headers: Vec<(String, Vec<String>)>,
    removed_headers: Vec<String>,
    hmac_enabled: Option<bool>,
    secret: Option<String>,
}

impl Endpoint {
    /// Reads the endpoint of a new webhook.
    pub(super) fn read_new(body: &mut Members, faults: &mut Faults) -> Self {
        let Some(endpoint) = body.object("endpoint", faults) else {
            if !faults.names("endpoint") {
                faults.required("endpoint");
            }
            return Self::default();
        };
        Self::read(endpoint, "headers", "", faults)
    }

    /// Reads the change of an endpoint.
    pub(super) fn read_change(body: &mut Members, faults: &mut Faults) -> Self {
        let endpoint = body.object("endpoint", faults).unwrap_or_default();
        Self::read(endpoint, "addHeaders", "removeHeaders", faults)
    }

    /// `add` and `remove` are the names of what is added and removed; nothing where empty.
    fn read(endpoint: Map<String, Value>, add: &str, remove: &str, faults: &mut Faults) -> Self {
        let mut members = Members::of(Value::Object(endpoint), "endpoint", faults);
        let url = members.text("url", faults);
        let at = members.path(add);
        let headers = members.object(add, faults).unwrap_or_default();
        let removed = if remove.is_empty() { None } else { members.texts(remove, faults) };
        if members.truth("secureSsl", faults) == Some(false) {
            let message = "must be true: certificates are always checked";
            faults.invalid(members.path("secureSsl"), message);
        }
        let endpoint = Self {
            url,
            headers: read_headers(headers, &at, faults),
            removed_headers: removed.unwrap_or_default(),
            hmac_enabled: members.truth("hmacEnabled", faults),
            secret: members.text("secret", faults),
        };
        for unknown in members.unknown() {
            faults.invalid(members.path(unknown), "is not known");
        }
        endpoint
    }

    /// Changes a webhook as the request says: removals first.
    pub(super) fn change(&self, spec: &mut WebhookSpec, faults: &mut Faults) {
        let destination = &mut spec.destination;
        if let Some(url) = &self.url {
            destination.url.clone_from(url);
        }
        let added = self.headers.iter().map(|(name, values)| {
            let given = Header { name: name.clone(), values: values.clone(), sensitive: false };
            read_header(given, &destination.headers, "endpoint.headers", faults)
        });
        let added: Vec<_> = added.collect();
        // What is added takes the place of what has its name.
        let goes = |header: &Header| {
            let mut gone = self.removed_headers.iter().chain(self.headers.iter().map(|(n, _)| n));
            gone.any(|name| name.eq_ignore_ascii_case(&header.name))
        };
        destination.headers.retain(|header| !goes(header));
        destination.headers.extend(added);
        self.sign(&mut spec.signing, faults);
    }

    fn sign(&self, signing: &mut Option<Signing>, faults: &mut Faults) {
        let ours = signing.as_ref().filter(|signing| is_ours(signing));
        match (self.hmac_enabled, &self.secret) {
            (None, None) => {}
            (Some(false), None) => {
                if ours.is_some() {
                    *signing = None;
                }
            }
            (Some(true), None) => {
                if ours.is_none() {
                    faults.required("endpoint.secret");
                }
            }
            (Some(true), Some(secret)) => replace(secret, signing),
            (None, Some(secret)) if ours.is_some() => replace(secret, signing),
            (_, Some(_)) => faults.invalid("endpoint.secret", "needs hmacEnabled to be true"),
        }
    }
}

/// Signs with this secret and no other. One that signs already stays as it is.
fn replace(secret: &str, signing: &mut Option<Signing>) {
    let signs = |signing: &Signing| match &signing.secrets[..] {
        [only] => is_ours(signing) && only.value == secret && only.expire_time.is_none(),
        _ => false,
    };
    if signing.as_ref().is_some_and(signs) {
        return;
    }
    *signing = Some(Signing {
        scheme: SigningScheme::HmacSha256Hex,
        header_name: SIGNATURE.to_owned(),
        secrets: vec![SigningSecret::draft(secret.to_owned(), None)],
    });
}

fn is_ours(signing: &Signing) -> bool {
    signing.scheme == SigningScheme::HmacSha256Hex
        && signing.header_name.eq_ignore_ascii_case(SIGNATURE)
}

fn read_headers(
    headers: Map<String, Value>,
    at: &str,
    faults: &mut Faults,
) -> Vec<(String, Vec<String>)> {
    let mut read = Vec::with_capacity(headers.len());
    for (name, values) in headers {
        match read_texts(values) {
            Some(values) => read.push((name, values)),
            None => faults.invalid(format!("{at}.{name}"), "must be an array of strings"),
        }
    }
    read
}

/// An endpoint as an answer has it. The secret is in none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    url: String,
    headers: BTreeMap<String, Vec<String>>,
    hmac_enabled: bool,
}

impl Shown {
    pub(super) fn of(destination: &HttpDestination, signing: Option<&Signing>) -> Self {
        let headers = destination.headers.iter().map(Header::masked);
        Self {
            url: destination.url.clone(),
            headers: headers.map(|header| (header.name, header.values)).collect(),
            hmac_enabled: signing.is_some_and(is_ours),
        }
    }
}
