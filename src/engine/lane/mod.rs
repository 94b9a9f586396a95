//! A lane: one webhook's deliveries in memory, and how far they are known.
//!
//! What waits for its first attempt comes in journal order. Everything up to
//! `cursor` was taken over; what comes after it is in the database only, as soon as
//! there was once no room for it (`spilled`). What is due at a time of its own
//! (a retry) always is read from the database when its time has come, so a lane of
//! a million retries costs no memory but the next time (`next_due`). What stands in an
//! order is taken over only when its turn has come, or nearly so (`order`).

mod by_hand;
mod connections;
mod load;
mod order;
mod width;

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

pub(super) use self::{load::LoadStart, width::share};
use self::{
    order::{Admitted, Order},
    width::Width,
};
use super::{
    KeyMap, delivery::Delivery, lane_config::LaneConfig, pace::Pace, room::Room, sla::SlaWatch,
    worker::Worker,
};
use crate::domain::{
    id::{EventKey, Position, TenantKey},
    order::OrderKey,
    time::Timestamp,
};

/// Where a delivery that the lane knows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In one of the queues.
    Queued,
    /// Attempted or being recorded.
    InFlight(Position),
    /// Being changed by hand.
    Held,
}

/// A place after all others.
const LAST: Position = Position(i64::MAX);

/// What left a lane while it was read, and its place then.
pub(super) type Left = KeyMap<EventKey, Position>;

/// See the module.
#[derive(Default)]
pub(super) struct Lane {
    /// Whether this node makes its attempts.
    pub(super) owned: bool,
    /// Absent until the webhook was made known.
    pub(super) config: Option<Arc<LaneConfig>>,
    /// First attempts, in journal order; of what stands in an order, the first.
    waiting: VecDeque<Delivery>,
    /// Attempts that are due.
    due: VecDeque<Delivery>,
    pub(super) order: Order,
    known: KeyMap<EventKey, Place>,
    /// Payload bytes of what is known.
    bytes: usize,
    /// Slots that are taken: deliveries that are attempted or recorded, and tests.
    in_flight: usize,
    /// Those of them whose request has no answer yet.
    open: usize,
    cursor: Position,
    last_committed: Position,
    spilled: bool,
    /// Rises when the lane starts over; a load of an older epoch is void.
    epoch: u64,
    /// When the database has to be asked for due deliveries next.
    pub(super) next_due: Option<Timestamp>,
    /// Set while a load runs: what left the lane meanwhile, which the load may have
    /// read as it was before.
    left_during_load: Option<Left>,
    /// What was put back while its last attempt is still here: it is read once that is gone.
    put_back: HashSet<EventKey>,
    /// Whether a batch is being diverted right now.
    pub(super) diverting: bool,
    /// Set while the webhook is about to be suspended.
    pub(super) suspending: bool,
    /// Whether something came up meanwhile that the batch may have missed.
    pub(super) divert_again: bool,
    pub(super) in_load_queue: bool,
    last_was_retry: bool,
    /// Whether order keys were read last; rows are next then.
    pub(super) last_read_was_keys: bool,
    pub(super) idle_workers: Vec<Worker>,
    /// How fast attempts may be made.
    pub(super) pace: Pace,
    width: Width,
    /// Not before this time is the database read again, after an error.
    loads_from: Timestamp,
    pub(super) sla: SlaWatch,
}

impl Lane {
    /// A lane of which nothing is known but what the database will say.
    pub(super) fn unread(owned: bool) -> Self {
        Self { owned, spilled: true, next_due: Some(Timestamp::MIN), ..Self::default() }
    }

    /// Whether attempts may be made.
    pub(super) fn is_open(&self) -> bool {
        self.owned
            && !self.suspending
            && self.config.as_ref().is_some_and(|config| config.is_open())
    }

    /// Whether any attempt may be made: in general, or as a probe.
    pub(super) fn is_active(&self) -> bool {
        self.is_open() || (self.owned && self.pace.is_probing() && self.takes_events())
    }

    /// Whose it is, once its webhook is known.
    pub(super) fn tenant(&self) -> Option<TenantKey> {
        self.config.as_ref().map(|config| config.webhook.tenant_key)
    }

    pub(super) fn known_count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything is attempted, recorded or changed right now.
    pub(super) fn has_under_way(&self) -> bool {
        self.in_flight > 0 || self.known.values().any(|place| *place != Place::Queued)
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
        let fits = room.bytes >= delivery.bytes() || self.known.is_empty();
        if self.spilled || room.deliveries == 0 || !fits || !self.order.has_room(&delivery) {
            self.leave(delivery.position, delivery.order);
            return 0;
        }
        self.last_committed = delivery.position;
        self.cursor = delivery.position;
        // Somebody may have begun to change it before it was heard of.
        self.add_unless(delivery, &Left::default())
    }

