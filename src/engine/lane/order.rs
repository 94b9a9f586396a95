//! The order of a lane's deliveries: of those that share a key, one at a time.
//!
//! The first of a key is attempted; those after it wait behind it, a few in memory and
//! the others in the database. A key whose first delivery has to wait for its next
//! attempt costs no more than its name: when its time has come, the database is read
//! from that delivery on. While a key is known here, nobody else starts anything of it.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::{
    domain::{
        id::{EventKey, Position},
        order::OrderKey,
        time::Timestamp,
    },
    engine::delivery::Delivery,
};

/// Keys that a lane knows at once; deliveries of more wait until one of them is done.
const KEYS: usize = 4_096;
/// Deliveries behind the first one of a key that are kept in memory, per key and in all.
const BEHIND: usize = 32;
const BEHIND_IN_ALL: usize = 256;

/// What is known of a key.
#[derive(Debug)]
enum Key {
    /// Its first delivery is queued or attempted. `next` come after it, and where
    /// `more`, others in the database after those.
    Busy { first: EventKey, next: VecDeque<Delivery>, more: bool },
    /// All of it is in the database, and is to be read at that time.
    Waits(Timestamp),
    /// All of it is in the database, which is being read; `more` came meanwhile.
    Read { more: bool },
    /// Its first delivery is being changed by hand.
    Held(EventKey),
}

/// What becomes of a delivery that a lane wants to take over.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is the first of its key, or waits for nobody.
    Ready(Delivery),
    /// It waits behind others, in memory.
    Behind,
    /// It waits behind others, in the database.
    Left,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::engine) struct Order {
    keys: HashMap<OrderKey, Key>,
    /// When keys are to be read.
    wakes: BTreeSet<(Timestamp, OrderKey)>,
    /// Deliveries in all `next`.
    behind: usize,
    /// Whether the keys were read whose first delivery waits for its next attempt.
    /// Nothing may be admitted before.
    pub(in crate::engine) known: bool,
}

impl Order {
    /// Whether a delivery can be taken over: its key is known, or there is room for it.
    pub(super) fn has_room(&self, delivery: &Delivery) -> bool {
        match delivery.order {
            None => true,
            Some(key) => self.known && (self.keys.len() < KEYS || self.keys.contains_key(&key)),
        }
    }

    pub(in crate::engine) fn is_full(&self) -> bool {
        self.keys.len() >= KEYS
    }

    /// Takes over a delivery. Those of a key come in order.
    pub(super) fn admit(&mut self, delivery: Delivery) -> Admitted {
        let Some(key) = delivery.order else { return Admitted::Ready(delivery) };
        match self.keys.get_mut(&key) {
            None => {
                let (first, next) = (delivery.event_key, VecDeque::new());
                self.keys.insert(key, Key::Busy { first, next, more: false });
                return Admitted::Ready(delivery);
            }
            Some(Key::Busy { next, more: false, .. })
                if next.len() < BEHIND && self.behind < BEHIND_IN_ALL =>
            {
                next.push_back(delivery);
                self.behind += 1;
                return Admitted::Behind;
            }
            Some(Key::Busy { more, .. } | Key::Read { more }) => *more = true,
            Some(Key::Waits(_) | Key::Held(_)) => {}
        }
        Admitted::Left
    }

    /// Notes a delivery that would be taken over if nobody changed it right now.
    pub(super) fn admit_held(&mut self, delivery: &Delivery) {
        let Some(key) = delivery.order else { return };
        match self.keys.get_mut(&key) {
            None => drop(self.keys.insert(key, Key::Held(delivery.event_key))),
            Some(Key::Busy { more, .. } | Key::Read { more }) => *more = true,
            Some(Key::Waits(_) | Key::Held(_)) => {}
        }
    }

    /// Notes that a delivery of the key came into the database and is not taken over.
    pub(super) fn left_in_database(&mut self, key: OrderKey) {
        if let Some(Key::Read { more }) = self.keys.get_mut(&key) {
            *more = true;
        }
    }

    /// The first delivery of a key is settled: gives the next one, where it is known.
    pub(super) fn settled(&mut self, key: OrderKey) -> Option<Delivery> {
        let Some(Key::Busy { first, next, more }) = self.keys.get_mut(&key) else { return None };
        if let Some(delivery) = next.pop_front() {
            self.behind -= 1;
            *first = delivery.event_key;
            return Some(delivery);
        }
        if *more {
            self.wait(key, Timestamp::MIN);
        } else {
            self.keys.remove(&key);
        }
        None
    }

    /// The first delivery of a key waits until `at` for its next attempt. Gives what is
    /// not kept in memory any more.
    pub(super) fn waits(&mut self, key: OrderKey, at: Timestamp) -> VecDeque<Delivery> {
        let next = match self.keys.get_mut(&key) {
            Some(Key::Busy { next, .. }) => std::mem::take(next),
            _ => VecDeque::new(),
        };
        self.behind -= next.len();
        self.wait(key, at);
        next
    }

    fn wait(&mut self, key: OrderKey, at: Timestamp) {
        if let Some(Key::Waits(earlier)) = self.keys.insert(key, Key::Waits(at)) {
            self.wakes.remove(&(earlier, key));
        }
        self.wakes.insert((at, key));
    }

    /// Something of the key was changed by hand: it is read again.
    pub(super) fn changed(&mut self, key: OrderKey) {
        match self.keys.get_mut(&key) {
            None | Some(Key::Waits(_)) => self.wait(key, Timestamp::MIN),
            Some(Key::Busy { more, .. } | Key::Read { more }) => *more = true,
            Some(Key::Held(_)) => {}
        }
    }

