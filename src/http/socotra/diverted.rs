//! Diverted events: listed, shown, sent again and given up.

use axum::{Extension, extract::State, response::Response};
use http::{StatusCode, Uri};
use serde::Serialize;

use super::{DEFAULT_COUNT, MAX_COUNT, Named, refusal::Refusal, refuse_unknown};
use crate::{
    domain::{
        delivery::{AttemptOutcome, AttemptSummary, DeliveryStatus, DivertReason},
        diverted::{DivertedEvent, DivertedSelector, DivertedState, JobKind},
        error::{Error, Faults, Reason},
        id::{EventId, EventLogId},
        limits,
        log_filter::EventLogFilter,
    },
    http::{Facades, answer, parameters::Parameters},
    service::{
        diverted_events::{DivertedQuery, JobRequest},
        event_logs::LogQuery,
        scope::Scope,
    },
};

/// The largest offset: what is left out is read all the same.
const MAX_OFFSET: i32 = 10_000;

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let mut parameters = Parameters::of(uri.query());
    let offset = parameters.count("offset", 0..=MAX_OFFSET, &mut faults).unwrap_or(0);
    let count = parameters.count("count", 1..=MAX_COUNT, &mut faults).unwrap_or(DEFAULT_COUNT);
    refuse_unknown(&parameters, &mut faults);
    faults.check()?;
    let (mut skip, mut left) = (offset as usize, count as usize);
    let (mut shown, mut page_token) = (Vec::new(), String::new());
    loop {
        let page_size = i32::try_from((skip + left).min(limits::MAX_PAGE)).unwrap_or(i32::MAX);
        let query = DivertedQuery { page_size, page_token, ..DivertedQuery::default() };
        let page = facades.services.diverted_events.list(&scope, query).await?;
        let found = page.items.len();
        let wanted = page.items.iter().skip(skip).take(left);
        let before = shown.len();
        shown.extend(wanted.map(Shown::of));
        left -= shown.len() - before;
        skip = skip.saturating_sub(found);
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            return Ok(answer::json(StatusCode::OK, &shown));
        }
    }
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    let ids = find(&facades, &scope, &locator).await?;
    let last = ids.last().ok_or_else(missing)?;
    let event = facades.services.diverted_events.get(&scope, &last.to_string()).await?;
    Ok(answer::json(StatusCode::OK, &Shown::of(&event)))
}

pub(super) async fn resend(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    start(JobKind::Replay, &facades, &scope, &locator).await
}

pub(super) async fn discard(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    start(JobKind::Discard, &facades, &scope, &locator).await
}

/// The answer comes when the job is stored; it is done soon after.
async fn start(
    kind: JobKind,
    facades: &Facades,
    scope: &Scope,
    locator: &str,
) -> Result<Response, Refusal> {
    let ids = find(facades, scope, locator).await?;
    let request = JobRequest {
        kind,
        selector: DivertedSelector { ids, ..DivertedSelector::default() },
        max_per_second: 0.0,
        idempotency_key: String::new(),
        validate_only: false,
        faults: Faults::default(),
    };
    facades.services.diverted_events.start(scope, request).await?;
    Ok(answer::empty(StatusCode::ACCEPTED))
}

/// The diverted events that a locator names and that wait for a decision, at least one. It is
/// one's own, or that of its event, which may wait at several webhooks.
async fn find(facades: &Facades, scope: &Scope, locator: &str) -> Result<Vec<EventLogId>, Error> {
    let Ok(event_id) = locator.parse::<EventId>() else {
        let event = facades.services.diverted_events.get(scope, locator).await?;
        return match event.state {
            DivertedState::Pending => Ok(vec![event.id]),
            DivertedState::Replayed | DivertedState::Discarded => Err(missing()),
        };
    };
    let filter = EventLogFilter {
        event_id: Some(event_id),
        statuses: vec![DeliveryStatus::Diverted],
        ..EventLogFilter::default()
    };
    let page_size = i32::try_from(limits::DIVERTED_IDS).unwrap_or(i32::MAX);
    let query = LogQuery { page_size, filter, ascending: true, ..LogQuery::default() };
    let records = facades.services.event_logs.list(scope, query).await?.records;
    let ids = records.iter().map(|record| EventLogId {
        event_id: record.event.event_id,
        webhook_id: record.webhook.webhook_id,
    });
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() { Err(missing()) } else { Ok(ids) }
}

fn missing() -> Error {
    Error::new(Reason::DivertedEventNotFound, "no such diverted event")
}

/// A diverted event as an answer has it: the documented members, then our own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    event_locator: String,
    request_locator: Option<String>,
    /// Null where no attempt was made.
    failure_trigger: Option<String>,
    failure_message: String,
    failure_timestamp: String,
    locator: String,
    webhook_locator: String,
}

impl Shown {
    fn of(event: &DivertedEvent) -> Self {
        let last = event.last_attempt.as_ref().map(|(attempt, _)| &attempt.summary);
        let request_id = &event.event.request_id;
        Self {
            event_locator: event.event.event_id.to_string(),
            request_locator: Some(request_id.clone()).filter(|id| !id.is_empty()),
            failure_trigger: last.and_then(trigger),
            failure_message: message(event.reason, last),
            failure_timestamp: event.at.divert_time.rfc3339(),
            locator: event.id.to_string(),
            webhook_locator: event.id.webhook_id.to_string(),
        }
    }
}

/// What failed, in the terms of a webhook's triggers.
fn trigger(last: &AttemptSummary) -> Option<String> {
    match last.outcome {
        AttemptOutcome::HttpError => Some(format!("{}xx", last.http_status / 100)),
        AttemptOutcome::Timeout => Some("timeout".to_owned()),
        AttemptOutcome::ConnectionError | AttemptOutcome::TlsError => Some("connection".to_owned()),
        AttemptOutcome::Success
        | AttemptOutcome::ForbiddenDestination
        | AttemptOutcome::Interrupted => None,
    }
}

/// Why it was diverted, and how its last attempt ended.
fn message(reason: DivertReason, last: Option<&AttemptSummary>) -> String {
    let why = match reason {
        DivertReason::RetriesExhausted => "no retries are left",
        DivertReason::Rejected => "the failure is not retried",
        DivertReason::Expired => "it was retried for too long",
        DivertReason::Suspended => "the webhook was suspended for too long",
        DivertReason::WebhookStopped => "the webhook was stopped or deleted",
    };
    match last {
        Some(last) if !last.error.is_empty() => format!("{why}: {}", last.error),
        Some(last) if last.http_status > 0 => format!("{why}: HTTP status {}", last.http_status),
        _ => why.to_owned(),
    }
}
