//! How many of its connections a lane uses: as many as its destination keeps busy, and not
//! all that it may open. Each connection has state of its own in this process and in the
//! kernel, on both sides, and what is used by turns is in no cache when its turn comes: with
//! ten destinations that answer at once, 640 connections cost up to an eighth more CPU for each
//! delivery than 160. With fewer still, deliveries get less of the CPU than publishes do, and lag.
//!
//! What a destination keeps busy is its rate times what an attempt takes (Little's law), where
//! that is what one takes at best: under load attempts wait for the CPU as well, and more
//! connections would not change that. Twice as many are used, so that the rate can rise. It is
//! looked at only while deliveries wait for a connection, and right after they began to, so that
//! nothing waits for longer behind attempts that hang.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// So many connections a lane uses in any case, where it may open them.
const AT_LEAST: usize = 16;
/// So many are used by all lanes that are busy together, in any case.
const TOGETHER: usize = 160;
/// What came of it is looked at after this time.
const PATIENCE: Duration = Duration::from_millis(10);
/// Of so many connections, one attempt at least is to have ended by then.
const PART: usize = 4;
/// How much a longer attempt brings the time of an attempt up: by this part of the difference.
const MEMORY: u64 = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Width {
    connections: usize,
    /// What an attempt takes at best, in microseconds: a shorter one counts at once, longer
    /// ones by and by. Zero until the first has ended.
    takes: u64,
    /// Since when deliveries wait for a connection that might be opened; absent where that is
    /// not looked at.
    since: Option<Timestamp>,
    /// Attempts that have ended since then.
    ended: usize,
}

impl Default for Width {
    fn default() -> Self {
        Self { connections: AT_LEAST, takes: 0, since: None, ended: 0 }
    }
}

/// The part of a lane in what all use together, where so many are busy.
pub(in crate::engine) fn share(lanes: usize) -> usize {
    (TOGETHER / lanes.max(1)).max(AT_LEAST)
}

impl Width {
    /// So many are used, and a lane's share in any case.
    pub(super) fn connections(&self, share: usize) -> usize {
        self.connections.max(share)
    }

    /// Notes an attempt that has ended, with so many open still; it may be time to look.
    pub(super) fn ended(&mut self, took: Duration, now: Timestamp, open: usize) {
        self.ended += 1;
        let took = micros(took);
        self.takes = match self.takes {
            0 => took,
            known => took.min(known + took.saturating_sub(known).div_ceil(MEMORY)),
        };
        self.look(now, open);
    }

    /// Notes that deliveries wait for a connection; gives the time when that is to be looked at,
    /// where nobody does yet. One that lies ahead is from before the clock was set back.
    pub(super) fn watch(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.since.is_some_and(|since| since <= now && now < since.plus(2 * PATIENCE)) {
            return None;
        }
        (self.since, self.ended) = (Some(now), 0);
        Some(now.plus(PATIENCE))
    }

    /// Looks at what has come of it, where it is time for that: `open` are open now.
    pub(super) fn look(&mut self, now: Timestamp, open: usize) {
        let Some(since) = self.since.filter(|since| now >= since.plus(PATIENCE)) else { return };
        self.since = None;
        let busy = (self.ended as u64).saturating_mul(self.takes) / micros(now.since(since)).max(1);
        let wanted = match usize::try_from(busy) {
            Ok(busy) if self.ended * PART >= open => 2 * busy,
            // Hardly any has ended: they hang, or what an attempt takes is not known yet.
            _ => 2 * open,
        };
        self.connections = wanted.max(self.connections / 2).max(AT_LEAST);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LIMIT: usize = 64;
    /// Of the simulation, in microseconds.
    const STEP: i64 = 100;
    const ATTEMPTS_OF_A_STEP: usize = 2;

    /// A destination for which something always waits, or waits in bursts. The CPU does so many
    /// attempts in a step.
    #[derive(Default)]
    struct Simulation {
        width: Width,
        now: i64,
        /// Deliveries that come every ten milliseconds, where it is in bursts.
        burst: Option<usize>,
        waiting: usize,
        /// When each request that is open began.
        open: VecDeque<i64>,
        look_at: Option<Timestamp>,
    }

    impl Simulation {
        /// Lets so many milliseconds pass, while the destination takes so many microseconds for
        /// an answer. Gives how many connections are used then.
        fn run(&mut self, millis: i64, latency: i64) -> usize {
            for _ in 0..millis * 1_000 / STEP {
                self.step(latency);
            }
            self.width.connections(0).min(LIMIT)
        }

        fn step(&mut self, latency: i64) {
            self.now += STEP;
            match self.burst {
                None => self.waiting = LIMIT,
                Some(burst) if self.now % 10_000 == 0 => self.waiting += burst,
                Some(_) => {}
            }
            let now = Timestamp::from_micros(self.now);
            for _ in 0..ATTEMPTS_OF_A_STEP {
                let done = self.open.pop_front_if(|since| *since + latency <= self.now);
                if let Some(since) = done {
                    let took = now.since(Timestamp::from_micros(since));
                    self.width.ended(took, now, self.open.len());
                }
            }
            while self.waiting > 0 && self.open.len() < self.width.connections(0).min(LIMIT) {
                self.waiting -= 1;
                self.open.push_back(self.now);
            }
            let open = self.open.len();
            if self.waiting > 0 && open >= self.width.connections(0).min(LIMIT) {
                let look_at = self.width.watch(now).filter(|_| open < LIMIT);
                self.look_at = look_at.or(self.look_at);
            }
            if self.look_at.is_some_and(|at| at <= now) {
                self.width.look(now, open);
            }
        }
    }

    #[test]
    fn where_answers_come_at_once_no_more_connections_are_used_than_are_needed() {
        let mut simulation = Simulation { burst: Some(150), ..Simulation::default() };
        assert_eq!(simulation.run(1_000, STEP), AT_LEAST);
    }

    #[test]
    fn where_answers_take_time_all_connections_are_used_soon() {
        for latency in [4_000, 15_000, 30_000, 100_000, 1_000_000, i64::MAX / 2] {
            assert_eq!(Simulation::default().run(150, latency), LIMIT, "{latency} us");
        }
    }

    #[test]
    fn a_destination_that_becomes_slow_gets_all_connections_and_one_that_becomes_fast_few() {
        let mut simulation = Simulation { burst: Some(150), ..Simulation::default() };
        assert_eq!(simulation.run(1_000, STEP), AT_LEAST);
        assert_eq!(simulation.run(200, 50_000), LIMIT);
        assert_eq!(simulation.run(2_000, STEP), AT_LEAST);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut simulation = Simulation { now: 1_000_000, ..Simulation::default() };
        simulation.run(5, i64::MAX / 2);
        (simulation.now, simulation.look_at) = (0, None);
        assert_eq!(simulation.run(150, i64::MAX / 2), LIMIT);
    }

    #[test]
    fn lanes_that_are_few_share_what_all_use_together() {
        assert_eq!([0, 1, 10, 1_000].map(share), [TOGETHER, TOGETHER, AT_LEAST, AT_LEAST]);
    }
}
