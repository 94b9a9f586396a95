//! What becomes of a delivery after an attempt: decided here, acted on elsewhere.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::delivery::{AttemptOutcome, DivertReason};

/// When a failed delivery is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Retries after the first attempt. Absent: as many as the schedule has, or
    /// with backoff until `max_age`.
    pub max_retries: Option<u32>,
    /// How long the waits are.
    pub waits: Waits,
    /// Part of each wait that is random, 0 to 1: a wait `w` becomes one between
    /// `w * (1 - jitter)` and `w`.
    pub jitter: Option<f64>,
    /// Give up this long after ingestion, time under suspension not counted.
    pub max_age: Option<Duration>,
    /// Which failures are retried; empty means [`DEFAULT_RETRY_ON`].
    #[serde(default)]
    pub retry_on: Vec<FailureClass>,
}

/// The waits between attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Waits {
    /// The server's schedule.
    Default,
    /// Written out; the last one repeats.
    Schedule(Vec<Duration>),
    /// `initial * multiplier^n`, at most `max`.
    Backoff {
        /// Wait before the first retry.
        initial: Duration,
        /// Longest wait; one hour when absent.
        max: Option<Duration>,
        /// Factor between waits, at least 1; 2 when absent.
        multiplier: Option<f64>,
    },
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: None,
            waits: Waits::Default,
            jitter: None,
            max_age: None,
            retry_on: Vec::new(),
        }
    }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// The server's schedule: nine retries over about three days.
pub const DEFAULT_SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];
/// Part of each wait that is random where a policy does not say.
pub const DEFAULT_JITTER: f64 = 0.2;
/// Age at which a delivery is given up where a policy does not say.
pub const DEFAULT_MAX_AGE: Duration = minutes(80 * 60);
/// Longest wait of a backoff that does not say.
pub const DEFAULT_MAX_BACKOFF: Duration = minutes(60);
/// Factor of a backoff that does not say.
pub const DEFAULT_MULTIPLIER: f64 = 2.0;

impl RetryPolicy {
    /// The age at which a delivery is given up.
    pub fn max_age(&self) -> Duration {
        self.max_age.unwrap_or(DEFAULT_MAX_AGE)
    }

    /// The wait before the retry that follows attempt number `attempt` (from 1);
    /// none where no retry is left. `chance` is a random number in 0..1.
    fn wait(&self, attempt: u32, chance: f64) -> Option<Duration> {
        let retries = match (&self.waits, self.max_retries) {
            (_, Some(max)) => max,
            (Waits::Default, None) => DEFAULT_SCHEDULE.len() as u32,
            (Waits::Schedule(waits), None) => waits.len() as u32,
            (Waits::Backoff { .. }, None) => u32::MAX,
        };
        if attempt == 0 || attempt > retries {
            return None;
        }
        let nth = (attempt - 1) as usize;
        let base = match &self.waits {
            Waits::Default => DEFAULT_SCHEDULE[nth.min(DEFAULT_SCHEDULE.len() - 1)],
            Waits::Schedule(waits) => *waits.get(nth).or(waits.last())?,
            Waits::Backoff { initial, max, multiplier } => {
                let max = max.unwrap_or(DEFAULT_MAX_BACKOFF);
                let factor = multiplier.unwrap_or(DEFAULT_MULTIPLIER).powf(nth as f64);
                Duration::try_from_secs_f64(initial.as_secs_f64() * factor).unwrap_or(max).min(max)
            }
        };
        let jitter = self.jitter.unwrap_or(DEFAULT_JITTER).clamp(0.0, 1.0);
        Some(base.mul_f64(1.0 - jitter * chance.clamp(0.0, 1.0)))
    }
}

/// A class of failures, written as `409`, `5xx`, `timeout` or `connection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FailureClass {
    /// Answers of this status.
    Status(u16),
    /// Answers whose status has these hundreds.
    StatusClass(u8),
    /// No answer in time.
    Timeout,
    /// DNS, connect, reset or TLS.
    Connection,
}

impl FromStr for FailureClass {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            b"timeout" => Ok(Self::Timeout),
            b"connection" => Ok(Self::Connection),
            [hundreds @ b'1'..=b'5', b'x', b'x'] => Ok(Self::StatusClass(hundreds - b'0')),
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                text.parse().map(Self::Status).map_err(|_| "is no status")
            }
            _ => Err("must be a status such as 409, a class such as 5xx, timeout or connection"),
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::StatusClass(hundreds) => write!(f, "{hundreds}xx"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connection => f.write_str("connection"),
        }
    }
}

