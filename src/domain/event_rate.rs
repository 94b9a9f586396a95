//! How fast a tenant may publish: a bucket that holds one second's worth of events.

use std::time::Duration;

use super::time::Timestamp;

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
pub struct EventRate {
    /// Events that may be published at once; less than none after a large batch.
    left: f64,
    at: Option<Timestamp>,
}

impl Default for EventRate {
    fn default() -> Self {
        Self { left: 0.0, at: None }
    }
}

impl EventRate {
    /// Takes room for `events`, or says when there will be some. A batch is let through as long
    /// as there is any room, and paid for by those after it.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn take(&mut self, events: usize, per_second: f64, now: Timestamp) -> Result<(), Duration> {
        let most = per_second.max(1.0);
        self.left = match self.at {
            Some(at) => (self.left + now.since(at).as_secs_f64() * per_second).min(most),
            None => most,
        };
        self.at = Some(now);
        if self.left >= 1.0 {
            self.left -= events as f64;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - self.left) / per_second).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn a_second_can_come_at_once_and_the_rest_as_time_goes_by() {
        let mut rate = EventRate::default();
        for _ in 0..4 {
            assert_eq!(rate.take(1, 4.0, at(0)), Ok(()));
        }
        assert_eq!(rate.take(1, 4.0, at(0)), Err(Duration::from_millis(250)));
        assert_eq!(rate.take(1, 4.0, at(250)), Ok(()));
        assert_eq!(rate.take(1, 4.0, at(0)), Err(Duration::from_millis(250)), "a clock set back");
        assert_eq!(rate.take(40, 4.0, at(100_000)), Ok(()));
        assert_eq!(rate.take(1, 4.0, at(100_000)), Err(Duration::from_millis(9_250)));
    }

    #[test]
    fn rates_below_one_let_single_events_through() {
        let mut rate = EventRate::default();
        assert_eq!(rate.take(1, 0.1, at(0)), Ok(()));
        assert_eq!(rate.take(1, 0.1, at(0)), Err(Duration::from_secs(10)));
        assert_eq!(rate.take(1, 0.1, at(10_000)), Ok(()));
    }
}
