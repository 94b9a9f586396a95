//! Delivery records as callers see them.

use super::{
    headers::show_header,
    time::{show_duration, show_timestamp},
    value,
};
use crate::{
    domain::{
        delivery::{Attempt, AttemptSummary, DeliveryStatus, EventLabel, LogRecord},
        id::{EventLogId, TenantId, WebhookId},
        notification::{EventIdentity, shown_headers},
        webhook::Header,
    },
    grpc::proto,
};

/// A record; with attempts, headers and body where `full`.
pub(crate) fn show_record(record: &LogRecord, tenant: &TenantId, full: bool) -> proto::EventLog {
    let LogRecord { event, webhook, state, attempts } = record;
    let id = EventLogId { event_id: event.event_id, webhook_id: webhook.webhook_id }.to_string();
    let attempts = if full { attempts.as_slice() } else { &[] };
    let event_id = event.event_id.to_string();
    let EventLabel { event_name, ref_id, request_id, .. } = &**event;
    let identity = EventIdentity { event_id: &event_id, event_name, ref_id, request_id };
    let mut response = state.last.as_ref().map(show_response);
    if let (Some(response), Some((last, _))) = (response.as_mut(), attempts.last()) {
        response.body_excerpt.clone_from(&last.body_excerpt);
    }
    proto::EventLog {
        // A record is diverted at most once at a time, so that its id names the
        // diverted event as well.
        diverted_event_id: match state.status {
            DeliveryStatus::Diverted => id.clone(),
            DeliveryStatus::Pending
            | DeliveryStatus::Retrying
            | DeliveryStatus::Succeeded
            | DeliveryStatus::Dropped => String::new(),
        },
        event_log_id: id,
        tenant_id: tenant.to_string(),
        event_id: event_id.clone(),
        event_name: event_name.clone(),
        ref_id: event.ref_id.clone(),
        request_id: event.request_id.clone(),
        webhook_id: webhook.webhook_id.to_string(),
        consumer_group_id: webhook.consumer_group_id.to_string(),
        ingest_time: Some(show_timestamp(event.ingest_time)),
        start_time: state.start_time.map(show_timestamp),
        end_time: state.end_time.map(show_timestamp),
        sla_breach_time: state.sla_breach_time.map(show_timestamp),
        status: state.status.number(),
        consumer_response: response,
        attempt_count: value::show_count(state.attempt_count),
        next_attempt_time: state.due_time.map(show_timestamp),
        attempts: (attempts.iter())
            .map(|(attempt, headers)| show_attempt(attempt, headers, webhook.webhook_id, &identity))
            .collect(),
        last_outcome: state.last.as_ref().map_or(0, |last| last.outcome.number()),
        last_error: state.last.as_ref().map(|last| last.error.clone()).unwrap_or_default(),
    }
}

/// The answer of an attempt, without its body.
fn show_response(summary: &AttemptSummary) -> proto::ConsumerResponse {
    proto::ConsumerResponse {
        http_status: summary.http_status.into(),
        time_taken: Some(show_duration(summary.time_taken)),
        body_excerpt: String::new(),
    }
}

/// An attempt, with its headers and its body.
pub(crate) fn show_attempt(
    attempt: &Attempt,
    masked: &[Header],
    webhook_id: WebhookId,
    event: &EventIdentity<'_>,
) -> proto::DeliveryAttempt {
    let Attempt { number, start_time, end_time, summary, body_excerpt, webhook_version: _ } =
        attempt;
    let headers = shown_headers(masked, webhook_id, event, *number);
    let answered = summary.http_status != 0;
    proto::DeliveryAttempt {
        attempt_number: value::show_count(*number),
        start_time: Some(show_timestamp(*start_time)),
        end_time: Some(show_timestamp(*end_time)),
        outcome: summary.outcome.number(),
        response: answered.then(|| proto::ConsumerResponse {
            body_excerpt: body_excerpt.clone(),
            ..show_response(summary)
        }),
        error_message: summary.error.clone(),
        request_headers: headers.into_iter().map(show_header).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        delivery::{AttemptOutcome, DeliveryState, WebhookLabel},
        id::{EventId, EventKey, WebhookKey},
        time::Timestamp,
    };

    fn record(status: DeliveryStatus) -> LogRecord {
        let summary = AttemptSummary {
            outcome: AttemptOutcome::HttpError,
            http_status: 503,
            time_taken: Duration::from_millis(20),
            error: "answered 503".into(),
        };
        let attempt = Attempt {
            number: 1,
            start_time: Timestamp::default(),
            end_time: Timestamp::default(),
            summary: summary.clone(),
            body_excerpt: "busy".into(),
            webhook_version: 1,
        };
        let header =
            Header { name: "Authorization".into(), values: vec!["***".into()], sensitive: true };
        LogRecord {
            event: Arc::new(EventLabel {
                key: EventKey(1),
                event_id: EventId(Uuid::from_u128(7)),
                event_name: "a".into(),
                ref_id: String::new(),
                request_id: String::new(),
                ingest_time: Timestamp::default(),
                attributes: Default::default(),
            }),
            webhook: WebhookLabel {
                key: WebhookKey(1),
                webhook_id: WebhookId::new(Timestamp::default(), [1; 8]),
                consumer_group_id: Uuid::from_u128(9),
            },
            state: DeliveryState {
                status,
                attempt_count: 1,
                last: Some(summary),
                ..DeliveryState::ACCEPTED
            },
            attempts: vec![(attempt, Arc::from([header]))],
        }
    }

    fn show(record: &LogRecord, full: bool) -> proto::EventLog {
        show_record(record, &"acme".parse().expect("a tenant id"), full)
    }

    #[test]
    fn the_basic_view_leaves_attempts_and_bodies_out() {
        let basic = show(&record(DeliveryStatus::Diverted), false);
        assert!(basic.attempts.is_empty());
        assert_eq!(basic.diverted_event_id, basic.event_log_id);
        assert!(basic.event_log_id.parse::<EventLogId>().is_ok());
        let response = basic.consumer_response.expect("an attempt was made");
        assert_eq!((response.http_status, response.body_excerpt.as_str()), (503, ""));
        assert_eq!(basic.last_outcome, 2);
    }

    #[test]
    fn the_full_view_shows_what_was_sent_and_answered() {
        let full = show(&record(DeliveryStatus::Retrying), true);
        assert_eq!(full.diverted_event_id, "");
        assert_eq!(full.consumer_response.expect("an attempt").body_excerpt, "busy");
        let headers = &full.attempts[0].request_headers;
        assert_eq!(
            (headers[0].name.as_str(), headers[0].values[0].as_str()),
            ("Authorization", "***")
        );
        assert!(headers.iter().any(|h| h.name == "tidings-attempt" && h.values == ["1"]));
    }

    #[test]
    fn before_an_attempt_there_is_no_answer() {
        let mut waiting = record(DeliveryStatus::Pending);
        waiting.state = DeliveryState::ACCEPTED;
        waiting.attempts.clear();
        let shown = show(&waiting, true);
        assert!(shown.consumer_response.is_none() && shown.last_error.is_empty());
        assert_eq!(shown.last_outcome, 0);
    }
}
