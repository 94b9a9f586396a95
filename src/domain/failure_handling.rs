//! What happens to a webhook when deliveries keep failing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{delivery::DivertReason, error::Faults, limits, time::Timestamp};

/// Acts when deliveries keep failing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureHandling {
    /// Suspend after this many failures in a row; 0 means never.
    pub suspend_after_failures: u32,
    /// And only when the row has lasted at least this long.
    pub min_failing_time: Duration,
    /// Suspend as soon as one delivery is exhausted.
    pub suspend_on_exhausted: bool,
    /// Send a probe this long after suspending, and again at that interval, and lift
    /// the suspension when it succeeds; absent means by hand.
    pub resume_after: Option<Duration>,
    /// Drop exhausted deliveries instead of keeping them as diverted ones.
    pub drop_exhausted: bool,
    /// E-mail addresses that are told when errors suspend the webhook, and when that ends.
    /// Not written where empty, so that a definition without them is the same text as before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify_emails: Vec<String>,
    /// Gets one POST for each exhausted delivery; empty means none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alert_url: String,
}

impl FailureHandling {
    /// Adds what is wrong to `faults`.
    pub fn check(&self, faults: &mut Faults) {
        let at = |field: &str| format!("webhook.failure_handling.{field}");
        if self.min_failing_time > limits::LONGEST_SPAN {
            faults.invalid(at("min_failing_time"), "must be at most 365 days");
        }
        let spans = limits::SHORTEST_PROBE_INTERVAL..=limits::LONGEST_SPAN;
        if self.resume_after.is_some_and(|after| !spans.contains(&after)) {
            faults.invalid(at("resume_after"), "must be 1 s to 365 days");
        }
        let emails = &self.notify_emails;
        if emails.len() > limits::NOTIFY_EMAILS {
            let most = limits::NOTIFY_EMAILS;
            faults.invalid(at("notify_emails"), format!("must be at most {most}"));
        }
        for (i, email) in emails.iter().enumerate().take(limits::NOTIFY_EMAILS) {
            if emails[..i].contains(email) {
                faults.invalid(at(&format!("notify_emails[{i}]")), "is there twice");
            }
        }
        if self.alert_url.len() > limits::URL_BYTES {
            let most = limits::URL_BYTES;
            faults.invalid(at("alert_url"), format!("must be at most {most} bytes"));
        }
    }

    /// Why a webhook is to be suspended, in words, after a failure; `None` where it is not.
    /// `given_up` is why the delivery was given up, where it was.
    pub fn verdict(&self, row: &FailureRow, given_up: Option<DivertReason>) -> Option<String> {
        if given_up.is_some_and(is_exhausted) && self.suspend_on_exhausted {
            return Some("a delivery was exhausted".to_owned());
        }
        let enough = self.suspend_after_failures > 0 && row.count >= self.suspend_after_failures;
        (enough && row.lasted() >= self.min_failing_time)
            .then(|| format!("{} attempts failed in a row", row.count))
    }
}

/// Whether a delivery that was given up so is exhausted, and was not merely stopped.
pub fn is_exhausted(given_up: DivertReason) -> bool {
    match given_up {
        DivertReason::WebhookStopped | DivertReason::Suspended => false,
        DivertReason::RetriesExhausted | DivertReason::Rejected | DivertReason::Expired => true,
    }
}

/// Failures in a row. Attempts that overlap in time count once: many connections
/// to one destination notice the same outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureRow {
    /// How many they are.
    pub count: u32,
    /// When the first one began; without meaning where there are none.
    pub first_start: Timestamp,
    /// When the last one that counted ended; likewise.
    pub last_end: Timestamp,
}

impl FailureRow {
    /// Counts an attempt that failed.
    pub fn failed(&mut self, start: Timestamp, end: Timestamp) {
        if self.count == 0 {
            self.first_start = start;
        } else if start < self.last_end {
            return;
        }
        self.count += 1;
        self.last_end = end;
    }

    /// A success ends the row.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Puts an earlier row before this one, with no success in between.
    pub fn follow(&mut self, earlier: &Self) {
        if earlier.count > 0 {
            let last_end = if self.count > 0 { self.last_end } else { earlier.last_end };
            let count = self.count.saturating_add(earlier.count);
            *self = Self { count, first_start: earlier.first_start, last_end };
        }
    }

    fn lasted(&self) -> Duration {
        self.last_end.since(self.first_start)
    }
}

/// What a webhook's attempts say about its destination, for whoever makes the next ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Failures in a row.
    pub failures: FailureRow,
    /// The destination asked not to be called before this time.
    pub paused_until: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn attempts_that_overlap_count_once() {
        let mut row = FailureRow::default();
        for (start, end) in [(0, 5), (1, 6), (4, 9), (5, 6), (6, 7)] {
            row.failed(at(start), at(end));
        }
        assert_eq!(row.count, 3, "0-5, 5-6 and 6-7");
        row.succeeded();
        assert_eq!(row, FailureRow::default());
    }

    #[test]
    fn a_row_goes_on_where_an_earlier_one_ended() {
        let mut earlier = FailureRow::default();
        earlier.failed(at(0), at(2));
        let mut row = FailureRow::default();
        row.follow(&earlier);
        assert_eq!(row, earlier);
        let mut later = FailureRow::default();
        later.failed(at(5), at(6));
        later.follow(&earlier);
        assert_eq!((later.count, later.lasted()), (2, Duration::from_secs(6)));
        later.follow(&FailureRow::default());
        assert_eq!(later.count, 2);
    }

    #[test]
    fn enough_failures_over_enough_time_suspend() {
        let handling = FailureHandling {
            suspend_after_failures: 3,
            min_failing_time: Duration::from_secs(60),
            ..Default::default()
        };
        let mut row = FailureRow::default();
        for start in [0, 1, 2, 58] {
            row.failed(at(start), at(start + 1));
            assert_eq!(handling.verdict(&row, None), None, "for too short a time");
        }
        row.failed(at(59), at(60));
        assert!(handling.verdict(&row, None).is_some());
        let never = FailureHandling::default();
        assert_eq!(never.verdict(&row, Some(DivertReason::Rejected)), None);
    }

    #[test]
    fn an_exhausted_delivery_suspends_where_asked_for() {
        let handling = FailureHandling { suspend_on_exhausted: true, ..Default::default() };
        let row = FailureRow::default();
        for reason in
            [DivertReason::RetriesExhausted, DivertReason::Rejected, DivertReason::Expired]
        {
            assert!(handling.verdict(&row, Some(reason)).is_some());
        }
        assert_eq!(handling.verdict(&row, Some(DivertReason::WebhookStopped)), None);
        assert_eq!(handling.verdict(&row, None), None);
    }
}
