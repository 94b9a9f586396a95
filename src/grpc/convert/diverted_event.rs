//! Diverted events, selectors and jobs.

use super::{
    actor::show_attribution,
    event::show_event,
    event_log::show_attempt,
    time::{read_timestamp, show_timestamp},
    value,
};
use crate::{
    domain::{
        delivery::{Attempt, DivertReason},
        diverted::{DivertedEvent, DivertedSelector, Job},
        error::Faults,
        event::Event,
        id::{TenantId, WebhookId},
        notification::EventIdentity,
        time::Timestamp,
        webhook::Header,
    },
    grpc::proto,
};

/// Reads a selector; none takes everything.
pub(crate) fn read_selector(
    selector: Option<proto::DivertedEventSelector>,
    faults: &mut Faults,
) -> DivertedSelector {
    let proto::DivertedEventSelector {
        diverted_event_ids,
        webhook_ids,
        event_names,
        reasons,
        divert_time,
    } = selector.unwrap_or_default();
    let proto::TimeRange { start_time, end_time } = divert_time.unwrap_or_default();
    let at = "selector.divert_time";
    DivertedSelector {
        ids: read_ids(&diverted_event_ids, "selector.diverted_event_ids", faults),
        webhook_ids: read_ids(&webhook_ids, "selector.webhook_ids", faults),
        event_names,
        reasons: value::read_numbers(
            &reasons,
            "selector.reasons",
            DivertReason::from_number,
            faults,
        ),
        start_time: read_timestamp(start_time.as_ref(), &format!("{at}.start_time"), faults),
        end_time: read_timestamp(end_time.as_ref(), &format!("{at}.end_time"), faults),
    }
}

fn read_ids<T: std::str::FromStr<Err = &'static str>>(
    ids: &[String],
    at: &str,
    faults: &mut Faults,
) -> Vec<T> {
    let mut read = Vec::with_capacity(ids.len());
    for (i, id) in ids.iter().enumerate() {
        match id.parse() {
            Ok(id) => read.push(id),
            Err(fault) => faults.invalid(format!("{at}[{i}]"), fault),
        }
    }
    read
}

/// A diverted event; with payload, headers and body where `full`.
pub(crate) fn show_diverted(
    diverted: &DivertedEvent,
    expire_time: Option<Timestamp>,
    tenant: &TenantId,
    full: bool,
) -> proto::DivertedEvent {
    let DivertedEvent { at, id, event, reason, state, attempt_count, last_attempt, resolution } =
        diverted;
    let mut shown = show_event(event, tenant);
    if !full {
        shown.payload = None;
    }
    proto::DivertedEvent {
        diverted_event_id: id.to_string(),
        tenant_id: tenant.to_string(),
        webhook_id: id.webhook_id.to_string(),
        event: Some(shown),
        reason: reason.number(),
        state: state.number(),
        divert_time: Some(show_timestamp(at.divert_time)),
        expire_time: expire_time.map(show_timestamp),
        event_log_id: id.to_string(),
        last_attempt: last_attempt.as_ref().map(|(attempt, headers)| {
            show_last_attempt(attempt, headers, event, id.webhook_id, full)
        }),
        attempt_count: value::show_count(*attempt_count),
        resolution: resolution.as_ref().map(show_attribution),
    }
}

/// The last attempt; with headers and body where `full`.
fn show_last_attempt(
    attempt: &Attempt,
    headers: &[Header],
    event: &Event,
    webhook_id: WebhookId,
    full: bool,
) -> proto::DeliveryAttempt {
    let Event { event_name, ref_id, request_id, .. } = event;
    let event_id = event.event_id.to_string();
    let identity = EventIdentity { event_id: &event_id, event_name, ref_id, request_id };
    let mut shown = show_attempt(attempt, headers, webhook_id, &identity);
    if !full {
        shown.request_headers.clear();
        if let Some(response) = &mut shown.response {
            response.body_excerpt.clear();
        }
    }
    shown
}

/// A job.
pub(crate) fn show_job(job: &Job, tenant: &TenantId) -> proto::DivertedEventJob {
    let Job {
        key: _,
        job_id,
        kind,
        state,
        selected,
        done,
        skipped,
        max_per_second,
        attribution,
        end_time,
    } = job;
    let count = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
    proto::DivertedEventJob {
        job_id: if job_id.is_nil() { String::new() } else { job_id.to_string() },
        tenant_id: tenant.to_string(),
        kind: kind.number(),
        state: state.number(),
        selected_count: count(selected),
        done_count: count(done),
        skipped_count: count(skipped),
        max_per_second: *max_per_second,
        attribution: Some(show_attribution(attribution)),
        end_time: end_time.map(show_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_selector_is_named() {
        let bad = proto::DivertedEventSelector {
            diverted_event_ids: vec!["x".into()],
            webhook_ids: vec!["671f45d8760af000077b19f8".into(), "y".into()],
            event_names: vec![String::new()],
            reasons: vec![0, 1, 6],
            divert_time: Some(proto::TimeRange {
                start_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
                end_time: None,
            }),
        };
        let mut faults = Faults::default();
        read_selector(Some(bad), &mut faults).check(&mut faults);
        let error = faults.into_error();
        let at: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            at,
            [
                "selector.diverted_event_ids[0]",
                "selector.webhook_ids[1]",
                "selector.reasons[0]",
                "selector.reasons[2]",
                "selector.divert_time.start_time",
                "selector.event_names[0]",
            ]
        );
    }
}
