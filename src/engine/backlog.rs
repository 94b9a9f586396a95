//! How many deliveries came lately and wait for their first attempt: what publishers give way
//! to. What came before, to a destination that is slow or dead, does not count any more.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// What came in a window and in the one before it counts.
const WINDOW: Duration = Duration::from_secs(1);

/// See the module. Deliveries belong to the window in which their event was accepted.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When the window began.
    start: Timestamp,
    window: usize,
    before: usize,
}

impl Backlog {
    /// Notes a delivery of an event that was accepted then.
    pub(super) fn came(&mut self, ingest: Timestamp) {
        if let Some(window) = self.of(ingest) {
            *window += 1;
        }
    }

    /// Notes that it is attempted for the first time.
    pub(super) fn began(&mut self, ingest: Timestamp) {
        if let Some(window) = self.of(ingest) {
            *window = window.saturating_sub(1);
        }
    }

    /// How many wait.
    pub(super) fn waiting(&mut self, now: Timestamp) -> usize {
        let age = now.since(self.start);
        let set_back = now < self.start;
        if age >= WINDOW || set_back {
            let window = std::mem::take(&mut self.window);
            self.before = if age >= 2 * WINDOW || set_back { 0 } else { window };
            self.start = now;
        }
        self.before + self.window
    }

    fn of(&mut self, ingest: Timestamp) -> Option<&mut usize> {
        if ingest >= self.start {
            Some(&mut self.window)
        } else if ingest.plus(WINDOW) >= self.start {
            Some(&mut self.before)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + millis * 1_000)
    }

    #[test]
    fn what_came_lately_and_was_not_attempted_counts() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.waiting(at(0)), 0);
        (0..10).for_each(|_| backlog.came(at(1)));
        (0..3).for_each(|_| backlog.began(at(1)));
        assert_eq!(backlog.waiting(at(2)), 7);
        assert_eq!(backlog.waiting(at(1_000)), 7, "in the window before");
        (0..2).for_each(|_| backlog.came(at(1_001)));
        backlog.began(at(1));
        assert_eq!(backlog.waiting(at(1_002)), 8);
        assert_eq!(backlog.waiting(at(2_000)), 2, "what is older does not count");
        backlog.began(at(1));
        assert_eq!(backlog.waiting(at(2_001)), 2);
        assert_eq!(backlog.waiting(at(9_000)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut backlog = Backlog::default();
        backlog.waiting(at(5_000));
        (0..10).for_each(|_| backlog.came(at(5_001)));
        backlog.waiting(at(0));
        assert_eq!(backlog.waiting(at(2_000)), 0);
    }
}
