//! How a lane reads on from the database, and takes over what was found.

use super::{Lane, Left, Place};
use crate::{
    domain::{id::Position, order::OrderKey, time::Timestamp},
    engine::delivery::Delivery,
};

/// How far a lane was known when a load began.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct LoadStart {
    epoch: u64,
    /// The load reads what comes after it.
    pub(in crate::engine) cursor: Position,
    pub(in crate::engine) last_committed: Position,
}

impl Lane {
    /// Whether the database should be read, where there is room.
    pub(in crate::engine) fn wants_load(&self, now: Timestamp) -> bool {
        self.is_active()
            && self.left_during_load.is_none()
            && self.loads_from <= now
            && (self.order.wants_load(now) || self.wants_waiting() || self.wants_due(now))
    }

    /// Reads ahead once half of what a read brings has been used.
    pub(in crate::engine) fn wants_waiting(&self) -> bool {
        const LOW: usize = 128;
        self.spilled && self.waiting.len() < LOW && !self.order.is_full()
    }

    pub(in crate::engine) fn wants_due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now) && self.due.is_empty()
    }

    /// Notes that a load begins, and says from where it is to read.
    pub(in crate::engine) fn begin_load(&mut self) -> LoadStart {
        self.left_during_load = Some(Left::default());
        LoadStart { epoch: self.epoch, cursor: self.cursor, last_committed: self.last_committed }
    }

    /// Ends a load; gives what left the lane meanwhile, or nothing where the load is void.
    pub(in crate::engine) fn end_load(&mut self, start: LoadStart) -> Option<Left> {
        let left = self.left_during_load.take().unwrap_or_default();
        (start.epoch == self.epoch).then_some(left)
    }

    /// Takes over what a load found due, but for what is known or has left
    /// meanwhile. Returns the bytes.
    pub(in crate::engine) fn add_due(&mut self, deliveries: Vec<Delivery>, left: &Left) -> usize {
        deliveries.into_iter().map(|delivery| self.add_unless(delivery, left)).sum()
    }

    /// Takes over what a load found of an order key, and whether that was all. Returns
    /// the bytes.
    pub(in crate::engine) fn add_of_key(
        &mut self,
        key: OrderKey,
        deliveries: Vec<Delivery>,
        complete: bool,
        now: Timestamp,
    ) -> usize {
        let heard = self.cursor.max(self.last_committed);
        let is_held = |event| self.known.contains_key(&event);
        let first = self.order.end_read(key, deliveries, complete, heard, now, is_held);
        let Some(first) = first else { return 0 };
        let mut added = 0;
        for delivery in self.order.behind(key).chain([&first]) {
            self.known.insert(delivery.event_key, Place::Queued);
            added += delivery.bytes();
        }
        self.bytes += added;
        self.queue(first);
        added
    }

    /// Takes over the next deliveries in journal order; `end` where these are all up to
    /// that position.
    pub(in crate::engine) fn add_waiting(
        &mut self,
        deliveries: Vec<Delivery>,
        left: &Left,
        end: Option<Position>,
    ) -> usize {
        let mut added = 0;
        for delivery in deliveries {
            if !self.order.has_room(&delivery) {
                return added;
            }
            self.cursor = self.cursor.max(delivery.position);
            added += self.add_unless(delivery, left);
        }
        if let Some(end) = end {
            self.cursor = self.cursor.max(end);
            self.spilled = self.last_committed > self.cursor;
        }
        added
    }
}
