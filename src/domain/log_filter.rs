//! Filters over the delivery log: the same for lists and for tails.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::{
    delivery::{AttemptOutcome, DeliveryStatus, LogRecord},
    error::Faults,
    id::{EventId, WebhookId},
    limits, subscription, text,
};

/// Conditions on a record, joined with AND, the values within one with OR. An
/// empty filter takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLogFilter {
    /// Any of these webhooks.
    pub webhook_ids: Vec<WebhookId>,
    /// Any of these event types; `prefix.*` and `*` are allowed.
    pub event_names: Vec<String>,
    /// Any of these statuses.
    pub statuses: Vec<DeliveryStatus>,
    /// This event.
    pub event_id: Option<EventId>,
    /// This ref id; any when empty.
    pub ref_id: String,
    /// This request id; any when empty.
    pub request_id: String,
    /// Only with, or only without, an SLA breach.
    pub sla_breached: Option<bool>,
    /// Last answer's HTTP status in any of these.
    pub http_statuses: Vec<u16>,
    /// Last answer took at least this long.
    pub min_time_taken: Option<Duration>,
    /// Last attempt ended in any of these ways.
    pub outcomes: Vec<AttemptOutcome>,
    /// This consumer group.
    pub consumer_group_id: Option<Uuid>,
    /// The event has all these attributes.
    pub attributes: BTreeMap<String, String>,
}

impl EventLogFilter {
    /// Adds what is wrong with the filter to `faults`, under the path `filter`.
    pub fn check(&self, faults: &mut Faults) {
        for (i, pattern) in self.event_names.iter().enumerate() {
            subscription::check_pattern(faults, &format!("filter.event_names[{i}]"), pattern);
        }
        let lists = [
            ("filter.webhook_ids", self.webhook_ids.len()),
            ("filter.event_names", self.event_names.len()),
            ("filter.http_statuses", self.http_statuses.len()),
        ];
        for (field, len) in lists {
            if len > limits::FILTER_VALUES {
                faults
                    .invalid(field, format!("must have at most {} values", limits::FILTER_VALUES));
            }
        }
        text::check(faults, "filter.ref_id", &self.ref_id, limits::NAME_CHARS);
        text::check(faults, "filter.request_id", &self.request_id, limits::NAME_CHARS);
        text::check_map(faults, "filter.attributes", self.attributes.iter());
    }

    /// Whether it takes everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it takes this record.
    pub fn takes(&self, record: &LogRecord) -> bool {
        fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        let LogRecord { event, webhook, state, .. } = record;
        let last = state.last.as_ref();
        any(&self.webhook_ids, &webhook.webhook_id)
            && (self.event_names.is_empty()
                || self.event_names.iter().any(|p| subscription::fits(p, &event.event_name)))
            && any(&self.statuses, &state.status)
            && self.event_id.is_none_or(|id| id == event.event_id)
            && (self.ref_id.is_empty() || self.ref_id == event.ref_id)
            && (self.request_id.is_empty() || self.request_id == event.request_id)
            && self.sla_breached.is_none_or(|wanted| wanted == state.sla_breach_time.is_some())
            && (self.http_statuses.is_empty()
                || last.is_some_and(|last| self.http_statuses.contains(&last.http_status)))
            && self.min_time_taken.is_none_or(|min| last.is_some_and(|last| last.time_taken >= min))
            && (self.outcomes.is_empty()
                || last.is_some_and(|last| self.outcomes.contains(&last.outcome)))
            && self.consumer_group_id.is_none_or(|id| id == webhook.consumer_group_id)
            && self.attributes.iter().all(|(key, value)| event.attributes.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{
        delivery::{AttemptSummary, DeliveryState, EventLabel, WebhookLabel},
        id::{EventKey, WebhookKey},
        time::Timestamp,
    };

    fn record() -> LogRecord {
        LogRecord {
            event: Arc::new(EventLabel {
                key: EventKey(1),
                event_id: EventId(Uuid::from_u128(7)),
                event_name: "loyalty.points".into(),
                ref_id: "50074_1".into(),
                request_id: "r1".into(),
                ingest_time: Timestamp::default(),
                attributes: BTreeMap::from([("till".into(), "4".into())]),
            }),
            webhook: WebhookLabel {
                key: WebhookKey(1),
                webhook_id: WebhookId::new(Timestamp::default(), [1; 8]),
                consumer_group_id: Uuid::from_u128(9),
            },
            state: DeliveryState {
                status: DeliveryStatus::Retrying,
                last: Some(AttemptSummary {
                    outcome: AttemptOutcome::HttpError,
                    http_status: 503,
                    time_taken: Duration::from_millis(20),
                    error: String::new(),
                }),
                ..DeliveryState::ACCEPTED
            },
            attempts: Vec::new(),
        }
    }

    #[test]
    fn each_condition_takes_what_it_names_and_refuses_the_rest() {
        let d = EventLogFilter::default;
        let webhook = record().webhook.webhook_id;
        let other = WebhookId::new(Timestamp::default(), [2; 8]);
        let map = |k: &str, v: &str| BTreeMap::from([(k.to_owned(), v.to_owned())]);
        let cases: Vec<(EventLogFilter, EventLogFilter)> = vec![
            (d(), EventLogFilter { event_id: Some(EventId(Uuid::nil())), ..d() }),
            (
                EventLogFilter { webhook_ids: vec![other, webhook], ..d() },
                EventLogFilter { webhook_ids: vec![other], ..d() },
            ),
            (
                EventLogFilter { event_names: vec!["x".into(), "loyalty.*".into()], ..d() },
                EventLogFilter { event_names: vec!["loyalty".into()], ..d() },
            ),
            (
                EventLogFilter { statuses: vec![DeliveryStatus::Retrying], ..d() },
                EventLogFilter { statuses: vec![DeliveryStatus::Pending], ..d() },
            ),
            (
                EventLogFilter { ref_id: "50074_1".into(), request_id: "r1".into(), ..d() },
                EventLogFilter { ref_id: "50074_1".into(), request_id: "r2".into(), ..d() },
            ),
            (
                EventLogFilter { sla_breached: Some(false), ..d() },
                EventLogFilter { sla_breached: Some(true), ..d() },
            ),
            (
                EventLogFilter { http_statuses: vec![500, 503], ..d() },
                EventLogFilter { http_statuses: vec![200], ..d() },
            ),
            (
                EventLogFilter { min_time_taken: Some(Duration::from_millis(20)), ..d() },
                EventLogFilter { min_time_taken: Some(Duration::from_millis(21)), ..d() },
            ),
            (
                EventLogFilter { outcomes: vec![AttemptOutcome::HttpError], ..d() },
                EventLogFilter { outcomes: vec![AttemptOutcome::Success], ..d() },
            ),
            (
                EventLogFilter { consumer_group_id: Some(Uuid::from_u128(9)), ..d() },
                EventLogFilter { consumer_group_id: Some(Uuid::nil()), ..d() },
            ),
            (
                EventLogFilter { attributes: map("till", "4"), ..d() },
                EventLogFilter { attributes: map("till", "5"), ..d() },
            ),
        ];
        for (takes, refuses) in cases {
            assert!(takes.takes(&record()), "{takes:?}");
            assert!(!refuses.takes(&record()), "{refuses:?}");
        }
    }
}
