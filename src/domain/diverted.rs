//! Diverted events: deliveries that were given up and kept, and the jobs that replay
//! or discard many of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    actor::Attribution,
    delivery::{Attempt, DivertReason, numbered},
    error::Faults,
    event::Event,
    id::{EventKey, EventLogId, WebhookId, WebhookKey},
    limits, text,
    time::Timestamp,
    webhook::Header,
};

numbered! {
    /// Where a diverted event stands.
    DivertedState {
        /// Waiting for a decision.
        Pending = 1,
        /// Put back in the queue.
        Replayed = 2,
        /// Given up.
        Discarded = 3,
    }
}

numbered! {
    /// What a job does with diverted events.
    JobKind {
        /// Puts them back in the queue.
        Replay = 1,
        /// Gives them up.
        Discard = 2,
    }
}

numbered! {
    /// Where a job stands.
    JobState {
        /// At work.
        Running = 1,
        /// All done.
        Done = 2,
        /// Cancelled; what was done stays done.
        Cancelled = 3,
    }
}

impl JobKind {
    /// What becomes of the diverted events that it takes.
    pub const fn outcome(self) -> DivertedState {
        match self {
            Self::Replay => DivertedState::Replayed,
            Self::Discard => DivertedState::Discarded,
        }
    }
}

/// A place among a tenant's diverted events, which are ordered by the time when they
/// were diverted, then by key.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct DivertedAt {
    /// When it was diverted.
    pub divert_time: Timestamp,
    /// Its event.
    pub event: EventKey,
    /// Its webhook.
    pub webhook: WebhookKey,
}

/// As much of a diverted event as decides whether it is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DivertedLabel {
    /// Its place.
    pub at: DivertedAt,
    /// Event type.
    pub event_name: String,
    /// Why it was diverted.
    pub reason: DivertReason,
    /// Where it stands.
    pub state: DivertedState,
}

/// A diverted event.
#[derive(Clone, Debug, PartialEq)]
pub struct DivertedEvent {
    /// Its place.
    pub at: DivertedAt,
    /// Its record in the delivery log, which names it too.
    pub id: EventLogId,
    /// The event; its payload is empty unless asked for.
    pub event: Event,
    /// Why it was diverted.
    pub reason: DivertReason,
    /// Where it stands.
    pub state: DivertedState,
    /// Attempts made before it was diverted.
    pub attempt_count: u32,
    /// The last of them, with the headers that were sent; these only where asked for.
    pub last_attempt: Option<(Attempt, Arc<[Header]>)>,
    /// Who replayed or discarded it, and when.
    pub resolution: Option<Attribution>,
}

/// Chooses diverted events as a caller names them: ids, or conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DivertedSelector {
    /// These ones.
    pub ids: Vec<EventLogId>,
    /// Any of these webhooks.
    pub webhook_ids: Vec<WebhookId>,
    /// Any of these event types.
    pub event_names: Vec<String>,
    /// Any of these reasons.
    pub reasons: Vec<DivertReason>,
    /// Diverted at or after.
    pub start_time: Option<Timestamp>,
    /// Diverted before.
    pub end_time: Option<Timestamp>,
}

impl DivertedSelector {
    /// Whether it names nothing, and so takes everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what is wrong with it to `faults`, under the path `selector`.
    pub fn check(&self, faults: &mut Faults) {
        let lists = [
            ("selector.diverted_event_ids", self.ids.len(), limits::DIVERTED_IDS),
            ("selector.webhook_ids", self.webhook_ids.len(), limits::FILTER_VALUES),
            ("selector.event_names", self.event_names.len(), limits::FILTER_VALUES),
            ("selector.reasons", self.reasons.len(), limits::FILTER_VALUES),
        ];
        for (field, len, most) in lists {
            if len > most {
                faults.invalid(field, format!("must have at most {most} values"));
            }
        }
        for (i, name) in self.event_names.iter().enumerate() {
            text::check_event_name(faults, &format!("selector.event_names[{i}]"), name);
        }
        if let (Some(start), Some(end)) = (self.start_time, self.end_time)
            && start >= end
        {
            faults.invalid("selector.divert_time.end_time", "must be after start_time");
        }
        if !self.ids.is_empty() && (Self { ids: Vec::new(), ..self.clone() }) != Self::default() {
            faults.invalid(
                "selector.diverted_event_ids",
                "must be empty where other conditions are set",
            );
        }
    }
}

/// What a job covers, in the store's terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// These ones, in order.
    Listed(Vec<DivertedAt>),
    /// All that fit.
    Where(Conditions),
}

/// Conditions on diverted events; empty lists take everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Any of these webhooks.
    pub webhooks: Vec<WebhookKey>,
    /// Any of these event types.
    pub event_names: Vec<String>,
    /// Numbers of any of these reasons.
    pub reasons: Vec<i32>,
    /// Diverted at or after.
    pub start: Option<Timestamp>,
    /// Diverted before.
    pub end: Option<Timestamp>,
}

impl Conditions {
    /// Whether they take a diverted event.
    pub fn take(&self, label: &DivertedLabel) -> bool {
        fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        any(&self.webhooks, &label.at.webhook)
            && any(&self.event_names, &label.event_name)
            && any(&self.reasons, &label.reason.number())
            && self.start.is_none_or(|start| label.at.divert_time >= start)
            && self.end.is_none_or(|end| label.at.divert_time < end)
    }
}

/// A job that replays or discards a selection in the background.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Internal key; 0 for one that was only counted.
    pub key: i64,
    /// Public id; nil for one that was only counted.
    pub job_id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// Diverted events that were pending and fitted when it began.
    pub selected: u64,
    /// Done so far.
    pub done: u64,
    /// Left alone, because their webhook is gone or stopped.
    pub skipped: u64,
    /// Most per second; 0 means no limit of its own.
    pub max_per_second: f64,
    /// Who started it and when.
    pub attribution: Attribution,
    /// When it ended.
    pub end_time: Option<Timestamp>,
}
