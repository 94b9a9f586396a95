//! Events, as they are delivered.

use axum::{Extension, extract::State, response::Response};
use http::{HeaderValue, StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{DEFAULT_COUNT, MAX_COUNT, Named, refusal::Refusal, refuse_unknown};
use crate::{
    domain::{
        body::{PayloadFormat, Recipe},
        error::{Error, Faults, Reason},
        event::Event,
        time::Timestamp,
        webhook::WebhookSpec,
    },
    http::{Facades, answer, parameters::Parameters},
    service::{event_lists::EventQuery, scope::Scope},
};

/// The header that says how the list of a request's events goes on.
const PAGING_TOKEN: &str = "paging-token";

/// A page of events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    list_completed: bool,
    items: Vec<Box<RawValue>>,
    paging_token: Option<String>,
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    let event = facades.services.events.get(&scope, &locator).await?;
    Ok(answer::json(StatusCode::OK, &written(&scope, &event)?))
}

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(uri.query());
    let mut query = EventQuery::default();
    let faults = &mut query.faults;
    query.start_time = read_time("startTimestamp", &mut parameters, faults);
    query.end_time = read_time("endTimestamp", &mut parameters, faults);
    query.event_name = parameters.text("type", faults).unwrap_or_default();
    let page = read_page(&facades, &scope, query, parameters).await?;
    Ok(answer::json(StatusCode::OK, &page))
}

pub(super) async fn of_request(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, request_id)): Named<(String, String)>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let query = EventQuery { request_id, ..EventQuery::default() };
    let page = read_page(&facades, &scope, query, Parameters::of(uri.query())).await?;
    let mut response = answer::json(StatusCode::OK, &page.items);
    if let Some(token) = page.paging_token.and_then(|token| HeaderValue::try_from(token).ok()) {
        response.headers_mut().insert(PAGING_TOKEN, token);
    }
    Ok(response)
}

async fn read_page(
    facades: &Facades,
    scope: &Scope,
    mut query: EventQuery,
    mut parameters: Parameters,
) -> Result<Page, Error> {
    let faults = &mut query.faults;
    query.page_size = parameters.count("pageSize", 1..=MAX_COUNT, faults).unwrap_or(DEFAULT_COUNT);
    query.page_token = parameters.text("pagingToken", faults).unwrap_or_default();
    refuse_unknown(&parameters, faults);
    let page = facades.services.events.list(scope, query).await?;
    let items = page.items.iter().map(|event| written(scope, event));
    let items = items.collect::<Result<_, _>>()?;
    let paging_token = Some(page.next_page_token).filter(|token| !token.is_empty());
    Ok(Page { list_completed: paging_token.is_none(), items, paging_token })
}

fn read_time(name: &str, parameters: &mut Parameters, faults: &mut Faults) -> Option<Timestamp> {
    let wanted = "a time such as 2026-01-31T23:59:59Z";
    let time: Option<jiff::Timestamp> = parameters.one(name, wanted, faults);
    time.map(|time| Timestamp::from_micros(time.as_microsecond()))
}

/// An event as a plain webhook of this dialect receives it: `EventResponse`.
fn written(scope: &Scope, event: &Event) -> Result<Box<RawValue>, Error> {
    let plain = WebhookSpec { payload_format: PayloadFormat::Socotra, ..WebhookSpec::default() };
    let body = Recipe::new(&plain).body(&scope.tenant_id, event);
    RawValue::from_string(body)
        .map_err(|_| Error::new(Reason::Internal, "an event cannot be written"))
}
