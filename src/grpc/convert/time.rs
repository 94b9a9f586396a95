//! Times and durations. Ours have microseconds; what is finer is cut off.

use std::time::Duration;

use crate::domain::{error::Faults, time::Timestamp};

const NANOS: std::ops::Range<i32> = 0..1_000_000_000;
/// The longest duration that protobuf allows: about 10,000 years.
const LONGEST_SECONDS: i64 = 315_576_000_000;

/// A point in time, absent or from year 1 to 9999.
pub(crate) fn read_timestamp(
    given: Option<&prost_types::Timestamp>,
    at: &str,
    faults: &mut Faults,
) -> Option<Timestamp> {
    let prost_types::Timestamp { seconds, nanos } = *given?;
    let seconds_range = Timestamp::MIN.micros() / 1_000_000..=Timestamp::MAX.micros() / 1_000_000;
    if !NANOS.contains(&nanos) || !seconds_range.contains(&seconds) {
        faults.invalid(at, "must be 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z");
        return None;
    }
    Some(Timestamp::from_micros(seconds * 1_000_000 + i64::from(nanos) / 1_000))
}

/// A duration, absent or not negative.
pub(crate) fn read_duration(
    given: Option<&prost_types::Duration>,
    at: &str,
    faults: &mut Faults,
) -> Option<Duration> {
    let prost_types::Duration { seconds, nanos } = *given?;
    if seconds < 0 || nanos < 0 {
        faults.invalid(at, "must not be negative");
        return None;
    }
    if !NANOS.contains(&nanos) || seconds > LONGEST_SECONDS {
        faults.invalid(at, "is no duration of up to 10,000 years");
        return None;
    }
    // Zero has a meaning of its own, so nothing is cut down to it.
    let least = u64::from(nanos > 0 && seconds == 0);
    let micros = u64::from(nanos.unsigned_abs() / 1_000).max(least);
    Some(Duration::from_secs(seconds.unsigned_abs()) + Duration::from_micros(micros))
}

/// A point in time for the wire.
pub(crate) fn show_timestamp(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        // Less than 10^9, so that nothing is lost.
        nanos: (micros.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

/// A duration for the wire.
pub(crate) fn show_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(LONGEST_SECONDS).min(LONGEST_SECONDS),
        // Less than 10^9, so that nothing is lost.
        nanos: (duration.subsec_micros() * 1_000) as i32,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timestamp(seconds: i64, nanos: i32) -> Option<Timestamp> {
        let mut faults = Faults::default();
        let read =
            read_timestamp(Some(&prost_types::Timestamp { seconds, nanos }), "t", &mut faults);
        assert_eq!(read.is_none(), !faults.is_empty());
        read
    }

    fn duration(seconds: i64, nanos: i32) -> Option<Duration> {
        let mut faults = Faults::default();
        let read = read_duration(Some(&prost_types::Duration { seconds, nanos }), "d", &mut faults);
        assert_eq!(read.is_none(), !faults.is_empty());
        read
    }

    #[test]
    fn times_outside_of_protobufs_bounds_are_faults() {
        assert_eq!(timestamp(-62_135_596_800, 0), Some(Timestamp::MIN));
        assert_eq!(timestamp(253_402_300_799, 999_999_999), Some(Timestamp::MAX));
        assert_eq!(timestamp(-1, 999_999_999), Some(Timestamp::from_micros(-1)));
        for (seconds, nanos) in [
            (-62_135_596_801, 0),
            (253_402_300_800, 0),
            (i64::MIN, 0),
            (i64::MAX, 0),
            (0, -1),
            (0, 1_000_000_000),
        ] {
            assert_eq!(timestamp(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    #[test]
    fn durations_are_cut_to_microseconds_but_never_to_zero() {
        assert_eq!(duration(0, 0), Some(Duration::ZERO));
        assert_eq!(duration(0, 1), Some(Duration::from_micros(1)));
        assert_eq!(duration(1, 1_999), Some(Duration::from_micros(1_000_001)));
        assert_eq!(duration(LONGEST_SECONDS, 0), Some(Duration::from_secs(315_576_000_000)));
        for (seconds, nanos) in [
            (-1, 0),
            (0, -1),
            (1, -1),
            (0, 1_000_000_000),
            (LONGEST_SECONDS + 1, 0),
            (i64::MAX, 0),
            (i64::MIN, i32::MIN),
        ] {
            assert_eq!(duration(seconds, nanos), None, "{seconds} {nanos}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(
            time in Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
            micros in 0u64..=315_576_000_000_000_000,
        ) {
            let (time, span) = (Timestamp::from_micros(time), Duration::from_micros(micros));
            let shown = show_timestamp(time);
            prop_assert_eq!(timestamp(shown.seconds, shown.nanos), Some(time));
            let shown = show_duration(span);
            prop_assert_eq!(duration(shown.seconds, shown.nanos), Some(span));
        }
    }
}
