//! How fast a lane may make attempts: how many at once, how far apart, and not before
//! when.

use std::time::Duration;

use crate::domain::{
    failure_handling::{FailureRow, Standing},
    time::Timestamp,
    webhook::WebhookSpec,
};

/// A destination that so many attempts in a row did not reach is asked by one at a time,
/// with a pause that doubles between them: one that refuses at once costs little then.
const UNREACHABLE_AFTER: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Requests that may be open at once.
    limit: usize,
    /// Attempts at once while the lane gets going again after a suspension.
    ramp: Option<usize>,
    /// Whether one attempt may be made in spite of the suspension.
    probing: bool,
    /// From the start of one attempt to that of the next.
    distance: Duration,
    /// Not before this time is the next attempt made: the webhook's rate.
    next_start: Timestamp,
    /// Nor before this one: the destination asked for a pause.
    paused_until: Timestamp,
    failures: FailureRow,
    /// Whether it is known what the database has of failures and pause.
    known: bool,
    /// Whether it has any.
    stored: bool,
    /// Attempts in a row that did not reach the destination.
    unreachable: u32,
}

impl Pace {
    /// Takes over limit and rate of the webhook as it is now.
    pub(super) fn configure(&mut self, spec: &WebhookSpec, now: Timestamp) {
        let rate = spec.max_deliveries_per_second;
        self.limit = spec.max_allowed_connections as usize;
        self.distance =
            if rate > 0.0 { Duration::from_secs_f64(1.0 / rate) } else { Duration::ZERO };
        // A rate that was raised counts at once.
        self.next_start = self.next_start.min(now.plus(self.distance));
    }

    /// Requests that may be open at once, whatever their kind.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Attempts that may be open at once now, unless the webhook is held.
    pub(super) fn connections(&self) -> usize {
        self.ramp.unwrap_or(usize::MAX).min(self.limit)
    }

    /// When the next attempt may be made.
    pub(super) fn starts_at(&self) -> Timestamp {
        self.paused_until.max(self.next_start)
    }

    /// Notes an attempt that begins.
    pub(super) fn started(&mut self, now: Timestamp) {
        self.next_start = now.plus(self.distance);
        // A probe is one attempt; its outcome decides about the next.
        self.probing = false;
    }

    /// Notes an attempt that ended and gives the failures in a row. A success lets a
    /// lane that gets going again make twice as many at once.
    pub(super) fn ended(&mut self, success: bool, start: Timestamp, end: Timestamp) -> FailureRow {
        if success {
            self.failures.succeeded();
            self.ramp =
                self.ramp.map(|at_once| at_once * 2).filter(|at_once| *at_once < self.limit);
        } else {
            self.failures.failed(start, end);
        }
        self.failures
    }

    /// What the database is to have after an attempt; nothing where it has that already,
    /// as after one success that follows another.
    pub(super) fn new_standing(&mut self, success: bool) -> Option<Standing> {
        if success && self.known && !self.stored {
            return None;
        }
        // A success ends the row, also one that is yet to be read.
        (self.known, self.stored) = (self.known || success, !success);
        Some(Standing { failures: self.failures, paused_until: self.paused_until })
    }

    /// Goes on from what an earlier owner of the lane left in the database.
    pub(super) fn follow(&mut self, earlier: &Standing) {
        if self.known {
            return;
        }
        self.known = true;
        self.stored |= earlier.failures.count > 0;
        self.failures.follow(&earlier.failures);
        self.pause(earlier.paused_until);
    }

    /// Notes an attempt that did not reach the destination.
    pub(super) fn unreachable(&mut self, now: Timestamp) {
        self.unreachable = self.unreachable.saturating_add(1);
        if let Some(beyond) = self.unreachable.checked_sub(UNREACHABLE_AFTER) {
            self.ramp = Some(1);
            let pause = FIRST_PAUSE.saturating_mul(1 << beyond.min(16));
            self.pause(now.plus(pause.min(LONGEST_PAUSE)));
        }
    }

    /// Notes an attempt that reached it, whatever came of it.
    pub(super) fn reached(&mut self) {
        self.unreachable = 0;
    }

    /// Holds all attempts back until `at`.
    pub(super) fn pause(&mut self, at: Timestamp) {
        self.paused_until = self.paused_until.max(at);
    }