impl TryFrom<String> for FailureClass {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FailureClass> for String {
    fn from(class: FailureClass) -> Self {
        class.to_string()
    }
}

/// How an attempt ended, as far as the decision needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The answer's status; 0 where none came.
    pub http_status: u16,
}

/// What is retried where a policy does not say: 408, 429, 5xx, timeouts and
/// connections that fail.
pub const DEFAULT_RETRY_ON: [FailureClass; 5] = [
    FailureClass::Status(408),
    FailureClass::Status(429),
    FailureClass::StatusClass(5),
    FailureClass::Timeout,
    FailureClass::Connection,
];

impl Ending {
    fn is_of(self, class: FailureClass) -> bool {
        match (self.outcome, class) {
            (AttemptOutcome::HttpError, FailureClass::Status(status)) => self.http_status == status,
            (AttemptOutcome::HttpError, FailureClass::StatusClass(hundreds)) => {
                self.http_status / 100 == u16::from(hundreds)
            }
            (AttemptOutcome::Timeout, FailureClass::Timeout) => true,
            (
                AttemptOutcome::ConnectionError | AttemptOutcome::TlsError,
                FailureClass::Connection,
            ) => true,
            // The server stopped in the middle: that says nothing of the destination.
            (AttemptOutcome::Interrupted, _) => true,
            // In no class, and so never retried: a name that answers by turns would be asked
            // until the turn comes that its owner waits for.
            (AttemptOutcome::ForbiddenDestination, _) => false,
            _ => false,
        }
    }

    fn is_retried_by(self, policy: &RetryPolicy) -> bool {
        let classes = match &policy.retry_on[..] {
            [] => &DEFAULT_RETRY_ON,
            chosen => chosen,
        };
        classes.iter().any(|class| self.is_of(*class))
    }
}

/// What becomes of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Delivered.
    Succeed,
    /// Tried again after this wait.
    Retry(Duration),
    /// Given up.
    Divert(DivertReason),
}

