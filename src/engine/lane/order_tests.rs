//! Ordered lanes against a model of the database: whatever the order of commits, their
//! news, reads, attempts that fail, changes by hand and restarts, of each key one
//! delivery is attempted at a time, and in order.

use super::*;
use crate::{domain::order::OrderKey, engine::loader::Wanted};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// A row of the database that is not settled.
#[derive(Clone, Debug)]
struct Stored {
    n: i64,
    key: Option<i64>,
    due: Option<Timestamp>,
}

impl Stored {
    fn delivery(&self) -> Delivery {
        let mut delivery = delivery(self.n);
        delivery.order = self.key.map(OrderKey);
        delivery.state.due_time = self.due;
        delivery
    }
}

/// A read under way, with what it found.
struct Read {
    start: LoadStart,
    wanted: Wanted,
    rows: Vec<Stored>,
    head: Position,
}

struct Model {
    lane: Lane,
    committed: i64,
    rows: Vec<Stored>,
    news: VecDeque<Stored>,
    read: Option<Read>,
    /// What is attempted or to be recorded, and how many of these, the last ones, have no
    /// answer yet.
    in_flight: Vec<Delivery>,
    open: usize,
    held: Option<EventKey>,
    now: Timestamp,
    settled: Vec<Stored>,
}

impl Model {
    fn room(&self) -> Room {
        Room { deliveries: ROOM.saturating_sub(self.lane.known_count()), bytes: 1 << 20 }
    }

    fn commit(&mut self, key: Option<i64>) {
        self.committed += 1;
        let row = Stored { n: self.committed, key, due: None };
        self.rows.push(row.clone());
        self.news.push_back(row);
    }

    fn tell(&mut self) {
        let room = self.room();
        if let Some(row) = self.news.pop_front() {
            self.lane.accept(row.delivery(), room);
        }
    }

    fn begin_read(&mut self) {
        if self.read.is_none() && self.lane.wants_load(self.now) && !self.room().is_none() {
            let room = self.room();
            let wanted = Wanted::next(&mut self.lane, self.now, room);
            // What the database holds at this moment.
            self.read = Some(Read {
                start: self.lane.begin_load(),
                wanted,
                rows: self.rows.clone(),
                head: Position(self.committed),
            });
        }
    }

    fn end_read(&mut self) {
        let Some(Read { start, wanted, rows, head }) = self.read.take() else { return };
        let left = self.lane.end_load(start);
        let (Some(left), wanted) = (left, wanted) else { return };
        match wanted {
            Wanted::Standing => {
                let held = rows.iter().filter(|row| row.due.is_some());
                self.lane.order.add_held(held.filter_map(|row| row.key.map(OrderKey)).collect());
            }
            Wanted::Keys(keys) => {
                for key in keys {
                    let mut found: Vec<_> =
                        rows.iter().filter(|row| row.key == Some(key.0)).collect();
                    let complete = found.len() < PAGE;
                    found.truncate(PAGE);
                    let found = found.into_iter().map(Stored::delivery).collect();
                    self.lane.add_of_key(key, found, complete, self.now);
                }
            }
            Wanted::Rows { waiting, due } => {
                let loose = rows.iter().filter(|row| row.key.is_none());
                if due.is_some() {
                    let found = loose.filter(|row| row.due.is_some_and(|due| due <= self.now));
                    let found = found.map(Stored::delivery).collect();
                    self.lane.add_due(found, &left);
                    let later = rows.iter().filter(|row| row.key.is_none()).filter_map(|r| r.due);
                    let next = later.filter(|due| *due > self.now).min();
                    self.lane.next_due = [self.lane.next_due, next].into_iter().flatten().min();
                }
                if let Some(skip) = waiting {
                    let skipped =
                        |row: &&Stored| row.key.is_some_and(|k| skip.contains(&OrderKey(k)));
                    let after = rows.iter().filter(|r| r.due.is_none() && r.n > start.cursor.0);
                    let mut found: Vec<_> = after.filter(|row| !skipped(row)).collect();
                    let complete = found.len() < PAGE;
                    found.truncate(PAGE);
                    let found = found.into_iter().map(Stored::delivery).collect();
                    let end = if skip.is_empty() { start.last_committed } else { head };
                    self.lane.add_waiting(found, &left, complete.then_some(end));
                }
            }
        }
    }

