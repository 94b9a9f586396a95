//! Filters over the delivery log: the same for lists and for tails.

use super::{time::read_duration, value};
use crate::{
    domain::{
        delivery::{AttemptOutcome, DeliveryStatus},
        error::Faults,
        log_filter::EventLogFilter,
    },
    grpc::proto,
};

/// Reads a filter; none takes everything.
pub(crate) fn read_filter(
    filter: Option<proto::EventLogFilter>,
    faults: &mut Faults,
) -> EventLogFilter {
    let proto::EventLogFilter {
        webhook_ids,
        event_names,
        statuses,
        event_id,
        ref_id,
        request_id,
        sla_breached,
        http_statuses,
        min_time_taken,
        outcomes,
        consumer_group_id,
        attributes,
    } = filter.unwrap_or_default();
    EventLogFilter {
        webhook_ids: read_webhook_ids(&webhook_ids, faults),
        event_names,
        statuses: value::read_numbers(
            &statuses,
            "filter.statuses",
            DeliveryStatus::from_number,
            faults,
        ),
        event_id: value::read_text(&event_id, "filter.event_id", faults),
        ref_id,
        request_id,
        sla_breached,
        http_statuses: read_http_statuses(&http_statuses, faults),
        min_time_taken: read_duration(min_time_taken.as_ref(), "filter.min_time_taken", faults),
        outcomes: value::read_numbers(
            &outcomes,
            "filter.outcomes",
            AttemptOutcome::from_number,
            faults,
        ),
        consumer_group_id: value::read_uuid(&consumer_group_id, "filter.consumer_group_id", faults),
        attributes: attributes.into_iter().collect(),
    }
}

fn read_webhook_ids(ids: &[String], faults: &mut Faults) -> Vec<crate::domain::id::WebhookId> {
    let mut read = Vec::with_capacity(ids.len());
    for (i, id) in ids.iter().enumerate() {
        match id.parse() {
            Ok(id) => read.push(id),
            Err(fault) => faults.invalid(format!("filter.webhook_ids[{i}]"), fault),
        }
    }
    read
}

fn read_http_statuses(statuses: &[i32], faults: &mut Faults) -> Vec<u16> {
    let mut read = Vec::with_capacity(statuses.len());
    for (i, status) in statuses.iter().enumerate() {
        match u16::try_from(*status) {
            Ok(status @ 0..=999) => read.push(status),
            Ok(_) | Err(_) => {
                faults.invalid(format!("filter.http_statuses[{i}]"), "must be 0 to 999");
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_whole_or_refused_at_each_fault() {
        let mut faults = Faults::default();
        assert!(read_filter(None, &mut faults).is_empty());
        let good = proto::EventLogFilter {
            webhook_ids: vec!["671f45d8760af000077b19f8".into()],
            statuses: vec![1, 5],
            http_statuses: vec![0, 999],
            outcomes: vec![7],
            event_id: "ccc983c2-df7a-4ece-b5cc-e574cec66fc1".into(),
            ..Default::default()
        };
        let read = read_filter(Some(good), &mut faults);
        assert!(faults.is_empty());
        assert_eq!(read.http_statuses, [0, 999]);
        assert_eq!(read.statuses, [DeliveryStatus::Pending, DeliveryStatus::Dropped]);

        let bad = proto::EventLogFilter {
            webhook_ids: vec![String::new()],
            statuses: vec![0],
            http_statuses: vec![-1, 200, 1_000],
            outcomes: vec![8],
            event_id: "x".into(),
            consumer_group_id: "y".into(),
            min_time_taken: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
            ..Default::default()
        };
        read_filter(Some(bad), &mut faults);
        let error = faults.into_error();
        let at: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            at,
            [
                "filter.webhook_ids[0]",
                "filter.statuses[0]",
                "filter.event_id",
                "filter.http_statuses[0]",
                "filter.http_statuses[2]",
                "filter.min_time_taken",
                "filter.outcomes[0]",
                "filter.consumer_group_id",
            ]
        );
    }
}
