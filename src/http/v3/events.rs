//! `POST /v3/events`: publishing, for callers without gRPC.

use std::collections::BTreeMap;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;

use super::{
    codes::Code, envelope, envelope::Remark, object::Object, refusal::Refusal,
    request_id::RequestId, time, zone,
};
use crate::{
    domain::{enrichment::Blocks, error::Faults, event::EventDraft, time::Timestamp},
    http::{Facades, body},
    service::{events::Incoming, scope::Scope},
};

/// What became of an event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    event_id: String,
    event_ingestion_timestamp: String,
    duplicate: bool,
    matched_web_hooks: usize,
}

pub(super) async fn publish(
    State(facades): State<Facades>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read_json_text(request).await?;
    let mut faults = Faults::default();
    let mut object = Object::read(&text, &mut faults)?;
    let draft = read(&mut object, request_id, &mut faults);
    let mut warnings: Vec<_> = object.ignored().collect();
    let published =
        facades.services.events.publish(&scope, Incoming { draft, faults }, false).await?;
    let remarks = published.warnings.into_iter();
    warnings.extend(remarks.map(|remark| Remark::warning(Code::PayloadRemark, remark)));
    let answer = Published {
        event_id: published.event_id.to_string(),
        event_ingestion_timestamp: time::show(published.ingest_time, &zone(&scope)),
        duplicate: published.duplicate,
        matched_web_hooks: published.matched,
    };
    Ok(envelope::done(StatusCode::ACCEPTED, answer, warnings))
}

/// Reads an event. One that names no API call is of the call that publishes it.
fn read(object: &mut Object, request_id: String, faults: &mut Faults) -> EventDraft {
    let event_id = object.text("eventId", faults).and_then(|text| {
        let read = text.parse();
        read.map_err(|fault: &str| faults.invalid("eventId", fault)).ok()
    });
    let attributes = object.object("attributes", faults);
    EventDraft {
        event_id,
        event_name: object.text("eventName", faults).unwrap_or_default(),
        ref_id: object.text("refId", faults).unwrap_or_default(),
        request_id: object.text("requestId", faults).unwrap_or(request_id),
        payload: object.take("data").map(|data| data.get().into()).unwrap_or_default(),
        enrichments: read_enrichments(object, faults),
        occur_time: read_time(object, faults),
        ordering_key: object.text("orderingKey", faults).unwrap_or_default(),
        attributes: attributes.map_or_else(BTreeMap::new, |attributes| {
            attributes.all_texts(faults).into_iter().collect()
        }),
    }
}

fn read_enrichments(object: &mut Object, faults: &mut Faults) -> Option<Blocks> {
    let given = object.object("enrichments", faults)?.all();
    let blocks = given.iter().map(|(name, block)| (name.as_str(), block.get()));
    Blocks::read(blocks, "event.enrichments_json", faults)
}

fn read_time(object: &mut Object, faults: &mut Faults) -> Option<Timestamp> {
    let text = object.text("occurTime", faults)?;
    let read = time::read(&text);
    if read.is_none() {
        faults.invalid("occurTime", "must be a time such as 2024-10-28T08:05:44.665+0000");
    }
    read
}