    fn attempt(&mut self) -> Result<(), TestCaseError> {
        if !self.lane.can_run(self.now, CONNECTIONS) {
            return Ok(());
        }
        let Some(taken) = self.lane.take(self.now) else { return Ok(()) };
        if let Some(key) = taken.order {
            let first = self.rows.iter().find(|row| row.key == Some(key.0)).map(|row| row.n);
            prop_assert_eq!(first, Some(taken.event_key.0), "the first of its key");
        }
        let again = self.in_flight.iter().any(|d| d.event_key == taken.event_key);
        prop_assert!(!again, "once at a time");
        self.in_flight.push(taken);
        self.open += 1;
        Ok(())
    }

    fn answer(&mut self) {
        if self.open > 0 {
            self.open -= 1;
            self.lane.free_connection();
        }
    }

    fn record(&mut self, succeeds: bool) {
        if self.in_flight.len() == self.open {
            return;
        }
        let delivery = self.in_flight.remove(0);
        let n = delivery.event_key.0;
        let at = self.rows.iter().position(|row| row.n == n).expect("what is attempted waits");
        let due = (!succeeds).then(|| self.now.plus(std::time::Duration::from_secs(1)));
        if succeeds {
            self.settled.push(self.rows.remove(at));
        } else {
            self.rows[at].due = due;
        }
        self.lane.release(delivery.event_key, delivery.bytes(), delivery.order, due);
    }

    /// Somebody asks for an attempt of the oldest now.
    fn hold(&mut self) {
        let Some(event) = self.rows.first().map(|row| EventKey(row.n)) else { return };
        if self.held.is_none() && self.lane.hold(event).is_some() {
            self.held = Some(event);
        }
    }

    fn unhold(&mut self) {
        let Some(event) = self.held.take() else { return };
        let row = self.rows.iter_mut().find(|row| row.n == event.0).expect("it waits");
        if row.key.is_none() || row.due.is_some() {
            row.due = Some(self.now);
        }
        self.lane.unhold(event, row.key.map(OrderKey), self.now);
    }

    fn forget(&mut self) {
        self.lane.forget_queued();
    }

    /// A crash: nothing is left but the database.
    fn restart(&mut self) {
        self.lane = open_lane();
        self.news.clear();
        self.in_flight.clear();
        (self.read, self.held, self.open) = (None, None, 0);
    }

    fn step(&mut self, step: u8) -> Result<(), TestCaseError> {
        match step {
            0 => self.commit(None),
            1..=3 => self.commit(Some(step.into())),
            4 | 5 => self.tell(),
            6 | 7 => self.begin_read(),
            8 | 9 => self.end_read(),
            10 | 11 => self.attempt()?,
            12 | 13 => self.record(true),
            14 => self.record(false),
            15 => self.now = self.now.plus(std::time::Duration::from_millis(400)),
            16 => self.hold(),
            17 => self.unhold(),
            18 => self.forget(),
            19 | 20 => self.answer(),
            _ => self.restart(),
        }
        prop_assert!(self.open <= CONNECTIONS);
        prop_assert!(self.in_flight.len() <= CONNECTIONS * SLOTS_PER_CONNECTION);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn of_each_key_one_delivery_at_a_time_and_in_order(steps in prop::collection::vec(0u8..22, 0..300)) {
        let mut model = Model {
            lane: open_lane(),
            committed: 0,
            rows: Vec::new(),
            news: VecDeque::new(),
            read: None,
            in_flight: Vec::new(),
            open: 0,
            held: None,
            now: NOW,
            settled: Vec::new(),
        };
        for step in steps {
            model.step(step)?;
        }
        // Going on without commits and failures ends with everything settled.
        for _ in 0..model.committed * 8 + 8 {
            for step in [17, 4, 6, 8, 10, 19, 12, 15] {
                model.step(step)?;
            }
        }
        prop_assert!(model.rows.is_empty(), "left over: {:?}", model.rows);
        prop_assert_eq!((model.lane.known_count(), model.lane.bytes()), (0, 0));
        for key in 1..=3 {
            let of_key = model.settled.iter().filter(|row| row.key == Some(key)).map(|row| row.n);
            prop_assert!(of_key.is_sorted());
        }
        prop_assert_eq!(model.settled.len() as i64, model.committed);
    }
}
