//! What a tail is asked for, by its query and by `Last-Event-ID`.

use http::{HeaderMap, HeaderName};

use super::{record::STATUSES, tail::HEARTBEAT};
use crate::domain::{
    error::{Faults, Reason},
    log_filter::EventLogFilter,
    tail::{SlowConsumerPolicy, TailRequest, TailStart},
};
use crate::http::parameters::Parameters;

/// Sent by browsers that connect again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Reads what a tail is asked for. A parameter that is not known is a fault: left out, a
/// filter would let too much through.
pub(super) fn read(
    headers: &HeaderMap,
    parameters: &mut Parameters,
    faults: &mut Faults,
) -> TailRequest {
    let request = TailRequest {
        start: read_start(headers, parameters, faults),
        filter: EventLogFilter {
            webhook_ids: parameters.all("webHookId", "24 lower-case hex digits", faults),
            event_names: parameters.texts("eventName"),
            statuses: read_statuses(parameters, faults),
            event_id: parameters.one("eventId", "a UUID", faults),
            ref_id: parameters.text("refId", faults).unwrap_or_default(),
            request_id: parameters.text("requestId", faults).unwrap_or_default(),
            sla_breached: parameters.one("slaBreached", "true or false", faults),
            http_statuses: parameters.all("httpStatus", "a status such as 503", faults),
            consumer_group_id: parameters.one("consumerGroupId", "a UUID", faults),
            ..EventLogFilter::default()
        },
        full: false,
        heartbeat: HEARTBEAT,
        slow_consumer: SlowConsumerPolicy::CatchUp,
        // Each change has its own place to resume from.
        max_batch_size: 1,
        max_batch_delay: std::time::Duration::ZERO,
        stop_when_caught_up: false,
    };
    for name in parameters.left() {
        faults.invalid(name, "is not known");
    }
    request
}

/// Where a client was before, wins over where it first wanted to begin: browsers repeat
/// the query when they connect again.
fn read_start(headers: &HeaderMap, parameters: &mut Parameters, faults: &mut Faults) -> TailStart {
    let position = parameters.text("position", faults);
    let position = match position.as_deref() {
        None | Some("latest") => TailStart::Latest,
        Some("earliest") => TailStart::Earliest,
        Some(_) => {
            faults.invalid("position", "must be latest or earliest");
            TailStart::Latest
        }
    };
    match headers.get(LAST_EVENT_ID).map(|id| id.to_str()) {
        // What a browser has seen nothing of has no id.
        None | Some(Ok("")) => position,
        Some(Ok(token)) => TailStart::Token(token.to_owned()),
        Some(Err(_)) => {
            faults.add("resume_token", Reason::ResumeTokenInvalid, "is malformed");
            position
        }
    }
}

fn read_statuses(
    parameters: &mut Parameters,
    faults: &mut Faults,
) -> Vec<crate::domain::delivery::DeliveryStatus> {
    let mut read = Vec::new();
    for text in parameters.texts("status") {
        match STATUSES.iter().find(|(name, _)| *name == text) {
            Some((_, status)) => read.push(*status),
            None if faults.names("status") => {}
            None => {
                let names = STATUSES.map(|(name, _)| name).join(", ");
                faults.invalid("status", format!("must be one of {names}"));
            }
        }
    }
    read
}