    /// When a key is to be read next.
    pub(in crate::engine) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    pub(in crate::engine) fn wants_load(&self, now: Timestamp) -> bool {
        !self.known || self.next_wake().is_some_and(|at| at <= now)
    }

    /// Takes over which keys wait for a time of their own.
    pub(in crate::engine) fn add_held(&mut self, held: Vec<OrderKey>) {
        self.known = true;
        for key in held {
            if !self.keys.contains_key(&key) {
                self.wait(key, Timestamp::MIN);
            }
        }
    }

    /// Up to `limit` keys that are to be read now. They are being read from here on.
    pub(in crate::engine) fn begin_read(&mut self, now: Timestamp, limit: usize) -> Vec<OrderKey> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now).take(limit).copied();
        let due: Vec<_> = due.collect();
        for wake in &due {
            self.wakes.remove(wake);
            self.keys.insert(wake.1, Key::Read { more: false });
        }
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// A read has failed: these keys are to be read again.
    pub(in crate::engine) fn abandon_read(&mut self, keys: &[OrderKey]) {
        for key in keys {
            if let Some(Key::Read { .. }) = self.keys.get(key) {
                self.wait(*key, Timestamp::MIN);
            }
        }
    }

    /// Keys whose next deliveries are read key by key: a read of all that waits need not
    /// look at them.
    pub(in crate::engine) fn left(&self) -> Vec<OrderKey> {
        let left =
            self.keys.iter().filter(|(_, known)| !matches!(known, Key::Busy { more: false, .. }));
        left.map(|(key, _)| *key).collect()
    }

    /// Takes over what was read of a key, in order, and whether that was all. Gives the
    /// first delivery, where it is to be attempted now; `next` are those that wait
    /// behind it in memory.
    ///
    /// What is `held` is not touched, nor what comes after it. What the lane has not
    /// `heard` of yet, which is all after that position, is left until it does.
    pub(super) fn end_read(
        &mut self,
        key: OrderKey,
        found: Vec<Delivery>,
        complete: bool,
        heard: Position,
        now: Timestamp,
        held: impl Fn(EventKey) -> bool,
    ) -> Option<Delivery> {
        let Some(Key::Read { more: came }) = self.keys.get(&key) else { return None };
        let came = *came;
        let (mut more, mut first_is_held, mut next) = (came || !complete, None, VecDeque::new());
        for delivery in found {
            // One that has a time of its own was heard of, if only before the last start.
            if delivery.position > heard && delivery.state.due_time.is_none() {
                more = came;
                break;
            }
            if held(delivery.event_key) {
                more = true;
                first_is_held = next.is_empty().then_some(delivery.event_key);
                break;
            }
            next.push_back(delivery);
        }
        let Some(first) = next.pop_front() else {
            match first_is_held {
                Some(event) => drop(self.keys.insert(key, Key::Held(event))),
                None if more => self.wait(key, Timestamp::MIN),
                None => drop(self.keys.remove(&key)),
            }
            return None;
        };
        if let Some(at) = first.state.due_time.filter(|at| *at > now) {
            self.wait(key, at);
            return None;
        }
        let room = BEHIND_IN_ALL.saturating_sub(self.behind).min(BEHIND);
        more |= next.len() > room;
        next.truncate(room);
        self.behind += next.len();
        self.keys.insert(key, Key::Busy { first: first.event_key, next, more });
        Some(first)
    }

    /// What waits behind the first delivery of a key, in memory.
    pub(super) fn behind(&self, key: OrderKey) -> impl Iterator<Item = &Delivery> {
        match self.keys.get(&key) {
            Some(Key::Busy { next, .. }) => Some(next.iter()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// Leaves a delivery, and what comes after it, to the database, while somebody
    /// changes it. Gives what was in memory behind the first of its key.
    pub(super) fn hold(&mut self, event: EventKey) -> VecDeque<Delivery> {
        for known in self.keys.values_mut() {
            let Key::Busy { first, next, more } = known else { continue };
            let dropped = if *first == event {
                let next = std::mem::take(next);
                *known = Key::Held(event);
                next
            } else if let Some(at) = next.iter().position(|d| d.event_key == event) {
                *more = true;
                next.split_off(at)
            } else {
                continue;
            };
            self.behind -= dropped.len();
            return dropped;
        }
        VecDeque::new()
    }

    /// The change of a delivery is done.
    pub(super) fn unhold(&mut self, event: EventKey) {
        let held = |known: &Key| matches!(known, Key::Held(held) if *held == event);
        let key = self.keys.iter().find(|(_, known)| held(known)).map(|(key, _)| *key);
        if let Some(key) = key {
            self.wait(key, Timestamp::MIN);
        }
    }

    /// Forgets all but what is attempted or changed right now; the database is to be
    /// read anew. Gives the bytes of what was in memory.
    pub(super) fn forget(&mut self, is_busy: impl Fn(EventKey) -> bool) -> usize {
        let mut freed = 0;
        self.keys.retain(|_, known| match known {
            Key::Busy { first, next, more } => {
                freed += next.drain(..).map(|delivery| delivery.bytes()).sum::<usize>();
                *more = true;
                is_busy(*first)
            }
            Key::Held(event) => is_busy(*event),
            Key::Waits(_) | Key::Read { .. } => false,
        });
        self.wakes.clear();
        (self.behind, self.known) = (0, false);
        freed
    }
}
