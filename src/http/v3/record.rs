//! Records of the delivery log as this dialect writes them.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::time;
use crate::domain::delivery::{AttemptSummary, DeliveryStatus, LogRecord};

/// The names of statuses.
pub(super) const STATUSES: [(&str, DeliveryStatus); 5] = [
    ("PENDING", DeliveryStatus::Pending),
    ("RETRYING", DeliveryStatus::Retrying),
    ("SUCCEEDED", DeliveryStatus::Succeeded),
    ("DIVERTED", DeliveryStatus::Diverted),
    ("DROPPED", DeliveryStatus::Dropped),
];

/// A record: the documented members in their order, and then our own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    ref_id: String,
    request_id: String,
    event_name: String,
    event_id: String,
    consumer_group_id: String,
    event_ingestion_timestamp: String,
    event_start_timestamp: Option<String>,
    event_end_timestamp: Option<String>,
    sla_breach_timestamp: Option<String>,
    consumer_response: Option<Response>,
    status: &'static str,
    attempts: u32,
    next_attempt_timestamp: Option<String>,
}

/// The answer of the last attempt. Its numbers have a decimal point.
#[derive(Serialize)]
struct Response {
    /// Null where none came.
    #[serde(rename = "webhookHttpStatus")]
    http_status: Option<f64>,
    /// In milliseconds, whole ones.
    time_taken: f64,
}

impl Record {
    pub(super) fn of(record: &LogRecord, zone: &TimeZone) -> Self {
        let LogRecord { event, webhook, state, .. } = record;
        let show = |at| time::show(at, zone);
        let status = STATUSES.iter().find(|(_, status)| *status == state.status);
        Self {
            ref_id: event.ref_id.clone(),
            request_id: event.request_id.clone(),
            event_name: event.event_name.clone(),
            event_id: event.event_id.to_string(),
            consumer_group_id: webhook.consumer_group_id.to_string(),
            event_ingestion_timestamp: show(event.ingest_time),
            event_start_timestamp: state.start_time.map(show),
            event_end_timestamp: state.end_time.map(show),
            sla_breach_timestamp: state.sla_breach_time.map(show),
            consumer_response: state.last.as_ref().map(Response::of),
            status: status.map_or("", |(name, _)| name),
            attempts: state.attempt_count,
            next_attempt_timestamp: state.due_time.map(show),
        }
    }
}

impl Response {
    fn of(last: &AttemptSummary) -> Self {
        let answered = Some(last.http_status).filter(|status| *status != 0);
        Self { http_status: answered.map(f64::from), time_taken: millis(last.time_taken) }
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round()
}
