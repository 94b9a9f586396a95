//! Samples of times, and what is said of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A sorted sample of durations.
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Of these.
    pub fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest one that `part` of all do not exceed; zero where there are none.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (self.0.len() as f64 * part).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or_default()
    }

    /// The longest one.
    pub fn max(&self) -> Duration {
        self.quantile(1.0)
    }

    /// What is shown of it.
    pub(super) fn quantiles(&self) -> Quantiles {
        let of = |part| self.quantile(part).as_secs_f64() * 1_000.0;
        Quantiles { p50: of(0.5), p90: of(0.9), p99: of(0.99), max: of(1.0) }
    }
}

/// Quantiles of a sample, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// So many in that time, per second.
pub(super) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Mebibytes of so many KiB.
pub(super) fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_members_of_the_sample() {
        let millis = |n: u64| Duration::from_millis(n);
        let sample = Sample::new((1..=200).rev().map(millis).collect());
        let found = [0.0, 0.5, 0.9, 0.99].map(|part| sample.quantile(part));
        assert_eq!(found, [1, 100, 180, 198].map(millis));
        assert_eq!((sample.max(), Sample::new(Vec::new()).max()), (millis(200), Duration::ZERO));
    }
}