/// Decides after attempt number `attempt` (from 1) of a delivery that is `age`
/// old, suspensions not counted. The destination may ask for a longer wait by
/// `retry_after`, never for a shorter one. `chance` is a random number in 0..1.
pub fn decide(
    policy: &RetryPolicy,
    ending: Ending,
    attempt: u32,
    age: Duration,
    retry_after: Option<Duration>,
    chance: f64,
) -> Transition {
    if ending.outcome == AttemptOutcome::Success {
        return Transition::Succeed;
    }
    if !ending.is_retried_by(policy) {
        return Transition::Divert(DivertReason::Rejected);
    }
    let wait = policy.wait(attempt, chance).map(|wait| wait.max(retry_after.unwrap_or_default()));
    match wait {
        None => Transition::Divert(DivertReason::RetriesExhausted),
        // A retry that could only come too late is not waited for.
        Some(wait) if age.saturating_add(wait) > policy.max_age() => {
            Transition::Divert(DivertReason::Expired)
        }
        Some(wait) => Transition::Retry(wait),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Ending = Ending { outcome: AttemptOutcome::HttpError, http_status: 503 };

    fn waits(policy: &RetryPolicy, chance: f64) -> Vec<u64> {
        (1..)
            .map_while(|attempt| {
                match decide(policy, FAILED, attempt, Duration::ZERO, None, chance) {
                    Transition::Retry(wait) => Some(wait.as_secs()),
                    _ => None,
                }
            })
            .take(20)
            .collect()
    }

    #[test]
    fn the_default_is_nine_retries_over_three_days() {
        let policy = RetryPolicy::default();
        assert_eq!(
            waits(&policy, 0.0),
            [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
        );
        let all: Duration = DEFAULT_SCHEDULE.iter().sum();
        assert!(all < policy.max_age(), "the last retry comes before the age limit");
    }

    #[test]
    fn a_schedule_repeats_its_last_wait_where_more_retries_are_asked_for() {
        let mut policy = RetryPolicy {
            waits: Waits::Schedule(vec![Duration::from_secs(1), Duration::from_secs(4)]),
            jitter: Some(0.0),
            ..RetryPolicy::default()
        };
        assert_eq!(waits(&policy, 1.0), [1, 4]);
        policy.max_retries = Some(4);
        assert_eq!(waits(&policy, 1.0), [1, 4, 4, 4]);
        policy.max_retries = Some(0);
        assert!(waits(&policy, 1.0).is_empty());
    }

    #[test]
    fn backoff_grows_to_its_ceiling_until_max_age() {
        let mut policy = RetryPolicy {
            waits: Waits::Backoff { initial: Duration::from_secs(10), max: None, multiplier: None },
            jitter: Some(0.0),
            ..RetryPolicy::default()
        };
        let grown = waits(&policy, 0.0);
        assert_eq!(grown[..4], [10, 20, 40, 80]);
        assert_eq!(grown[19], 3_600);
        policy.max_age = Some(Duration::from_secs(100));
        let late = decide(&policy, FAILED, 2, Duration::from_secs(90), None, 0.0);
        assert_eq!(late, Transition::Divert(DivertReason::Expired));
    }

    #[test]
    fn retry_after_lengthens_a_wait_and_never_shortens_it() {
        let policy = RetryPolicy { jitter: Some(0.0), ..RetryPolicy::default() };
        let after = |asked| decide(&policy, FAILED, 1, Duration::ZERO, Some(asked), 0.0);
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(100));
        assert_eq!(after(short), Transition::Retry(Duration::from_secs(5)));
        assert_eq!(after(long), Transition::Retry(long));
        let policy = RetryPolicy { max_age: Some(long), ..policy };
        let late = decide(&policy, FAILED, 1, short, Some(long), 0.0);
        assert_eq!(late, Transition::Divert(DivertReason::Expired));
    }

    #[test]
    fn a_policy_chooses_which_failures_are_retried() {
        let retry_on = ["409", "3xx", "timeout"].map(|text| text.parse().expect("a class"));
        let policy = RetryPolicy { retry_on: retry_on.to_vec(), ..RetryPolicy::default() };
        let retried = |outcome, http_status| Ending { outcome, http_status }.is_retried_by(&policy);
        assert!(retried(AttemptOutcome::HttpError, 409) && retried(AttemptOutcome::HttpError, 302));
        assert!(retried(AttemptOutcome::Timeout, 0));
        assert!(
            !retried(AttemptOutcome::HttpError, 503)
                && !retried(AttemptOutcome::ConnectionError, 0)
        );
    }

    #[test]
    fn classes_of_failures_are_written_as_they_are_read() {
        for text in ["408", "599", "100", "4xx", "1xx", "5xx", "timeout", "connection"] {
            let class: FailureClass = text.parse().expect(text);
            assert_eq!(class.to_string(), text);
        }
        for bad in ["", "99", "600", "0xx", "6xx", "xx", "5XX", "Timeout", "4x", "+408", "0408"] {
            assert!(bad.parse::<FailureClass>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_failures_that_may_pass_are_retried() {
        let policy = RetryPolicy::default();
        let after = |outcome, http_status| {
            decide(&policy, Ending { outcome, http_status }, 1, Duration::ZERO, None, 0.0)
        };
        for status in [408, 429, 500, 503, 599] {
            assert!(matches!(after(AttemptOutcome::HttpError, status), Transition::Retry(_)));
        }
        for status in [301, 400, 401, 404, 409, 410, 422, 600] {
            let rejected = Transition::Divert(DivertReason::Rejected);
            assert_eq!(after(AttemptOutcome::HttpError, status), rejected, "{status}");
        }
        for outcome in
            [AttemptOutcome::Timeout, AttemptOutcome::ConnectionError, AttemptOutcome::TlsError]
        {
            assert!(matches!(after(outcome, 0), Transition::Retry(_)));
        }
        let forbidden = after(AttemptOutcome::ForbiddenDestination, 0);
        assert_eq!(forbidden, Transition::Divert(DivertReason::Rejected));
        assert_eq!(after(AttemptOutcome::Success, 204), Transition::Succeed);
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_its_base_less_jitter_and_its_base(
            initial in 1u64..10_000, multiplier in 1.0f64..10.0, jitter in 0.0f64..=1.0,
            attempt in 1u32..200, chance in 0.0f64..1.0,
        ) {
            let policy = RetryPolicy {
                waits: Waits::Backoff {
                    initial: Duration::from_millis(initial),
                    max: Some(Duration::from_secs(3_600)),
                    multiplier: Some(multiplier),
                },
                jitter: Some(jitter),
                ..RetryPolicy::default()
            };
            let base = policy.wait(attempt, 0.0).expect("backoff has no end");
            let wait = policy.wait(attempt, chance).expect("backoff has no end");
            prop_assert!(base <= Duration::from_secs(3_600));
            prop_assert!(wait <= base);
            prop_assert!(wait.as_secs_f64() >= base.as_secs_f64() * (1.0 - jitter) - 1e-6);
        }
    }
}
