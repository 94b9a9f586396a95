//! `/v3/webHooks/eventLog`: what became of events.

use axum::{Extension, extract::State, response::Response};
use http::{StatusCode, Uri};

use super::{
    codes::Code, envelope, envelope::Remark, record::Record, refusal::Refusal, segment::Segment,
    zone,
};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        id::EventId,
        log_filter::EventLogFilter,
    },
    http::{Facades, pages, parameters::Parameters},
    service::{event_logs::LogQuery, scope::Scope},
};

/// The record of one event: of several webhooks the last one to settle, unless the
/// request names a consumer group.
pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(event_id): Segment,
    uri: Uri,
) -> Result<Response, Refusal> {
    let logs = &facades.services.event_logs;
    let mut parameters = Parameters::of(uri.query());
    let mut faults = Faults::default();
    let group = parameters.one("consumerGroupId", "a UUID", &mut faults);
    faults.check()?;
    let mut warnings = envelope::ignored(&parameters);
    let record = match group {
        None => {
            let (record, total) = logs.get(&scope, &event_id, "", false).await?;
            if total > 1 {
                let message = format!(
                    "the event has records of {total} consumer groups; consumerGroupId picks one"
                );
                warnings.push(Remark::warning(Code::SeveralRecords, message));
            }
            record
        }
        Some(group) => {
            let missing = |what: &str| Error::new(Reason::EventLogNotFound, what);
            let id: EventId = event_id.parse().map_err(|_| missing("no such event"))?;
            let filter = EventLogFilter {
                event_id: Some(id),
                consumer_group_id: Some(group),
                ..EventLogFilter::default()
            };
            let query = LogQuery { page_size: 1, filter, ..LogQuery::default() };
            let found = logs.list(&scope, query).await?.records.pop();
            found.ok_or_else(|| missing("the event has no record of that consumer group"))?
        }
    };
    Ok(envelope::done(StatusCode::OK, Record::of(&record, &zone(&scope)), warnings))
}

/// The records of the events that one API call caused.
pub(super) async fn of_request(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(request_id): Segment,
    uri: Uri,
) -> Result<Response, Refusal> {
    let filter = EventLogFilter { request_id, ..EventLogFilter::default() };
    list(&facades, &scope, filter, &uri).await
}

/// The records of the events that are about one thing.
pub(super) async fn of_reference(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(ref_id): Segment,
    uri: Uri,
) -> Result<Response, Refusal> {
    let filter = EventLogFilter { ref_id, ..EventLogFilter::default() };
    list(&facades, &scope, filter, &uri).await
}

/// Records, the newest first.
async fn list(
    facades: &Facades,
    scope: &Scope,
    filter: EventLogFilter,
    uri: &Uri,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(uri.query());
    let mut faults = Faults::default();
    let limit = parameters.count("limit", 1..=1_000, &mut faults);
    let page_token = parameters.text("pageToken", &mut faults).unwrap_or_default();
    let query = LogQuery {
        page_size: limit.unwrap_or(pages::LARGEST),
        page_token,
        filter,
        faults,
        ..LogQuery::default()
    };
    let page = facades.services.event_logs.list(scope, query).await?;
    let mut warnings = envelope::ignored(&parameters);
    if !page.next_page_token.is_empty() {
        let message = format!("there are more: pageToken={}", page.next_page_token);
        warnings.push(Remark::warning(Code::MoreRecords, message));
    }
    let zone = zone(scope);
    let records: Vec<_> = page.records.iter().map(|record| Record::of(record, &zone)).collect();
    Ok(envelope::done(StatusCode::OK, records, warnings))
}
