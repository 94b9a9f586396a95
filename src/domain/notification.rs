//! What a destination receives: body and headers of a delivery.

use std::fmt::Write;

use super::{
    event::Event,
    id::{TenantId, WebhookId},
    webhook::Header,
};

/// Content type of a body that no header of the webhook names otherwise.
pub const CONTENT_TYPE: &str = "application/json";

/// The v3 notification: `{"eventName","eventId","orgId","refId","apiRequestId","createdAt","data"}`,
/// with the payload byte for byte under `data`. `orgId` is a number where the
/// tenant's id is one; `createdAt` is in milliseconds since the epoch.
pub fn event_body(tenant: &TenantId, event: &Event) -> String {
    let created = event.occur_time.unwrap_or(event.ingest_time).millis();
    let mut body = String::with_capacity(event.payload.len() + 256);
    body.push_str("{\"eventName\":");
    push_json(&mut body, &event.event_name);
    // Writing to a String cannot fail.
    let _ = write!(body, ",\"eventId\":\"{}\",\"orgId\":", event.event_id);
    if is_number(tenant.as_str()) {
        body.push_str(tenant.as_str());
    } else {
        push_json(&mut body, tenant.as_str());
    }
    body.push_str(",\"refId\":");
    push_json(&mut body, &event.ref_id);
    body.push_str(",\"apiRequestId\":");
    push_json(&mut body, &event.request_id);
    let _ = write!(body, ",\"createdAt\":{created},\"data\":");
    body.push_str(&event.payload);
    body.push('}');
    body
}

fn push_json(to: &mut String, text: &str) {
    to.push_str(&serde_json::Value::from(text).to_string());
}

/// Whether a tenant's id is a whole number as JSON writes it, exact in a double.
fn is_number(tenant: &str) -> bool {
    const EXACT_DIGITS: usize = 15;
    tenant.len() <= EXACT_DIGITS
        && tenant.bytes().all(|b| b.is_ascii_digit())
        && (tenant == "0" || !tenant.starts_with('0'))
}

/// The headers that Tidings itself sends with attempt number `attempt`. Text
/// beyond visible ASCII is percent-encoded.
pub fn event_headers(
    webhook: WebhookId,
    event: &EventIdentity<'_>,
    attempt: u32,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("tidings-event-id", event.event_id.to_owned()),
        ("tidings-event-name", header_text(event.event_name)),
        ("tidings-webhook-id", webhook.to_string()),
        ("tidings-attempt", attempt.to_string()),
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

/// The headers of an attempt as the log shows them: those of the webhook, masked
/// where sensitive, then Tidings' own.
pub fn shown_headers(
    masked: &[Header],
    webhook: WebhookId,
    event: &EventIdentity<'_>,
    attempt: u32,
) -> Vec<Header> {
    let own = event_headers(webhook, event, attempt).into_iter();
    masked
        .iter()
        .cloned()
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
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn event(payload: &str) -> Event {
        Event {
            event_id: "ccc983c2-df7a-4ece-b5cc-e574cec66fc1".parse().expect("a UUID"),
            event_name: "pointsIssued".into(),
            ref_id: "50074_38236069".into(),
            request_id: "quo\"te".into(),
            payload: payload.into(),
            occur_time: None,
            ingest_time: Timestamp::from_micros(1_587_620_451_351_999),
            attributes: Default::default(),
        }
    }

    #[test]
    fn the_payload_stays_byte_for_byte() {
        let payload = "{ \"b\":9007199254740993,\"a\":1.10, \"a\":[ ]}";
        let tenant = "50074".parse().expect("a tenant id");
        assert_eq!(
            event_body(&tenant, &event(payload)),
            format!(
                "{{\"eventName\":\"pointsIssued\",\"eventId\":\"ccc983c2-df7a-4ece-b5cc-e574cec66fc1\",\
                 \"orgId\":50074,\"refId\":\"50074_38236069\",\"apiRequestId\":\"quo\\\"te\",\
                 \"createdAt\":1587620451351,\"data\":{payload}}}"
            )
        );
    }

    #[test]
    fn only_tenants_that_are_exact_numbers_become_numbers() {
        for (tenant, written) in [
            ("0", "0"),
            ("007", "\"007\""),
            ("1e5", "\"1e5\""),
            ("acme", "\"acme\""),
            ("999999999999999", "999999999999999"),
            ("9999999999999999", "\"9999999999999999\""),
        ] {
            let body = event_body(&tenant.parse().expect("a tenant id"), &event("{}"));
            assert!(body.contains(&format!("\"orgId\":{written},")), "{body}");
        }
    }

    #[test]
    fn header_values_are_visible_ascii() {
        assert_eq!(header_text("Größe 5%\r\n"), "Gr%C3%B6%C3%9Fe 5%25%0D%0A");
    }
}
