//! Events: published by their name and what they are about; and the last one that failed.

use std::collections::BTreeMap;

use axum::{Extension, extract::State, response::Response};
use http::StatusCode;
use serde_json::json;

use super::{Named, accept, refusal::Refusal, webhooks::find};
use crate::{
    domain::{
        delivery::AttemptOutcome,
        error::{Error, Faults},
        event::EventDraft,
        log_filter::EventLogFilter,
        webhook::Webhook,
    },
    http::{Facades, answer},
    service::{event_logs::LogQuery, events::Incoming, scope::Scope},
};

/// How attempts end that fail.
const FAILED: [AttemptOutcome; 6] = [
    AttemptOutcome::HttpError,
    AttemptOutcome::Timeout,
    AttemptOutcome::ConnectionError,
    AttemptOutcome::TlsError,
    AttemptOutcome::ForbiddenDestination,
    AttemptOutcome::Interrupted,
];

pub(super) async fn publish(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((event_name, primary_key)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let primary_key: i64 = primary_key.parse().unwrap_or_else(|_| {
        faults.invalid("primaryKey", "must be a whole number");
        0
    });
    let payload = json!({"PrimaryKey": primary_key, "ChangedByAssociateId": scope.actor.id});
    let draft = EventDraft {
        event_id: None,
        event_name,
        ref_id: String::new(),
        request_id: String::new(),
        payload: payload.to_string().into(),
        enrichments: None,
        occur_time: None,
        ordering_key: String::new(),
        attributes: BTreeMap::new(),
    };
    facades.services.events.publish(&scope, Incoming { draft, faults }, false).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// Why the newest delivery failed whose last attempt did; an empty text where none has.
pub(super) async fn last_error(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named(id): Named<String>,
) -> Result<Response, Refusal> {
    let webhook = find(&facades, &scope, &id).await?;
    let error = newest_error(&facades, &scope, &webhook).await?;
    // The log may have been pruned meanwhile.
    let message = webhook.suspension.as_ref().map(|suspension| suspension.message.clone());
    Ok(accept::json(StatusCode::OK, &error.or(message).unwrap_or_default()))
}

async fn newest_error(
    facades: &Facades,
    scope: &Scope,
    webhook: &Webhook,
) -> Result<Option<String>, Error> {
    let filter = EventLogFilter {
        webhook_ids: vec![webhook.webhook_id],
        outcomes: FAILED.to_vec(),
        ..EventLogFilter::default()
    };
    let query = LogQuery { page_size: 1, filter, ..LogQuery::default() };
    let newest = facades.services.event_logs.list(scope, query).await?.records.pop();
    Ok(newest.and_then(|record| record.state.last).map(|last| last.error))
}
