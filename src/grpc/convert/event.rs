//! Events on their way in and out.

use super::{
    json::read_object,
    time::{read_timestamp, show_timestamp},
    value,
};
use crate::{
    domain::{
        enrichment::Blocks,
        error::Faults,
        event::{Event, EventDraft},
        id::TenantId,
        json::check_payload,
    },
    grpc::{
        proto::{self, event::Payload},
        scoped::check_tenant,
    },
    service::{
        events::{Incoming, Published},
        explanations::WebhookMatch,
    },
};

/// Reads an event that stands at the path `at` of the request.
pub(crate) fn read_event(event: proto::Event, at: &str, tenant: &TenantId) -> Incoming {
    let proto::Event {
        event_id,
        tenant_id,
        event_name,
        ref_id,
        request_id,
        occur_time,
        ingest_time: _,
        ordering_key,
        attributes,
        enrichments_json,
        payload,
    } = event;
    let mut faults = Faults::default();
    check_tenant(&mut faults, &format!("{at}.tenant_id"), &tenant_id, tenant);
    let draft = EventDraft {
        event_id: value::read_text(&event_id, &format!("{at}.event_id"), &mut faults),
        event_name,
        ref_id,
        request_id,
        payload: match payload {
            // The domain asks for it.
            None => "".into(),
            Some(Payload::Json(json)) => json.into(),
            Some(Payload::Object(object)) => read_payload(&object, at, &mut faults).into(),
        },
        enrichments: Blocks::read(
            enrichments_json.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            &format!("{at}.enrichments_json"),
            &mut faults,
        ),
        occur_time: read_timestamp(occur_time.as_ref(), &format!("{at}.occur_time"), &mut faults),
        ordering_key,
        attributes: attributes.into_iter().collect(),
    };
    Incoming { draft, faults }
}

fn read_payload(object: &prost_types::Struct, at: &str, faults: &mut Faults) -> String {
    let mut found = Faults::default();
    let at = format!("{at}.object");
    let json = read_object(object, &at, &mut found);
    match check_payload(&json) {
        _ if !found.is_empty() => {}
        Ok(()) => return json,
        Err(fault) => found.invalid(at, fault.to_string()),
    }
    faults.append(found);
    // Not the half-written text, whose faults would be ours.
    "{}".to_owned()
}

/// An event as it was published; its payload as JSON text.
pub(crate) fn show_event(event: &Event, tenant: &TenantId) -> proto::Event {
    let Event {
        event_id,
        event_name,
        ref_id,
        request_id,
        payload,
        enrichments,
        occur_time,
        ingest_time,
        ordering_key,
        attributes,
    } = event;
    proto::Event {
        event_id: event_id.to_string(),
        tenant_id: tenant.to_string(),
        event_name: event_name.clone(),
        ref_id: ref_id.clone(),
        request_id: request_id.clone(),
        payload: Some(Payload::Json(payload.as_ref().to_owned())),
        // Where the publisher does not say, it is the time of ingestion.
        occur_time: Some(show_timestamp(occur_time.unwrap_or(*ingest_time))),
        ingest_time: Some(show_timestamp(*ingest_time)),
        ordering_key: ordering_key.clone(),
        attributes: attributes.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        enrichments_json: enrichments.iter().flat_map(Blocks::by_name).collect(),
    }
}

/// What became of an event.
pub(crate) fn show_published(published: Published) -> proto::PublishResult {
    let Published { event_id, ingest_time, duplicate, matched, warnings } = published;
    proto::PublishResult {
        event_id: event_id.to_string(),
        ingest_time: Some(show_timestamp(ingest_time)),
        duplicate,
        matched_webhook_count: value::show_count(matched),
        warnings,
    }
}

/// The verdict on one webhook.
pub(crate) fn show_match(found: WebhookMatch) -> proto::WebhookMatch {
    let WebhookMatch { webhook_id, webhook_name, explanation, event_log_id } = found;
    proto::WebhookMatch {
        webhook_id: webhook_id.to_string(),
        webhook_name,
        matched: explanation.matched,
        reason: explanation.reason,
        event_log_id: event_log_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn tenant() -> TenantId {
        "acme".parse().expect("a tenant id")
    }

    fn faults(event: proto::Event) -> Vec<String> {
        let Err(error) = read_event(event, "event", &tenant()).faults.check() else {
            return Vec::new();
        };
        error.violations.into_iter().map(|v| v.field).collect()
    }

    #[test]
    fn all_that_cannot_be_read_is_named() {
        let number =
            |n| prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(n)) };
        let object = prost_types::Struct { fields: [("a".to_owned(), number(f64::NAN))].into() };
        let event = proto::Event {
            event_id: "7".into(),
            tenant_id: "other".into(),
            occur_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
            enrichments_json: [("tillDetails".to_owned(), "{".to_owned())].into(),
            payload: Some(Payload::Object(object)),
            ..Default::default()
        };
        assert_eq!(
            faults(event),
            [
                "event.tenant_id",
                "event.event_id",
                "event.object.a",
                "event.enrichments_json[tillDetails]",
                "event.occur_time",
            ]
        );
    }

    #[test]
    fn json_text_is_taken_byte_for_byte_and_the_own_tenant_may_be_named() {
        let json = "{ \"n\":9007199254740993,\"n\":1.10 }".to_owned();
        let payload = Some(Payload::Json(json.clone()));
        let event = proto::Event { tenant_id: "acme".into(), payload, ..Default::default() };
        assert!(faults(event.clone()).is_empty());
        assert_eq!(&*read_event(event, "event", &tenant()).draft.payload, json);
    }
}