    /// Leaves a delivery that was just committed to the database.
    pub(super) fn leave(&mut self, position: Position, order: Option<OrderKey>) {
        if position <= self.cursor {
            return;
        }
        self.last_committed = position;
        self.spilled = true;
        if let Some(key) = order {
            self.order.left_in_database(key);
        }
    }

    /// Whether a job could be taken if there were a connection and a slot.
    pub(super) fn has_ready(&self) -> bool {
        !self.waiting.is_empty() || !self.due.is_empty()
    }

    fn takes_events(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.webhook.takes_events())
    }

    /// Takes over how the webhook is now.
    pub(super) fn configure(&mut self, config: Arc<LaneConfig>, now: Timestamp) {
        self.pace.configure(&config.webhook.spec, now);
        self.config = Some(config);
    }

    /// Takes the next delivery to be attempted, with a connection and a slot. First attempts
    /// and retries take turns where there are both, so neither starves the other.
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
        self.known.insert(delivery.event_key, Place::InFlight(delivery.position));
        (self.open, self.in_flight) = (self.open + 1, self.in_flight + 1);
        self.pace.started(now);
        Some(delivery)
    }

    /// Forgets a delivery whose outcome was recorded; its slot is free. It is settled, or
    /// `due` for its next attempt. Returns the bytes that this frees beside its own.
    pub(super) fn release(
        &mut self,
        event: EventKey,
        bytes: usize,
        order: Option<OrderKey>,
        due: Option<Timestamp>,
    ) -> usize {
        if let Some(Place::InFlight(position)) = self.known.remove(&event) {
            self.in_flight -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.note_left(event, position);
        }
        if self.put_back.remove(&event) {
            self.reread();
        }
        match (order, due) {
            (None, due) => self.note_due(due),
            (Some(key), Some(at)) => {
                let dropped = self.order.waits(key, at);
                return self.forget(dropped);
            }
            (Some(key), None) => {
                if let Some(next) = self.order.settled(key) {
                    self.queue(next);
                }
            }
        }
        0
    }

    /// Forgets deliveries that are in the database still. Returns their bytes.
    fn forget(&mut self, dropped: VecDeque<Delivery>) -> usize {
        let mut freed = 0;
        for delivery in dropped {
            self.known.remove(&delivery.event_key);
            freed += delivery.bytes();
        }
        self.bytes = self.bytes.saturating_sub(freed);
        freed
    }

    /// Throws the queues away: everything that waits is in the database only.
    /// Returns the bytes that this frees.
    pub(super) fn forget_queued(&mut self) -> usize {
        let known = &self.known;
        let is_busy = |event| matches!(known.get(&event), Some(Place::InFlight(_) | Place::Held));
        let behind = self.order.forget(is_busy);
        let queued = self.waiting.drain(..).chain(self.due.drain(..));
        let freed = behind + queued.map(|delivery| delivery.bytes()).sum::<usize>();
        let gone: Vec<EventKey> = self
            .known
            .iter()
            .filter(|(_, place)| **place == Place::Queued)
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            self.known.remove(&key);
            self.note_left(key, LAST);
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

    /// Notes that a delivery is not here any more in which it was read at that place, or
    /// before.
    fn note_left(&mut self, event: EventKey, position: Position) {
        if let Some(left) = &mut self.left_during_load {
            left.insert(event, position);
        }
    }

    fn note_due(&mut self, due: Option<Timestamp>) {
        self.next_due = match (self.next_due, due) {
            (Some(known), Some(new)) => Some(known.min(new)),
            (known, new) => known.or(new),
        };
    }

    fn add_unless(&mut self, delivery: Delivery, left: &Left) -> usize {
        match self.known.get(&delivery.event_key) {
            Some(Place::Held) => self.order.admit_held(&delivery),
            Some(Place::InFlight(position)) if delivery.position > *position => {
                self.put_back.insert(delivery.event_key);
            }
            Some(Place::Queued | Place::InFlight(_)) => {}
            None if left.get(&delivery.event_key).is_some_and(|at| delivery.position <= *at) => {}
            None => return self.add(delivery),
        }
        0
    }

    fn add(&mut self, delivery: Delivery) -> usize {
        let (event, bytes) = (delivery.event_key, delivery.bytes());
        match self.order.admit(delivery) {
            Admitted::Ready(delivery) => self.queue(delivery),
            Admitted::Behind => {}
            Admitted::Left => return 0,
        }
        self.known.insert(event, Place::Queued);
        self.bytes += bytes;
        bytes
    }

    /// Queues a delivery that may be attempted: a first attempt, or one that is due.
    fn queue(&mut self, delivery: Delivery) {
        if delivery.state.due_time.is_some() {
            self.due.push_back(delivery);
        } else {
            self.waiting.push_back(delivery);
        }
    }
}

#[cfg(test)]
mod tests;
