//! Times as this dialect writes them.

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// A time in a zone, such as `2024-10-28T08:05:44.665+0000`.
pub(super) fn show(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%z").to_string()
}

/// Reads a time: as it is written here, or as RFC 3339 writes it.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(at.as_microsecond()))
}

/// A time by its milliseconds since the epoch, where the domain has it.
pub(super) fn from_millis(millis: i64) -> Option<Timestamp> {
    let at = Timestamp::from_micros(millis.checked_mul(1_000)?);
    (at.millis() == millis).then_some(at)
}

#[cfg(test)]
mod tests {
    use jiff::tz;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_an_offset_without_a_colon() {
        let at = Timestamp::from_micros(1_587_618_651_351_999);
        assert_eq!(show(at, &TimeZone::UTC), "2020-04-23T05:10:51.351+0000");
        let india = TimeZone::fixed(tz::Offset::from_seconds(19_800).expect("an offset"));
        assert_eq!(show(at, &india), "2020-04-23T10:40:51.351+0530");
        for end in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(show(end, &TimeZone::UTC).len(), "2020-04-23T05:10:51.351+0000".len());
        }
    }

    #[test]
    fn milliseconds_are_read_within_the_times_that_there_are() {
        for good in [0, 1_761_393_961_170, -1, Timestamp::MIN.millis(), Timestamp::MAX.millis()] {
            assert_eq!(from_millis(good).map(Timestamp::millis), Some(good));
        }
        for bad in [i64::MIN, i64::MAX, Timestamp::MIN.millis() - 1, Timestamp::MAX.millis() + 1] {
            assert_eq!(from_millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_here_can_be_read() {
        for text in [
            "2020-04-23T10:40:51.351+0530",
            "2020-04-23T05:10:51.351Z",
            "2020-04-23T05:10:51.351+00:00",
        ] {
            assert_eq!(read(text).map(Timestamp::millis), Some(1_587_618_651_351), "{text}");
        }
        for bad in ["", "now", "2020-04-23", "2020-04-23T05:10:51", "1587618651351"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
