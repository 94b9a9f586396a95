//! A lane: one webhook's deliveries in memory, and how far they are known.
//!
//! What waits for its first attempt comes in journal order. Everything up to
//! `cursor` was taken over; what comes after it is in the database only, as soon as
//! there was once no room for it (`spilled`). What is due at a time of its own
//! (a retry) always is read from the database when its time has come, so a lane of
//! a million retries costs no memory but the next time (`next_due`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    delivery::Delivery, lane_config::LaneConfig, pace::Pace, room::Room, sla::SlaWatch,
    worker::Worker,
};
use crate::domain::{
    id::{EventKey, Position},
    time::Timestamp,
};

/// Where a delivery that the lane knows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In one of the queues.
    Queued,
    /// Attempted or being recorded.
    InFlight,
    /// Being changed by hand.
    Held,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lane {
    /// Absent until the webhook was made known.
    pub(super) config: Option<Arc<LaneConfig>>,
    /// First attempts, in journal order.
    waiting: VecDeque<Delivery>,
    /// Attempts that are due.
    due: VecDeque<Delivery>,
    known: HashMap<EventKey, Place>,
    /// Payload bytes of what is known.
    bytes: usize,
    in_flight: usize,
    cursor: Position,
    last_committed: Position,
    spilled: bool,
    /// Rises when the lane starts over; a load of an older epoch is void.
    epoch: u64,
    /// When the database has to be asked for due deliveries next.
    pub(super) next_due: Option<Timestamp>,
    /// Set while a load runs: what left the lane meanwhile, which the load may have
    /// read as it was before.
    left_during_load: Option<HashSet<EventKey>>,
    /// Whether a batch is being diverted right now.
    pub(super) diverting: bool,
    /// Set while the webhook is about to be suspended.
    pub(super) suspending: bool,
    /// Whether something came up meanwhile that the batch may have missed.
    pub(super) divert_again: bool,
    pub(super) in_run_queue: bool,
    pub(super) in_load_queue: bool,
    last_was_retry: bool,
    pub(super) idle_workers: Vec<Worker>,
    /// How fast attempts may be made.
    pub(super) pace: Pace,
    /// Not before this time is the database read again, after an error.
    loads_from: Timestamp,
    pub(super) sla: SlaWatch,
}

/// How far a lane was known when a load began.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadStart {
    epoch: u64,
    /// The load reads what comes after it.
    pub(super) cursor: Position,
    last_committed: Position,
}

impl Lane {
    /// A lane of which nothing is known but what the database will say.
    pub(super) fn unread() -> Self {
        Self { spilled: true, next_due: Some(Timestamp::MIN), ..Self::default() }
    }

    /// Whether attempts may be made.
    pub(super) fn is_open(&self) -> bool {
        !self.suspending && self.config.as_ref().is_some_and(|config| config.is_open())
    }

    /// Whether any attempt may be made: in general, or as a probe.
    pub(super) fn is_active(&self) -> bool {
        self.is_open() || (self.pace.is_probing() && self.takes_events())
    }

    pub(super) fn known_count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys of what is attempted, recorded or changed right now.
    pub(super) fn busy(&self) -> Vec<EventKey> {
        self.known
            .iter()
            .filter(|(_, place)| **place != Place::Queued)
            .map(|(key, _)| *key)
            .collect()
    }

    /// Takes over a delivery that was just committed, where it is the next one and
    /// there is room; otherwise it is left to the database. Returns its bytes.
    pub(super) fn accept(&mut self, delivery: Delivery, room: Room) -> usize {
        if delivery.position <= self.cursor {
            // A load has read it before its commit was told.
            return 0;
        }
        self.last_committed = delivery.position;
        let bytes = delivery.bytes();
        let fits = room.bytes >= bytes || self.known.is_empty();
        if self.spilled || room.deliveries == 0 || !fits {
            self.spilled = true;
            return 0;
        }
        self.cursor = delivery.position;
        self.known.insert(delivery.event_key, Place::Queued);
        self.bytes += bytes;
        self.waiting.push_back(delivery);
        bytes
    }

    /// Whether a job could be taken if there were a slot.
    pub(super) fn has_ready(&self) -> bool {
        !self.waiting.is_empty() || !self.due.is_empty()
    }

