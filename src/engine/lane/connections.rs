//! How many attempts a lane may have open, and in flight with those that are recorded.

use std::time::Duration;

use super::Lane;
use crate::domain::time::Timestamp;

/// Deliveries that may be attempted or recorded at once, for each connection that may be open.
/// An answer frees the connection, and its outcome takes two or three commits to be recorded;
/// with one, connections wait for the database most of the time. What is not recorded at a
/// crash is sent again, so there are few.
pub(super) const SLOTS_PER_CONNECTION: usize = 4;

impl Lane {
    /// Whether a job can be taken now, by a lane that has this share of the connections.
    pub(in crate::engine) fn can_run(&self, now: Timestamp, share: usize) -> bool {
        self.has_job() && self.open < self.width.connections(share) && self.pace.starts_at() <= now
    }

    /// When the next job can be taken, where one waits for nothing but the time.
    pub(in crate::engine) fn next_job(&self) -> Option<Timestamp> {
        self.has_job().then(|| self.pace.starts_at())
    }

    /// Whether something waits for which a connection may be opened.
    fn has_job(&self) -> bool {
        let connections = self.connections();
        self.open < connections
            && self.in_flight < connections * SLOTS_PER_CONNECTION
            && self.has_ready()
    }

    /// Attempts that may be open at once.
    fn connections(&self) -> usize {
        if self.is_open() { self.pace.connections() } else { usize::from(self.is_active()) }
    }

    /// Whether deliveries wait for a connection.
    pub(in crate::engine) fn is_narrow(&self, share: usize) -> bool {
        self.has_ready() && self.open >= self.width.connections(share).min(self.connections())
    }

    /// Notes that this is so. Gives the time when it is to be looked at, where more might be
    /// opened and nobody looks yet.
    pub(in crate::engine) fn watch(&mut self, now: Timestamp) -> Option<Timestamp> {
        let most = self.connections();
        self.width.watch(now).filter(|_| self.open < most)
    }

    /// Looks at whether more connections are to be used, where it is time for that.
    pub(in crate::engine) fn look(&mut self, now: Timestamp) {
        self.width.look(now, self.open);
    }

    /// Notes how long an attempt took that has ended.
    pub(in crate::engine) fn attempt_took(&mut self, took: Duration, now: Timestamp) {
        self.width.ended(took, now, self.open);
    }

    /// Takes one of the webhook's connections for something else than a delivery, where one
    /// is free. Also while the lane gets going again: it has not more than its limit.
    pub(in crate::engine) fn take_connection(&mut self) -> bool {
        let free = self.open < self.pace.limit();
        self.open += usize::from(free);
        self.in_flight += usize::from(free);
        free
    }

    /// Gives a connection back that [`Self::take_connection`] took.
    pub(in crate::engine) fn give_back_connection(&mut self) {
        self.free_connection();
        self.in_flight -= 1;
    }

    /// Frees the connection of an attempt that has ended; its slot is taken until the outcome
    /// is recorded.
    pub(in crate::engine) fn free_connection(&mut self) {
        self.open -= 1;
    }
}