    /// Lets one attempt through, to see whether the destination is back.
    pub(super) fn probe(&mut self) {
        self.probing = true;
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probing
    }

    /// The lane begins anew: nothing is known of the destination.
    pub(super) fn begin(&mut self) {
        let Self { limit, distance, next_start, .. } = *self;
        *self = Self { limit, distance, next_start, ..Self::default() };
    }

    /// The suspension is over: attempts begin with one at a time, failures are
    /// counted anew, and a pause that was asked for is over as well.
    pub(super) fn resume(&mut self) {
        self.probing = false;
        self.ramp = Some(1);
        self.failures = FailureRow::default();
        self.unreachable = 0;
        self.paused_until = Timestamp::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn pace(rate: f64) -> Pace {
        let mut pace = Pace::default();
        let spec = WebhookSpec {
            max_allowed_connections: 10,
            max_deliveries_per_second: rate,
            ..WebhookSpec::default()
        };
        pace.configure(&spec, at(0));
        pace
    }

    #[test]
    fn a_lane_that_resumes_doubles_with_each_success() {
        let mut pace = pace(0.0);
        assert_eq!(pace.connections(), 10);
        pace.resume();
        let mut connections = vec![pace.connections()];
        for _ in 0..5 {
            pace.ended(true, at(0), at(1));
            connections.push(pace.connections());
        }
        assert_eq!(connections, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn a_destination_that_is_never_reached_is_asked_less_and_less() {
        let mut pace = pace(0.0);
        for _ in 1..UNREACHABLE_AFTER {
            pace.unreachable(at(0));
        }
        assert_eq!((pace.connections(), pace.starts_at()), (10, at(0)), "it may be a coincidence");
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.unreachable(now);
            pauses.push(pace.starts_at().since(now).as_millis());
            now = pace.starts_at();
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert_eq!(pace.connections(), 1);
        pace.reached();
        pace.ended(true, now, now);
        assert_eq!((pace.connections(), pace.starts_at()), (2, now), "it is back");
        pace.unreachable(now);
        assert_eq!(pace.starts_at(), now);
    }

    #[test]
    fn failures_are_stored_and_one_success_after_them() {
        let mut pace = pace(0.0);
        pace.follow(&Standing::default());
        let mut stored = Vec::new();
        for (n, success) in [true, false, false, true, true].into_iter().enumerate() {
            pace.ended(success, at(2 * n as i64), at(2 * n as i64 + 1));
            stored.push(pace.new_standing(success).map(|standing| standing.failures.count));
        }
        assert_eq!(stored, [None, Some(1), Some(2), Some(0), None]);
    }

    #[test]
    fn the_next_owner_goes_on_from_what_the_last_one_left() {
        let mut last = pace(0.0);
        last.pause(at(900));
        last.ended(false, at(0), at(1));
        let left = last.new_standing(false).expect("something to store");

        let mut next = pace(0.0);
        assert_eq!(next.ended(false, at(2), at(3)).count, 1);
        next.follow(&left);
        assert_eq!(next.starts_at(), at(900));
        assert_eq!(next.ended(false, at(4), at(5)).count, 3);
        next.follow(&left);
        assert_eq!(next.ended(false, at(6), at(7)).count, 4, "taken over once");
    }

    #[test]
    fn a_success_ends_a_row_that_is_yet_to_be_read() {
        let mut pace = pace(0.0);
        pace.ended(true, at(0), at(1));
        assert_eq!(pace.new_standing(true), Some(Standing::default()));
        let mut old = FailureRow::default();
        old.failed(at(-9), at(-8));
        pace.follow(&Standing { failures: old, paused_until: at(0) });
        assert_eq!(pace.ended(false, at(2), at(3)).count, 1);
    }

    #[test]
    fn the_later_of_rate_and_pause_decides() {
        let mut pace = pace(4.0);
        pace.started(at(0));
        assert_eq!(pace.starts_at(), at(250));
        pace.pause(at(100));
        assert_eq!(pace.starts_at(), at(250));
        pace.pause(at(900));
        assert_eq!(pace.starts_at(), at(900));
        pace.resume();
        assert_eq!(pace.starts_at(), at(250), "the pause is over, the rate is not");
    }
}
