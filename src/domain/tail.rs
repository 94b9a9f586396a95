//! What a tail is asked for and what it says.

use std::time::Duration;

use super::{change_page::Picked, log_filter::EventLogFilter, time::Timestamp};

/// A tail as it is asked for.
#[derive(Clone, Debug)]
pub struct TailRequest {
    /// Where it begins.
    pub start: TailStart,
    /// Which records.
    pub filter: EventLogFilter,
    /// Whether attempts and bodies are wanted.
    pub full: bool,
    /// Longest silence before a progress message.
    pub heartbeat: Duration,
    /// What to do when the client reads too slowly.
    pub slow_consumer: SlowConsumerPolicy,
    /// Most changes in one message.
    pub max_batch_size: usize,
    /// Longest wait to fill a batch; zero means none.
    pub max_batch_delay: Duration,
    /// End after the first `CaughtUp`.
    pub stop_when_caught_up: bool,
}

/// Where a tail begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailStart {
    /// Only what happens from now on.
    Latest,
    /// From the oldest retained change.
    Earliest,
    /// Right after this resume token.
    Token(String),
    /// The first change at or after this time.
    Time(Timestamp),
}

/// What happens to a client that reads too slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowConsumerPolicy {
    /// It reads on from storage; nothing is skipped.
    #[default]
    CatchUp,
    /// It is moved to the head and told what it missed.
    Skip,
    /// Its stream ends with `SLOW_CONSUMER`.
    Disconnect,
}

/// One message of a tail.
#[derive(Clone, Debug)]
pub struct TailMessage {
    /// Resuming with this token continues right after this message.
    pub token: String,
    /// What it says.
    pub body: TailBody,
}

/// What a message of a tail says.
#[derive(Clone, Debug)]
pub enum TailBody {
    /// The start was accepted.
    Opened {
        /// The server's clock.
        server_time: Timestamp,
        /// The heartbeat in force.
        heartbeat: Duration,
        /// Token of the oldest place that can still be resumed from.
        oldest_token: String,
    },
    /// Changes, in log order.
    Changes(Picked),
    /// Everything up to here was seen and filtered.
    Progress {
        /// The server's clock.
        server_time: Timestamp,
        /// How far the head is ahead.
        lag: Lag,
    },
    /// The client is at the head.
    CaughtUp {
        /// The server's clock.
        server_time: Timestamp,
    },
    /// The client has left the live feed.
    FellBehind(Lag),
    /// Changes were left out.
    Gap {
        /// Why.
        cause: GapCause,
        /// How many matching ones; 0 where it is not known.
        skipped: u64,
        /// Time of the first one.
        start_time: Option<Timestamp>,
        /// Time of the last one.
        end_time: Option<Timestamp>,
    },
}

/// How far the head of the log is ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// In changes.
    pub changes: i64,
    /// In time; zero when live.
    pub time: Duration,
}

/// Why changes are missing; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The client was slow and chose to skip.
    SlowConsumer = 1,
    /// Retention removed them first.
    Retention = 2,
}
