//! How often a feed gives a page out.
//!
//! Each page is a message to each tail, and messages are what costs: system calls, frames,
//! tasks that wake. The more tails, the longer changes gather while many come; where few
//! come, each goes out at once.

use std::time::Duration;

use tokio::time::Instant;

/// What is left for each tail between two pages.
const EACH: Duration = Duration::from_micros(200);
/// The most that changes wait.
const LONGEST: Duration = Duration::from_millis(20);
/// Pages that may follow each other at once after a rest.
const AT_ONCE: u32 = 4;

/// When pages went out: each takes its time from an account that fills as time goes by.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the account is full.
    full: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Notes that a page goes out to so many tails. Says when the next one may.
    pub(super) fn next(&mut self, tails: u32, now: Instant) -> Instant {
        let interval = EACH.saturating_mul(tails).min(LONGEST);
        self.full = self.full.max(now) + interval;
        now.max(self.full - interval * (AT_ONCE - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_pages_go_at_once_and_many_take_turns_with_time() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 1..AT_ONCE {
            assert_eq!(pace.next(1_000, now), now);
        }
        for _ in 0..100 {
            let next = pace.next(1_000, now);
            assert_eq!(next - now, LONGEST);
            now = next;
        }
        now += LONGEST * AT_ONCE;
        assert_eq!(pace.next(1_000, now), now, "after a rest they go at once");
    }

    #[tokio::test]
    async fn a_tail_alone_hardly_waits() {
        let mut now = Instant::now();
        let (mut pace, start) = (Pace::new(now), now);
        for _ in 0..100 {
            now = pace.next(1, now);
        }
        assert!(now - start <= EACH * 100);
    }
}
