//! What attempts bring back: outcomes to be recorded, and slots that are free again.

use std::time::Duration;

use super::{
    dispatcher::{Dispatcher, each_once},
    recorder::{Fate, Recorded, RecordedBatch},
    settle::{self, Settled},
    suspension::Judged,
    worker::Job,
};
use crate::domain::{
    delivery::{Attempt, AttemptOutcome},
    state_change::is_state_event,
};

/// What a destination answers that does not exist any more.
const GONE: u16 = 410;
/// A lane whose outcome was refused waits this long before it reads again.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Takes over an attempt that has ended: decides what becomes of its delivery and
    /// its webhook.
    pub(super) fn finish(&mut self, mut job: Box<Job>) {
        let (key, attempted) = (job.lane.webhook.key, job.attempted.take());
        let Job { delivery, tenure, worker, .. } = *job;
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.free_connection();
            lane.idle_workers.push(worker);
        }
        let Some(attempted) = attempted.filter(|_| tenure.is_good()) else {
            return self.abandoned(&Recorded::cut_off(key, &delivery));
        };
        let (now, chance) = (self.now, rand::random::<f64>());
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(config) = lane.config.clone() else { return };
        if let Some(pause) = attempted.retry_after {
            // Asked for by one answer, it holds for the whole destination.
            lane.pace.pause(now.plus(pause));
        }
        let Attempt { summary, start_time, end_time, .. } = &attempted.attempt;
        let (success, gone) =
            (summary.outcome == AttemptOutcome::Success, summary.http_status == GONE);
        if summary.outcome == AttemptOutcome::ConnectionError {
            lane.pace.unreachable(now);
        } else {
            lane.pace.reached();
        }
        lane.attempt_took(summary.time_taken, now);
        let start_time = *start_time;
        let state_event = is_state_event(&delivery.outgoing.event.event_name);
        let row =
            (success || !state_event).then(|| lane.pace.ended(success, start_time, *end_time));
        let standing = row.and_then(|_| lane.pace.new_standing(success));
        let Settled { mut outcome, given_up } =
            settle::after_attempt(&config, &delivery, attempted, now, chance);
        outcome.settlement.standing = standing;
        self.outcomes.push(outcome);
        self.judge(key, &config.webhook, Judged { success, start_time, gone, row, given_up });
        // Its connection is free for the next.
        self.touch(key);
    }

    /// Takes over that outcomes are in the database: their slots are free.
    pub(super) fn recorded(&mut self, batch: RecordedBatch) {
        self.outcomes.ended(&batch);
        let mut touched = Vec::with_capacity(batch.recorded.len());
        for outcome in batch.recorded {
            let Recorded { lane: key, event, order, bytes, due, fate } = outcome;
            if fate == Fate::Abandoned {
                self.abandoned(&outcome);
                continue;
            }
            self.turns.ended(key);
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let again = (fate == Fate::Refused).then(|| self.now.plus(AFTER_REFUSAL));
            let freed = bytes + lane.release(event, bytes, order, again.or(due));
            self.bytes = self.bytes.saturating_sub(freed);
            if let Some(at) = again {
                lane.reread();
                lane.pause_loads(at);
                self.timers.insert((at, key));
            }
            touched.push(key);
        }
        for key in each_once(touched) {
            // A retry that was decided just before its webhook was stopped.
            self.divert(key);
            self.touch(key);
        }
    }
}
