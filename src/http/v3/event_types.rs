//! `/v3/webHooks/eventMetaData`: event types.

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    envelope,
    object::{Object, is_null},
    refusal::Refusal,
    segment::Segment,
};
use crate::{
    domain::{
        error::Faults,
        event_metadata::{EventMetadata, EventMetadataSpec},
    },
    http::{Facades, body, pages, parameters::Parameters},
    service::{
        event_types::{CreateEventType, EventTypeQuery},
        scope::Scope,
    },
};

/// An event type in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    active: bool,
    event_name: String,
}

/// An event type by itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    active: bool,
    event_name: String,
    /// As it was registered; null where there is none.
    schema: Option<Box<RawValue>>,
}

impl Shown {
    fn of(metadata: EventMetadata) -> Self {
        let EventMetadataSpec { active, schema_json, .. } = metadata.spec;
        // Schemas are parsed before they are stored.
        let schema = RawValue::from_string(schema_json).ok();
        Self { active, event_name: metadata.event_name, schema }
    }
}

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(uri.query());
    let mut faults = Faults::default();
    let query = EventTypeQuery {
        page_size: pages::LARGEST,
        active: parameters.one("active", "true or false", &mut faults),
        faults,
        ..EventTypeQuery::default()
    };
    let (service, scope) = (&facades.services.event_types, &scope);
    let read = |page_token| {
        let query = EventTypeQuery { page_token, ..query.clone() };
        async move {
            let page = service.list(scope, query).await?;
            Ok((page.event_types, page.next_page_token))
        }
    };
    let listed = pages::all(read)
        .await?
        .into_iter()
        .map(|metadata| Listed { active: metadata.spec.active, event_name: metadata.event_name });
    let listed: Vec<_> = listed.collect();
    Ok(envelope::done(StatusCode::OK, listed, envelope::ignored(&parameters)))
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(event_name): Segment,
) -> Result<Response, Refusal> {
    let metadata = facades.services.event_types.get(&scope, &event_name).await?;
    Ok(envelope::done(StatusCode::OK, Shown::of(metadata), Vec::new()))
}

pub(super) async fn create(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read_json_text(request).await?;
    let mut faults = Faults::default();
    let mut object = Object::read(&text, &mut faults)?;
    let event_name = object.text("eventName", &mut faults).unwrap_or_default();
    let schema = object.take("schema").filter(|schema| !is_null(schema));
    let spec = EventMetadataSpec {
        active: object.truth("active", &mut faults).unwrap_or(true),
        schema_json: schema.map(|schema| schema.get().to_owned()).unwrap_or_default(),
        ..EventMetadataSpec::default()
    };
    let warnings = object.ignored().collect();
    let request = CreateEventType { event_name, spec, faults, idempotency_key: String::new() };
    let made = facades.services.event_types.create(&scope, request).await?;
    Ok(envelope::done(StatusCode::OK, Shown::of(made), warnings))
}