    fn takes_events(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.webhook.takes_events())
    }

    /// Whether a job can be taken now.
    pub(super) fn can_run(&self, now: Timestamp) -> bool {
        self.has_slot() && self.pace.starts_at() <= now
    }

    /// When the next job can be taken, where one waits for nothing but the time.
    pub(super) fn next_job(&self) -> Option<Timestamp> {
        self.has_slot().then(|| self.pace.starts_at())
    }

    fn has_slot(&self) -> bool {
        let slots = if self.is_open() { self.pace.slots() } else { usize::from(self.is_active()) };
        self.in_flight < slots && self.has_ready()
    }

    /// Takes over how the webhook is now.
    pub(super) fn configure(&mut self, config: Arc<LaneConfig>, now: Timestamp) {
        self.pace.configure(&config.webhook.spec, now);
        self.config = Some(config);
    }

    /// Takes the next delivery to be attempted. First attempts and retries take
    /// turns where there are both, so neither starves the other.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Delivery> {
        let retry_first = !self.last_was_retry;
        let delivery = if retry_first {
            self.due
                .pop_front()
                .inspect(|_| self.last_was_retry = true)
                .or_else(|| self.waiting.pop_front())
        } else {
            self.last_was_retry = false;
            self.waiting.pop_front().or_else(|| self.due.pop_front())
        }?;
        self.known.insert(delivery.event_key, Place::InFlight);
        self.in_flight += 1;
        self.pace.started(now);
        Some(delivery)
    }

    /// Forgets a delivery whose outcome was recorded; its slot is free. Returns its bytes.
    pub(super) fn release(&mut self, event: EventKey, bytes: usize, due: Option<Timestamp>) {
        if self.known.remove(&event) == Some(Place::InFlight) {
            self.in_flight -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        self.note_left(event);
        self.note_due(due);
    }

    /// Holds a delivery that is about to be changed by hand; `None` while it is
    /// attempted or held already. Returns the bytes that this frees.
    pub(super) fn hold(&mut self, event: EventKey) -> Option<usize> {
        match self.known.get(&event) {
            Some(Place::InFlight | Place::Held) => return None,
            Some(Place::Queued) | None => {}
        }
        let mut freed = 0;
        for queue in [&mut self.waiting, &mut self.due] {
            queue.retain(|delivery| {
                let keep = delivery.event_key != event;
                freed += if keep { 0 } else { delivery.bytes() };
                keep
            });
        }
        self.bytes = self.bytes.saturating_sub(freed);
        self.known.insert(event, Place::Held);
        Some(freed)
    }

    /// Lets go of a delivery that was held; it will be read from the database.
    pub(super) fn unhold(&mut self, event: EventKey, now: Timestamp) {
        if self.known.get(&event) == Some(&Place::Held) {
            self.known.remove(&event);
        }
        self.note_left(event);
        self.note_due(Some(now));
    }

    /// Throws the queues away: everything that waits is in the database only.
    /// Returns the bytes that this frees.
    pub(super) fn forget_queued(&mut self) -> usize {
        let freed = self.waiting.drain(..).chain(self.due.drain(..)).map(|d| d.bytes()).sum();
        let gone: Vec<EventKey> = self
            .known
            .iter()
            .filter(|(_, place)| **place == Place::Queued)
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.known.remove(&key);
            self.note_left(key);
        }
        self.bytes = self.bytes.saturating_sub(freed);
        self.reread();
        freed
    }

    /// Starts over: the database is read from its beginning.
    pub(super) fn reread(&mut self) {
        self.epoch += 1;
        self.cursor = Position::default();
        self.spilled = true;
        self.next_due = Some(Timestamp::MIN);
    }

    /// After an error: what was to be read is read again, but not before `at`.
    pub(super) fn pause_loads(&mut self, at: Timestamp) {
        self.loads_from = at;
        self.next_due = Some(Timestamp::MIN);
    }

    fn note_left(&mut self, event: EventKey) {
        if let Some(left) = &mut self.left_during_load {
            left.insert(event);
        }
    }

    fn note_due(&mut self, due: Option<Timestamp>) {
        self.next_due = match (self.next_due, due) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }

    /// Whether the database should be read, as far as the lane can tell.
    pub(super) fn wants_load(&self, now: Timestamp, room: Room) -> bool {
        self.is_active()
            && self.left_during_load.is_none()
            && room.deliveries > 0
            && room.bytes > 0
            && self.loads_from <= now
            && (self.wants_waiting() || self.wants_due(now))
    }

    /// Reads ahead once half of what a read brings has been used.
    pub(super) fn wants_waiting(&self) -> bool {
        const LOW: usize = 128;
        self.spilled && self.waiting.len() < LOW
    }

    pub(super) fn wants_due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now) && self.due.is_empty()
    }

    /// Notes that a load begins, and says from where it is to read.
    pub(super) fn begin_load(&mut self) -> LoadStart {
        self.left_during_load = Some(HashSet::new());
        LoadStart { epoch: self.epoch, cursor: self.cursor, last_committed: self.last_committed }
    }

    /// Ends a load; gives what left the lane meanwhile, or nothing where the load is void.
    pub(super) fn end_load(&mut self, start: LoadStart) -> Option<HashSet<EventKey>> {
        let left = self.left_during_load.take().unwrap_or_default();
        (start.epoch == self.epoch).then_some(left)
    }

    /// Takes over what a load found due, but for what is known or has left
    /// meanwhile. Returns the bytes.
    pub(super) fn add_due(&mut self, deliveries: Vec<Delivery>, left: &HashSet<EventKey>) -> usize {
        let mut added = 0;
        for delivery in deliveries {
            added += self.add(delivery, left, true);
        }
        added
    }

    /// Takes over the next deliveries in journal order; `complete` where the load
    /// read all there was.
    pub(super) fn add_waiting(
        &mut self,
        deliveries: Vec<Delivery>,
        left: &HashSet<EventKey>,
        start: LoadStart,
        complete: bool,
    ) -> usize {
        let mut added = 0;
        for delivery in deliveries {
            self.cursor = self.cursor.max(delivery.position);
            added += self.add(delivery, left, false);
        }
        if complete {
            // All that was told before the load began was in the database then.
            self.cursor = self.cursor.max(start.last_committed);
            self.spilled = self.last_committed > self.cursor;
        }
        added
    }

    fn add(&mut self, delivery: Delivery, left: &HashSet<EventKey>, due: bool) -> usize {
        if self.known.contains_key(&delivery.event_key) || left.contains(&delivery.event_key) {
            return 0;
        }
        let bytes = delivery.bytes();
        self.known.insert(delivery.event_key, Place::Queued);
        self.bytes += bytes;
        if due {
            self.due.push_back(delivery)
        } else {
            self.waiting.push_back(delivery)
        }
        bytes
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
