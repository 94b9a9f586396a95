//! Deliveries: one event's way to one webhook, and what the journal says of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    id::{EventId, EventKey, Position, WebhookId, WebhookKey},
    time::Timestamp,
    webhook::Header,
};

/// Makes the enums whose numbers are both the contract's and the store's.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),+ }

        impl $name {
            /// The number in the contract and in the store.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The value of that number, where there is one.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(super) use numbered;

numbered! {
    /// Where a delivery stands.
    DeliveryStatus {
        /// No attempt has ended yet.
        Pending = 1,
        /// An attempt failed; another is due or running.
        Retrying = 2,
        /// Settled: delivered.
        Succeeded = 3,
        /// Settled: given up, and kept.
        Diverted = 4,
        /// Settled: given up and dropped.
        Dropped = 5,
    }
}

impl DeliveryStatus {
    /// Whether no further attempt is due by itself.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Diverted | Self::Dropped)
    }
}

numbered! {
    /// How an attempt ended.
    AttemptOutcome {
        /// A 2xx answer.
        Success = 1,
        /// An answer that is not 2xx.
        HttpError = 2,
        /// No answer in time.
        Timeout = 3,
        /// DNS, connect or reset.
        ConnectionError = 4,
        /// TLS.
        TlsError = 5,
        /// The address is not allowed.
        ForbiddenDestination = 6,
        /// The server stopped during the attempt.
        Interrupted = 7,
    }
}

numbered! {
    /// Why a change was written to the journal.
    ChangeKind {
        /// An event was accepted and matched the webhook.
        Accepted = 1,
        /// An attempt failed and another is due.
        AttemptFailed = 2,
        /// The delivery was settled.
        Settled = 3,
        /// The SLA's time passed without success.
        SlaBreached = 4,
        /// It was put back by hand or by a replay.
        Requeued = 5,
    }
}

numbered! {
    /// Why a delivery was diverted.
    DivertReason {
        /// No retries were left.
        RetriesExhausted = 1,
        /// The answer was one that is not retried.
        Rejected = 2,
        /// The policy's maximum age was reached.
        Expired = 3,
        /// It waited under a suspension until its retention ended.
        Suspended = 4,
        /// The webhook was stopped or deleted while it waited.
        WebhookStopped = 5,
    }
}

/// What changes about a delivery as it goes on; the journal keeps each version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempt_count: u32,
    /// When the next attempt is due, where one is due at a time of its own.
    pub due_time: Option<Timestamp>,
    /// Start of the first attempt.
    pub start_time: Option<Timestamp>,
    /// When it was settled.
    pub end_time: Option<Timestamp>,
    /// When the SLA was broken.
    pub sla_breach_time: Option<Timestamp>,
    /// How the last attempt ended.
    pub last: Option<AttemptSummary>,
}

impl DeliveryState {
    /// Of a delivery that was just accepted.
    pub const ACCEPTED: Self = Self {
        status: DeliveryStatus::Pending,
        attempt_count: 0,
        due_time: None,
        start_time: None,
        end_time: None,
        sla_breach_time: None,
        last: None,
    };
}

/// What is kept of the last attempt beside the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSummary {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The answer's status; 0 where none came.
    pub http_status: u16,
    /// From the first byte sent to the last byte read; zero where nothing was sent.
    pub time_taken: Duration,
    /// What went wrong, for humans; empty after a success.
    pub error: String,
}

/// One attempt, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counts from 1.
    pub number: u32,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ended.
    pub end_time: Timestamp,
    /// How.
    pub summary: AttemptSummary,
    /// The first bytes of the answer's body, as text.
    pub body_excerpt: String,
    /// Version of the webhook whose headers were sent.
    pub webhook_version: i64,
}

/// What an event is known by in the log. Shared by all its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLabel {
    /// Internal key.
    pub key: EventKey,
    /// Public id.
    pub event_id: EventId,
    /// Event type.
    pub event_name: String,
    /// What it is about.
    pub ref_id: String,
    /// The API call that caused it.
    pub request_id: String,
    /// When it was accepted.
    pub ingest_time: Timestamp,
    /// Labels for filters.
    pub attributes: BTreeMap<String, String>,
}

/// What a webhook is known by in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookLabel {
    /// Internal key.
    pub key: WebhookKey,
    /// Public id.
    pub webhook_id: WebhookId,
    /// Its delivery queue.
    pub consumer_group_id: Uuid,
}

/// The record of one event at one webhook, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The event.
    pub event: Arc<EventLabel>,
    /// The webhook.
    pub webhook: WebhookLabel,
    /// Where it stood.
    pub state: DeliveryState,
    /// Its attempts, oldest first, with the headers that were sent; empty unless asked for.
    pub attempts: Vec<(Attempt, Arc<[Header]>)>,
}

/// An entry of the journal: one new state of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in the tenant's journal.
    pub position: Position,
    /// When it was written; never earlier than the entry before.
    pub time: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
    /// The record as it was then.
    pub record: LogRecord,
}
