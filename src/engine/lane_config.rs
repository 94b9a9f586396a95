//! A webhook as its lane needs it: parsed and ready to send.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, header};

use crate::{
    domain::{
        body::{PayloadFormat, Recipe},
        id::TenantId,
        limits,
        notification::WEBHOOK_HEADER,
        retry::RetryPolicy,
        signature::Signer,
        webhook::{HttpDestination, Method, Webhook, WebhookSpec},
    },
    sender::{Limits, Target},
};

/// What `User-Agent` says.
pub(super) const USER_AGENT: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"));

/// A webhook, made ready once per version.
pub(super) struct LaneConfig {
    pub(super) tenant: TenantId,
    pub(super) webhook: Arc<Webhook>,
    pub(super) policy: RetryPolicy,
    pub(super) method: HttpMethod,
    /// Absent where the stored URL cannot be used; each attempt fails then.
    pub(super) target: Option<Target>,
    /// How bodies are made.
    pub(super) recipe: Arc<Recipe>,
    /// The headers that are the same for every attempt.
    pub(super) headers: HeaderMap,
    /// With its keys parsed; absent where requests are not signed.
    pub(super) signer: Option<Signer>,
    pub(super) limits: Limits,
}

impl LaneConfig {
    pub(super) fn new(tenant: TenantId, webhook: Arc<Webhook>, default_timeout: Duration) -> Self {
        let destination = &webhook.spec.destination;
        Self {
            tenant,
            policy: webhook.spec.retry_policy.clone().unwrap_or_default(),
            method: match destination.method {
                Method::Post => HttpMethod::POST,
                Method::Put => HttpMethod::PUT,
                Method::Get => HttpMethod::GET,
                Method::Delete => HttpMethod::DELETE,
                Method::Patch => HttpMethod::PATCH,
            },
            target: Target::parse(&destination.url).ok(),
            recipe: Arc::new(Recipe::new(&webhook.spec)),
            headers: headers(&webhook),
            signer: webhook.spec.signing.as_ref().map(Signer::new),
            limits: Limits {
                timeout: destination.timeout.unwrap_or(default_timeout),
                excerpt_bytes: limits::EXCERPT_BYTES,
                drain_bytes: limits::ANSWER_BYTES,
            },
            webhook,
        }
    }

    /// Whether attempts may be made now.
    pub(super) fn is_open(&self) -> bool {
        self.webhook.takes_events() && self.webhook.suspension.is_none()
    }
}

fn headers(webhook: &Webhook) -> HeaderMap {
    let WebhookSpec { destination, payload_format, .. } = &webhook.spec;
    let mut headers = configured_headers(destination, *payload_format);
    // It is hexadecimal.
    if let Ok(id) = HeaderValue::try_from(webhook.webhook_id.to_string()) {
        headers.insert(WEBHOOK_HEADER, id);
    }
    headers
}

fn configured_headers(destination: &HttpDestination, format: PayloadFormat) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for configured in &destination.headers {
        let Ok(name) = HeaderName::try_from(&configured.name) else { continue };
        for value in &configured.values {
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(configured.sensitive);
                headers.append(name.clone(), value);
            }
        }
    }
    if destination.method != Method::Get {
        let content_type = HeaderValue::from_static(format.content_type());
        headers.entry(header::CONTENT_TYPE).or_insert(content_type);
    }
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    headers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{error::Faults, webhook::Header, webhook_rules::check_headers};

    proptest! {
        #[test]
        fn headers_that_the_rules_let_pass_go_out_as_they_are_and_alone(
            given in prop::collection::vec(
                (
                    "\\PC{0,8}|[!-~]{1,8}|[Hh]ost|(?i)tidings-a|[a-c]: x|(?s).{0,3}",
                    prop::collection::vec("[ -~\\t]{0,12}|(?s).{0,6}|a\r\nb: c", 0..3),
                ),
                0..4,
            ),
        ) {
            let configured: Vec<_> = given
                .into_iter()
                .map(|(name, values)| Header { name, values, sensitive: false })
                .collect();
            let mut faults = Faults::default();
            check_headers(&mut faults, "headers", &configured);
            if !faults.is_empty() {
                return Ok(());
            }
            let destination = HttpDestination { headers: configured.clone(), ..Default::default() };
            let sent = configured_headers(&destination, PayloadFormat::Event);
            for header in &configured {
                let values: Vec<_> = sent.get_all(&header.name).iter().map(|v| v.as_bytes()).collect();
                let expected: Vec<_> = header.values.iter().map(|v| v.as_bytes()).collect();
                prop_assert_eq!(values, expected, "{}", header.name);
            }
            let ours = [header::CONTENT_TYPE, header::USER_AGENT, header::HOST, header::CONNECTION];
            for name in sent.keys() {
                let configured = configured.iter().any(|h| h.name.eq_ignore_ascii_case(name.as_str()));
                prop_assert!(configured || ours[..2].contains(name), "{}", name);
                prop_assert!(!ours[2..].contains(name) && !name.as_str().starts_with("tidings-"));
            }
            for value in sent.values() {
                let clean = |b: &u8| *b == b'\t' || (b' '..=b'~').contains(b);
                prop_assert!(value.as_bytes().iter().all(clean), "{:?}", value);
            }
        }
    }
}
