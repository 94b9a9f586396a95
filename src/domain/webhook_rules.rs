//! What a webhook may look like. All faults of a definition are found at once.

use std::{collections::HashSet, time::Duration};

use super::{
    body::{self, PayloadFormat},
    error::{Faults, Reason},
    event_filter, json, limits, notification, retry, subscription, text,
    webhook::{Header, HttpDestination, WebhookSpec},
};

impl WebhookSpec {
    /// Adds what is wrong with the definition to `faults`. The URL itself is for
    /// the sender to judge, event types are for the tenant.
    pub fn check(&self, faults: &mut Faults) {
        text::check_name(faults, "webhook.name", &self.name);
        let display_name = self.display_name.as_deref().unwrap_or_default();
        text::check(faults, "webhook.display_name", display_name, limits::NAME_CHARS);
        self.check_event_names(faults);
        event_filter::check_filters(&self.event_filters, faults);
        self.destination.check(faults);
        let at = "webhook.max_allowed_connections";
        if self.max_allowed_connections == 0 {
            let message = "must be greater than zero";
            faults.add(at, Reason::MaxAllowedConnectionsNotPositive, message);
        } else if self.max_allowed_connections > limits::MAX_CONNECTIONS {
            faults.invalid(at, format!("must be at most {}", limits::MAX_CONNECTIONS));
        }
        check_span(faults, "webhook.sla", self.sla);
        if let Some(policy) = &self.retry_policy {
            policy.check(faults);
        }
        let rate = self.max_deliveries_per_second;
        if rate != 0.0 && !(limits::MIN_RATE..=limits::MAX_RATE).contains(&rate) {
            let message = "must be 0, or from one in a day to 100000";
            faults.invalid("webhook.max_deliveries_per_second", message);
        }
        if let Some(handling) = &self.failure_handling {
            handling.check(faults);
        }
        if let Some(signing) = &self.signing {
            signing.check(faults);
            self.refuse_headers(&signing.header_names(), "is set by the signature", faults);
        }
        let own = notification::format_headers(self.payload_format);
        self.refuse_headers(own, "is set by the payload format", faults);
        text::check_map(faults, "webhook.labels", self.labels.iter());
        self.check_properties(faults);
        self.enrichment.check(faults);
        if self.payload_format == PayloadFormat::Raw && !self.enrichment.is_none() {
            faults.invalid("webhook.enrichment", "has no place in a raw payload");
        }
    }

    fn check_properties(&self, faults: &mut Faults) {
        let at = "webhook.static_properties";
        let Some(properties) = &self.static_properties else { return };
        if let Err(fault) = json::check_properties(properties) {
            faults.invalid(at, fault.to_string());
            return;
        }
        match self.payload_format {
            PayloadFormat::Raw => faults.invalid(at, "have no place in a raw payload"),
            PayloadFormat::CloudEvents => body::check_extensions(properties, at, faults),
            PayloadFormat::Event
            | PayloadFormat::SuperOffice
            | PayloadFormat::Sonar
            | PayloadFormat::Socotra => {}
        }
    }

    /// What is set for a webhook cannot be configured beside it.
    fn refuse_headers(&self, own: &[&str], why: &str, faults: &mut Faults) {
        for (i, header) in self.destination.headers.iter().enumerate() {
            if own.iter().any(|name| name.eq_ignore_ascii_case(&header.name)) {
                faults.invalid(format!("webhook.destination.http.headers[{i}].name"), why);
            }
        }
    }

    fn check_event_names(&self, faults: &mut Faults) {
        let at = "webhook.event_names";
        if self.event_names.is_empty() {
            faults.add(at, Reason::EventNamesRequired, "needs at least one event name");
        } else if self.event_names.len() > limits::EVENT_NAMES {
            faults.invalid(at, format!("must have at most {} names", limits::EVENT_NAMES));
            return;
        }
        let mut seen = HashSet::new();
        for (i, name) in self.event_names.iter().enumerate() {
            let at = format!("{at}[{i}]");
            subscription::check_pattern(faults, &at, name);
            if !seen.insert(name) {
                faults.invalid(at, "is named twice");
            }
        }
    }
}

impl HttpDestination {
    fn check(&self, faults: &mut Faults) {
        let at = "webhook.destination.http.url";
        if self.url.is_empty() {
            faults.required(at);
        } else if self.url.len() > limits::URL_BYTES {
            faults.invalid(at, format!("must be at most {} bytes", limits::URL_BYTES));
        } else {
            text::check(faults, at, &self.url, limits::URL_BYTES);
        }
        if let Some(timeout) = self.timeout
            && !(limits::SHORTEST_TIMEOUT..=limits::LONGEST_TIMEOUT).contains(&timeout)
        {
            faults.invalid("webhook.destination.http.timeout", "must be 1 ms to 120 s");
        }
        check_headers(faults, "webhook.destination.http.headers", &self.headers);
    }
}

/// Belong to the connection.
const RESERVED: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// Whether a header of this name, in lower case, is the server's own business.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("tidings-")
}

/// Whether this can be the name of a header.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token) && name.len() <= limits::HEADER_BYTES
}

