//! What a destination receives beside the body: the headers of a delivery.

use std::fmt::Write;

use super::{
    body::PayloadFormat,
    id::WebhookId,
    webhook::{Header, WebhookSpec},
};

/// The header that marks a test, and its value.
pub const TEST_HEADER: (&str, &str) = ("tidings-test", "true");
/// Name of the event that a test makes up.
pub const TEST_EVENT: &str = "webhook.ping";
/// Its payload, where the caller gives none.
pub const TEST_PAYLOAD: &str = r#"{"ping":true}"#;

/// The headers that the notification of SuperOffice has.
const SUPEROFFICE: [&str; 3] =
    ["x-superoffice-event", "x-superoffice-eventid", "x-superoffice-retry"];

/// The headers that a payload format has beside those of all.
pub fn format_headers(format: PayloadFormat) -> &'static [&'static str] {
    match format {
        PayloadFormat::SuperOffice => &SUPEROFFICE,
        PayloadFormat::Event
        | PayloadFormat::CloudEvents
        | PayloadFormat::Raw
        | PayloadFormat::Sonar
        | PayloadFormat::Socotra => &[],
    }
}

/// What such a header says in attempt number `attempt`.
pub fn format_header(name: &str, event: &EventIdentity<'_>, attempt: u32) -> String {
    match name {
        "x-superoffice-event" => header_text(event.event_name),
        "x-superoffice-eventid" => event.event_id.to_owned(),
        // The first attempt is no retry.
        _ => attempt.saturating_sub(1).to_string(),
    }
}

/// The header that counts attempts, from 1.
pub const ATTEMPT_HEADER: &str = "tidings-attempt";
/// The header that names the webhook.
pub const WEBHOOK_HEADER: &str = "tidings-webhook-id";

/// The headers that tell of an event: the same for all webhooks and attempts. Text
/// beyond visible ASCII is percent-encoded.
pub fn event_headers(event: &EventIdentity<'_>) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("tidings-event-id", event.event_id.to_owned()),
        ("tidings-event-name", header_text(event.event_name)),
    ];
    for (name, value) in
        [("tidings-ref-id", event.ref_id), ("tidings-request-id", event.request_id)]
    {
        if !value.is_empty() {
            headers.push((name, header_text(value)));
        }
    }
    headers
}

/// What identifies an event in the headers.
#[derive(Clone, Copy, Debug)]
pub struct EventIdentity<'a> {
    /// Its id.
    pub event_id: &'a str,
    /// Its type.
    pub event_name: &'a str,
    /// What it is about.
    pub ref_id: &'a str,
    /// The API call that caused it.
    pub request_id: &'a str,
}

/// The webhook's part of the headers as they are shown: no values of sensitive ones and
/// of signatures, nor of those of its format, which differ from attempt to attempt.
pub fn masked_headers(spec: &WebhookSpec) -> Vec<Header> {
    let configured = spec.destination.headers.iter().map(Header::masked);
    let signed = spec.signing.iter().flat_map(|signing| signing.masked_headers());
    let format = format_headers(spec.payload_format).iter().map(|name| Header {
        name: (*name).to_owned(),
        values: Vec::new(),
        sensitive: false,
    });
    configured.chain(signed).chain(format).collect()
}

/// The headers of an attempt as the log shows them: those of the webhook, masked
/// where sensitive, then Tidings' own.
pub fn shown_headers(
    masked: &[Header],
    webhook: WebhookId,
    event: &EventIdentity<'_>,
    attempt: u32,
) -> Vec<Header> {
    let own = event_headers(event)
        .into_iter()
        .chain([(WEBHOOK_HEADER, webhook.to_string()), (ATTEMPT_HEADER, attempt.to_string())]);
    let masked = masked.iter().cloned().map(|mut header| {
        if header.values.is_empty() {
            header.values.push(format_header(&header.name, event, attempt));
        }
        header
    });
    masked
        .chain(own.map(|(name, value)| Header {
            name: name.to_owned(),
            values: vec![value],
            sensitive: false,
        }))
        .collect()
}

fn header_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn header_values_are_visible_ascii() {
        assert_eq!(header_text("Größe 5%\r\n"), "Gr%C3%B6%C3%9Fe 5%25%0D%0A");
    }

    proptest! {
        #[test]
        fn no_event_reaches_beyond_its_headers(
            event_name: String,
            ref_id: String,
            request_id: String,
        ) {
            let event = EventIdentity {
                event_id: "id",
                event_name: &event_name,
                ref_id: &ref_id,
                request_id: &request_id,
            };
            let mut headers = event_headers(&event);
            prop_assert_eq!(headers.len(), 4 - usize::from(ref_id.is_empty()) - usize::from(request_id.is_empty()));
            headers.extend(SUPEROFFICE.map(|name| (name, format_header(name, &event, 1))));
            for (name, value) in headers {
                prop_assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}: {:?}", name, value);
            }
            // Nothing is lost: what is percent-encoded reads back.
            let form = header_text(&event_name).replace('+', "%2B");
            let read = url::form_urlencoded::parse(format!("n={form}").replace('&', "%26").as_bytes())
                .next()
                .map(|(_, value)| value.into_owned());
            prop_assert_eq!(read, Some(event_name));
        }
    }
}
