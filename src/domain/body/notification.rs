//! The v3 notification.

use std::fmt::Write;

use super::{Extras, push_json};
use crate::domain::{event::Event, id::TenantId};

/// `{"eventName","eventId","orgId","refId","apiRequestId","createdAt","data"}` and
/// `"properties"` where there are any, then enrichment blocks, with the payload byte for byte under `data`.
/// `orgId` is a number where the tenant's id is one; `createdAt` is in milliseconds
/// since the epoch.
pub(super) fn body(tenant: &TenantId, event: &Event, extras: Extras<'_>) -> String {
    let created = event.occur_time.unwrap_or(event.ingest_time).millis();
    let more = extras.properties.map_or(0, str::len);
    let mut body = String::with_capacity(event.payload.len() + more + 256);
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
    extras.close(body)
}

/// Whether a tenant's id is a whole number as JSON writes it, exact in a double.
fn is_number(tenant: &str) -> bool {
    const EXACT_DIGITS: usize = 15;
    tenant.len() <= EXACT_DIGITS
        && tenant.bytes().all(|b| b.is_ascii_digit())
        && (tenant == "0" || !tenant.starts_with('0'))
}