/// Checks headers of a webhook: names, values, each name once, none that belong
/// to the connection or to Tidings.
pub fn check_headers(faults: &mut Faults, at: &str, headers: &[Header]) {
    if headers.len() > limits::HEADERS {
        faults.invalid(at, format!("must be at most {}", limits::HEADERS));
        return;
    }
    let mut seen = HashSet::new();
    for (i, header) in headers.iter().enumerate() {
        let name = header.name.to_ascii_lowercase();
        let at = format!("{at}[{i}]");
        if !is_header_name(&name) {
            faults.invalid(format!("{at}.name"), "is no header name");
        } else if is_reserved(&name) {
            faults.invalid(format!("{at}.name"), "is set by the server");
        } else if !seen.insert(name) {
            faults.invalid(format!("{at}.name"), "is named twice");
        }
        if header.values.is_empty() || header.values.len() > limits::HEADER_VALUES {
            let most = limits::HEADER_VALUES;
            faults.invalid(format!("{at}.values"), format!("must be 1 to {most} values"));
        }
        let clean = |v: &String| {
            v.len() <= limits::HEADER_BYTES
                && v.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
        };
        if !header.values.iter().all(clean) {
            let message = "must be visible ASCII, at most 4096 bytes each";
            faults.invalid(format!("{at}.values"), message);
        }
    }
}

/// Characters of a header name: `token` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl retry::RetryPolicy {
    fn check(&self, faults: &mut Faults) {
        let at = |field: &str| format!("webhook.retry_policy.{field}");
        if self.max_retries.is_some_and(|max| max > limits::MAX_RETRIES) {
            let message = format!("must be 0 to {}", limits::MAX_RETRIES);
            faults.invalid(at("max_retries"), message);
        }
        match &self.waits {
            retry::Waits::Default => {}
            retry::Waits::Schedule(waits) => {
                if waits.len() > limits::SCHEDULE_STEPS {
                    let message = format!("must have at most {} waits", limits::SCHEDULE_STEPS);
                    faults.invalid(at("schedule"), message);
                }
                for (i, wait) in waits.iter().enumerate().take(limits::SCHEDULE_STEPS) {
                    check_span(faults, &at(&format!("schedule[{i}]")), *wait);
                }
            }
            retry::Waits::Backoff { initial, max, multiplier } => {
                if initial.is_zero() {
                    faults.invalid(at("initial_backoff"), "must be greater than zero");
                }
                check_span(faults, &at("initial_backoff"), *initial);
                if max.is_some_and(|max| max < *initial) {
                    faults.invalid(at("max_backoff"), "must not be less than initial_backoff");
                }
                check_span(faults, &at("max_backoff"), max.unwrap_or_default());
                if multiplier.is_some_and(|m| !(1.0..=1_000.0).contains(&m)) {
                    faults.invalid(at("multiplier"), "must be 1 to 1000");
                }
            }
        }
        if self.retry_on.len() > limits::RETRY_ON {
            let message = format!("must have at most {} classes", limits::RETRY_ON);
            faults.invalid(at("retry_on"), message);
        }
        if self.jitter.is_some_and(|jitter| !(0.0..=1.0).contains(&jitter)) {
            faults.invalid(at("jitter"), "must be 0 to 1");
        }
        if let Some(age) = self.max_age {
            if age.is_zero() {
                faults.invalid(at("max_age"), "must be greater than zero");
            }
            check_span(faults, &at("max_age"), age);
        }
    }
}

fn check_span(faults: &mut Faults, field: &str, span: Duration) {
    if span > limits::LONGEST_SPAN {
        faults.invalid(field, "must be at most 365 days");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> WebhookSpec {
        WebhookSpec {
            name: "n".into(),
            event_names: vec!["a".into()],
            destination: HttpDestination { url: "http://a/".into(), ..Default::default() },
            ..WebhookSpec::default()
        }
    }

    fn fields(spec: &WebhookSpec) -> Vec<String> {
        let mut faults = Faults::default();
        spec.check(&mut faults);
        let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
        violations.into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn static_properties_fit_their_format() {
        let with = |payload_format, text: &str| {
            let static_properties = Some(text.into());
            fields(&WebhookSpec { payload_format, static_properties, ..spec() })
        };
        let at = "webhook.static_properties";
        assert!(with(PayloadFormat::Event, r#"{"A":[{"b":null}]}"#).is_empty());
        assert_eq!(with(PayloadFormat::Raw, r#"{"a":1}"#), [at]);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::PROPERTIES_BYTES));
        for bad in [&*deep, &long, r#"{"a":"\u0000"}"#] {
            assert_eq!(with(PayloadFormat::Event, bad), [at]);
        }
        assert!(with(PayloadFormat::CloudEvents, r#"{"a":"x","b2":true,"c":-5}"#).is_empty());
        assert_eq!(
            with(PayloadFormat::CloudEvents, r#"{"A":"x","type":"x","o":{},"f":1.5,"":1}"#),
            ["A", "type", "o", "f", ""].map(|name| format!("{at}.{name}"))
        );
    }

    #[test]
    fn all_faults_are_named_at_once() {
        assert!(fields(&spec()).is_empty());
        let bad = WebhookSpec {
            name: String::new(),
            event_names: vec!["a".into(), "a".into(), "b *".into()],
            destination: HttpDestination {
                url: String::new(),
                timeout: Some(Duration::ZERO),
                headers: vec![Header {
                    name: "Host".into(),
                    values: vec!["a\r\nb".into()],
                    sensitive: false,
                }],
                ..Default::default()
            },
            max_allowed_connections: 0,
            ..spec()
        };
        assert_eq!(
            fields(&bad),
            [
                "webhook.name",
                "webhook.event_names[1]",
                "webhook.event_names[2]",
                "webhook.destination.http.url",
                "webhook.destination.http.timeout",
                "webhook.destination.http.headers[0].name",
                "webhook.destination.http.headers[0].values",
                "webhook.max_allowed_connections",
            ]
        );
    }
}
