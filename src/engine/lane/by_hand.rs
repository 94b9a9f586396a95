//! Deliveries of a lane that somebody changes by hand.

use super::{LAST, Lane, Place};
use crate::domain::{id::EventKey, order::OrderKey, time::Timestamp};

impl Lane {
    /// Holds a delivery that is about to be changed by hand; `None` while it is
    /// attempted or held already. Returns the bytes that this frees.
    pub(in crate::engine) fn hold(&mut self, event: EventKey) -> Option<usize> {
        match self.known.get(&event) {
            Some(Place::InFlight(_) | Place::Held) => return None,
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
        let dropped = self.order.hold(event);
        freed += self.forget(dropped);
        self.known.insert(event, Place::Held);
        Some(freed)
    }

    /// Lets go of a delivery that was held; it will be read from the database. What was
    /// changed now stands in that order.
    pub(in crate::engine) fn unhold(
        &mut self,
        event: EventKey,
        order: Option<OrderKey>,
        now: Timestamp,
    ) {
        if self.known.get(&event) == Some(&Place::Held) {
            self.known.remove(&event);
        }
        self.note_left(event, LAST);
        self.note_due(Some(now));
        self.order.unhold(event);
        if let Some(key) = order {
            self.order.changed(key);
        }
    }

    /// Hears that another node has put a delivery back by hand, to be attempted at `time`.
    pub(in crate::engine) fn becomes_due(&mut self, time: Timestamp, order: Option<OrderKey>) {
        self.note_due(Some(time));
        if let Some(key) = order {
            self.order.changed(key);
        }
    }
}
