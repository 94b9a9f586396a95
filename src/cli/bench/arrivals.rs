//! What has arrived of what was published: how much, how late, and what came twice.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use super::{MOST_EVENTS, figures::Sample};

/// How long nothing may arrive before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arrivals of numbered events at numbered webhooks.
pub struct Arrivals {
    /// Times are counted from here.
    began: Instant,
    webhooks: usize,
    /// Whether each event arrives at one webhook, and not at all of them.
    in_turns: bool,
    noted: Mutex<Noted>,
    changed: Notify,
}

struct Noted {
    /// A bit for each event at each webhook.
    seen: Vec<u64>,
    arrived: usize,
    repeated: usize,
    last: Instant,
    /// From when each was due until it arrived.
    took: Vec<Duration>,
    /// Who waits is told when so many have arrived.
    wanted: usize,
}

impl Arrivals {
    /// None yet, of any events at webhooks `0..webhooks`.
    pub fn new(webhooks: usize) -> Self {
        Self::with(webhooks, false)
    }

    /// None yet, of events that take turns: event `n` arrives at webhook `n % webhooks` only.
    pub fn in_turns(webhooks: usize) -> Self {
        Self::with(webhooks, true)
    }

    fn with(webhooks: usize, in_turns: bool) -> Self {
        let began = Instant::now();
        let noted = Noted {
            seen: Vec::new(),
            arrived: 0,
            repeated: 0,
            last: began,
            took: Vec::new(),
            wanted: usize::MAX,
        };
        Self { began, webhooks, in_turns, noted: Mutex::new(noted), changed: Notify::new() }
    }

    /// A time as payloads carry it: nanoseconds since these arrivals began.
    pub fn stamp(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes that an event has arrived which was due at that time. False where there can be
    /// no such event or webhook.
    #[must_use]
    pub(super) fn note(&self, webhook: usize, event: usize, due: u64) -> bool {
        if webhook >= self.webhooks || event >= MOST_EVENTS {
            return false;
        }
        if self.in_turns && webhook != event % self.webhooks {
            return false;
        }
        let now = Instant::now();
        let place = if self.in_turns { event } else { event * self.webhooks + webhook };
        let (word, bit) = (place / 64, 1 << (place % 64));
        let mut noted = self.noted.lock();
        if word >= noted.seen.len() {
            noted.seen.resize(word + 1, 0);
        }
        if noted.seen[word] & bit != 0 {
            noted.repeated += 1;
            return true;
        }
        noted.seen[word] |= bit;
        noted.arrived += 1;
        noted.last = now;
        noted.took.push(now.saturating_duration_since(self.began + Duration::from_nanos(due)));
        if noted.arrived >= noted.wanted {
            self.changed.notify_one();
        }
        true
    }

    /// How many different ones have arrived.
    pub fn count(&self) -> usize {
        self.noted.lock().arrived
    }

    /// How many deliveries so many events have.
    pub fn of_events(&self, events: usize) -> usize {
        if self.in_turns { events } else { events * self.webhooks }
    }

    /// How many deliveries of so many events have not arrived.
    pub(super) fn waiting(&self, events: usize) -> usize {
        self.of_events(events).saturating_sub(self.count())
    }

    /// How many arrived more than once.
    pub fn repeated(&self) -> usize {
        self.noted.lock().repeated
    }

    /// When the last one arrived.
    pub fn last(&self) -> Instant {
        self.noted.lock().last
    }

    /// How late those were that arrived since this was asked before.
    pub fn take_sample(&self) -> Sample {
        Sample::new(std::mem::take(&mut self.noted.lock().took))
    }

    /// Waits until `wanted` different ones have arrived.
    ///
    /// # Errors
    ///
    /// Says how many are missing, when none has arrived for half a minute.
    pub async fn wait_for(&self, wanted: usize) -> Result<(), String> {
        self.wait(wanted, PATIENCE).await
    }

    async fn wait(&self, wanted: usize, patience: Duration) -> Result<(), String> {
        self.noted.lock().wanted = wanted;
        let mut before = self.count();
        while before < wanted {
            // A permit is kept where the last one arrives right here.
            let told = timeout(patience, self.changed.notified()).await;
            let now = self.count();
            if told.is_err() && now == before {
                let missing = wanted - now;
                return Err(format!("{missing} of {wanted} deliveries are missing"));
            }
            before = now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_event_counts_once_at_each_webhook() {
        let arrivals = Arrivals::new(2);
        let due = arrivals.stamp(Instant::now());
        for (webhook, event) in [(0, 0), (1, 0), (1, 100), (0, 0)] {
            assert!(arrivals.note(webhook, event, due));
        }
        assert!(!arrivals.note(2, 0, due) && !arrivals.note(0, usize::MAX, due));
        assert_eq!((arrivals.count(), arrivals.repeated()), (3, 1));
        assert_eq!(arrivals.take_sample().count(), 3);
        assert_eq!(arrivals.take_sample().count(), 0);
        arrivals.wait_for(3).await.expect("nothing is missing");
    }

    #[test]
    fn events_in_turns_arrive_at_their_webhook_only() {
        let arrivals = Arrivals::in_turns(3);
        assert!(arrivals.note(1, 4, 0) && arrivals.note(0, 3, 0));
        assert!(!arrivals.note(0, 4, 0) && !arrivals.note(2, 3, 0));
        assert_eq!((arrivals.count(), arrivals.repeated(), arrivals.waiting(5)), (2, 0, 3));
    }

    #[tokio::test]
    async fn what_does_not_come_is_missing() {
        let arrivals = Arrivals::new(1);
        assert!(arrivals.note(0, 7, 0));
        let missing = arrivals.wait(3, Duration::ZERO).await.expect_err("it is missing");
        assert_eq!(missing, "2 of 3 deliveries are missing");
    }
}
