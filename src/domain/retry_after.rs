//! The `Retry-After` header (RFC 9110, section 10.2.3): seconds, or an HTTP date.

use std::time::{Duration, UNIX_EPOCH};

use super::time::Timestamp;

/// A destination can ask for no longer a pause than this.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait from `now`; `None` where the text is neither seconds nor a date.
pub fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a very long time.
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let date = Timestamp::from_micros(i64::try_from(date.as_micros()).ok()?);
    Some(date.since(now).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2015-10-21T07:28:00Z.
    const NOW: Timestamp = Timestamp::from_micros(1_445_412_480_000_000);

    #[test]
    fn seconds_and_dates_of_all_three_forms_are_read() {
        let seconds = |text| parse(text, NOW).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:29:00 GMT"), Some(60));
        assert_eq!(seconds("Wednesday, 21-Oct-15 07:29:00 GMT"), Some(60));
        assert_eq!(seconds("Wed Oct 21 07:29:00 2015"), Some(60));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0), "a date in the past");
        for long in ["86401", "99999999999999999999999", "Wed, 21 Oct 2065 07:28:00 GMT"] {
            assert_eq!(seconds(long), Some(LONGEST.as_secs()), "{long}");
        }
        for bad in ["", "-1", "1.5", "soon", "12 s", "+3"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_wait_too_long(
            text in "\\PC{0,40}|[0-9]{1,30}|(?s).{0,30}\
                |[A-Z][a-z]{2,8},? [0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{1,6} [0-9:]{5,9} (GMT|[0-9]{4})",
            now: i64,
        ) {
            for now in [NOW, Timestamp::from_micros(now)] {
                prop_assert!(parse(&text, now).is_none_or(|wait| wait <= LONGEST));
            }
        }

        #[test]
        fn it_asks_for_what_it_says_and_for_a_day_at_most(
            seconds in prop_oneof![0u64..200_000, any::<u64>()],
            offset in -200_000i64..200_000,
        ) {
            let wait = parse(&seconds.to_string(), NOW);
            prop_assert_eq!(wait, Some(Duration::from_secs(seconds).min(LONGEST)));
            let date = u64::try_from(NOW.micros() / 1_000_000 + offset).expect("after 1970");
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(date));
            let expected = Duration::from_secs(u64::try_from(offset).unwrap_or_default());
            prop_assert_eq!(parse(&date, NOW), Some(expected.min(LONGEST)), "{}", date);
        }
    }
}
