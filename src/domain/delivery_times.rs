//! How long deliveries took, in classes that can be added up: a class is at most 1/16
//! wide, so that a percentile is within 3.2 % of the exact one; a mean is exact.

use std::{collections::BTreeMap, time::Duration};

use super::time::{Timestamp, micros};

/// Deliveries are summed up by the time of their ingestion, so many microseconds (ten
/// minutes) at a time.
pub const WINDOW: i64 = 600_000_000;
/// Classes between two powers of two.
const STEPS: u64 = 16;

/// Start of the window that a time falls into.
pub fn window_start(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros().div_euclid(WINDOW) * WINDOW)
}

/// A range of time, without its end.
pub type Range = (Timestamp, Timestamp);

/// The range of whole windows that a range lies in.
pub fn widen((start, end): Range) -> Range {
    let last = window_start(end);
    let whole = last == end || end == Timestamp::MAX;
    (window_start(start), if whole { end } else { last.plus(Duration::from_micros(WINDOW as u64)) })
}

/// Splits a range into its whole windows, if any, and what is left at its ends.
pub fn split((start, end): Range) -> (Option<Range>, Vec<Range>) {
    let floor = window_start(start);
    let first =
        if floor == start { start } else { floor.plus(Duration::from_micros(WINDOW as u64)) };
    let last = if end == Timestamp::MAX { end } else { window_start(end) };
    if first >= last {
        return (None, vec![(start, end)]);
    }
    let ends = [(start, first), (last, end)];
    (Some((first, last)), ends.into_iter().filter(|(start, end)| start < end).collect())
}

/// The class of a duration. Classes rise with durations.
pub fn class(taken: Duration) -> i32 {
    let value = micros(taken).unsigned_abs();
    if value < STEPS {
        return value as i32;
    }
    let power = u64::from(value.ilog2());
    // Less than 1,000: a power is at most 62.
    ((power - 3) * STEPS + ((value >> (power - 4)) % STEPS)) as i32
}

/// The middle of a class.
fn middle(class: i32) -> Duration {
    let class = u64::from(class.unsigned_abs());
    if class < STEPS {
        return Duration::from_micros(class);
    }
    let (shift, step) = ((class / STEPS - 1).min(58), class % STEPS);
    Duration::from_micros(((STEPS + step) << shift) + ((1 << shift) >> 1))
}

/// Durations of deliveries, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryTimes {
    classes: BTreeMap<i32, u64>,
    count: u64,
    micros: u128,
}

impl DeliveryTimes {
    /// Adds one delivery.
    pub fn add(&mut self, taken: Duration) {
        self.add_class(class(taken), 1, taken.as_micros());
    }

    /// Adds deliveries of one class that took so many microseconds together.
    pub fn add_class(&mut self, class: i32, count: u64, micros: u128) {
        *self.classes.entry(class).or_default() += count;
        self.count += count;
        self.micros = self.micros.saturating_add(micros);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long they took on average; none where there were none.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.micros.checked_div(u128::from(self.count))?;
        Some(Duration::from_micros(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The time within which this many of 100 were made; none where there were none.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let mut classes = self.classes.iter();
        let found = classes.find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(class, _)| middle(*class))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_cut_at_whole_windows() {
        let at = |windows: i64, rest: i64| Timestamp::from_micros(windows * WINDOW + rest);
        let cases = [
            ((at(1, 0), at(3, 0)), Some((at(1, 0), at(3, 0))), vec![]),
            (
                (at(1, 5), at(3, 7)),
                Some((at(2, 0), at(3, 0))),
                vec![(at(1, 5), at(2, 0)), (at(3, 0), at(3, 7))],
            ),
            ((at(1, 5), at(1, 7)), None, vec![(at(1, 5), at(1, 7))]),
            ((at(1, 5), at(2, 7)), None, vec![(at(1, 5), at(2, 7))]),
            ((at(-1, 0), Timestamp::MAX), Some((at(-1, 0), Timestamp::MAX)), vec![]),
        ];
        for (range, whole, ends) in cases {
            assert_eq!(split(range), (whole, ends), "{range:?}");
        }
    }

    #[test]
    fn a_range_is_widened_to_whole_windows() {
        let at = |windows: i64, rest: i64| Timestamp::from_micros(windows * WINDOW + rest);
        for (range, widened) in [
            ((at(1, 0), at(3, 0)), (at(1, 0), at(3, 0))),
            ((at(1, 5), at(1, 7)), (at(1, 0), at(2, 0))),
            ((at(-1, 5), at(3, 1)), (at(-1, 0), at(4, 0))),
            ((at(1, 1), Timestamp::MAX), (at(1, 0), Timestamp::MAX)),
        ] {
            assert_eq!(widen(range), widened, "{range:?}");
            assert_eq!(split(widened), (Some(widened), vec![]), "nothing is left at its ends");
        }
    }

    #[test]
    fn nothing_has_no_percentile_and_no_mean() {
        let none = DeliveryTimes::default();
        assert_eq!((none.mean(), none.percentile(50)), (None, None));
    }

    proptest! {
        #[test]
        fn percentiles_are_close_and_means_exact(
            taken in prop::collection::vec(0u64..=1 << 50, 1..200), percent in 1u64..=100,
        ) {
            let mut times = DeliveryTimes::default();
            taken.iter().for_each(|t| times.add(Duration::from_micros(*t)));
            let mut sorted = taken.clone();
            sorted.sort_unstable();
            let exact = sorted[((sorted.len() as u64 * percent).div_ceil(100) - 1) as usize];
            let told = times.percentile(percent).expect("some").as_micros() as f64;
            prop_assert!((told - exact as f64).abs() <= exact as f64 * 0.032, "{told} {exact}");
            let mean = taken.iter().sum::<u64>() / taken.len() as u64;
            prop_assert_eq!(times.mean(), Some(Duration::from_micros(mean)));
        }

        #[test]
        fn any_class_has_a_middle_and_classes_rise(a: u64, b: u64) {
            let (low, high) = (a.min(b) >> 1, a.max(b) >> 1);
            let class_of = |t| class(Duration::from_micros(t));
            prop_assert!(class_of(low) <= class_of(high));
            prop_assert_eq!(class(middle(class_of(low))), class_of(low));
        }
    }
}
