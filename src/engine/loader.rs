//! Reading what lanes have in the database, a few lanes at a time.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    delivery::{Delivery, Outgoings},
    dispatcher::Dispatcher,
    input::Input,
    lane::{Lane, LoadStart},
    room::Room,
    tasks::Tasks,
};
use crate::{
    domain::{
        error::Result,
        failure_handling::Standing,
        id::{Position, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{LaneBacklog, Store, StoredDelivery},
};

/// Lanes that are read at once.
const CONCURRENT_LOADS: usize = 2;
/// Deliveries of one kind that one load reads.
const PAGE: usize = 256;
/// A lane whose read failed waits this long.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Order keys that one load reads, and deliveries of each.
const KEYS: usize = 16;
const OF_KEY: usize = 33;

/// What a lane wants read.
#[derive(Debug)]
pub(super) struct Load {
    lane: WebhookKey,
    start: LoadStart,
    now: Timestamp,
    room: Room,
    wanted: Wanted,
}

/// Keys and rows are never read together: a read of rows passes over the keys that are
/// read one by one, and those must still be unread when it ends.
#[derive(Debug)]
pub(super) enum Wanted {
    /// How its webhook stands, and the order keys whose first delivery has a time of its own.
    Standing,
    /// What is left of these keys.
    Keys(Vec<OrderKey>),
    Rows {
        /// What waits in journal order, but for these keys.
        waiting: Option<Vec<OrderKey>>,
        /// What is due; with how many deliveries and bytes the lane knows already, which
        /// the page may have once more.
        due: Option<(usize, usize)>,
    },
}

impl Wanted {
    /// What a lane reads next. Keys and rows take turns where it wants both.
    pub(super) fn next(lane: &mut Lane, now: Timestamp, room: Room) -> Self {
        if !lane.order.known {
            return Self::Standing;
        }
        let (waiting, due) = (lane.wants_waiting(), lane.wants_due(now));
        let rows = waiting || due;
        if lane.order.wants_load(now) && !(rows && lane.last_read_was_keys) {
            lane.last_read_was_keys = true;
            return Self::Keys(lane.order.begin_read(now, KEYS.min(room.deliveries)));
        }
        lane.last_read_was_keys = false;
        if due {
            // What becomes due from here on is noted beside what the load finds.
            lane.next_due = None;
        }
        Self::Rows {
            waiting: waiting.then(|| lane.order.left()),
            due: due.then(|| (lane.known_count(), lane.bytes())),
        }
    }
}

/// What was read.
pub(super) struct Loaded {
    pub(super) load: Load,
    pub(super) result: Result<Found>,
}

#[derive(Default)]
pub(super) struct Found {
    standing: Option<(Standing, Vec<OrderKey>)>,
    /// Per key its next deliveries, and whether these are all.
    keys: Vec<(OrderKey, Vec<Delivery>, bool)>,
    /// Waiting deliveries, and up to where these are all, if they are.
    waiting: Option<(Vec<Delivery>, Option<Position>)>,
    /// Due deliveries, and when the next ones are.
    due: Option<(Vec<Delivery>, Option<Timestamp>)>,
}

impl Found {
    /// When the first SLA of what was found ends, of those that are not broken.
    fn sla_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.iter().flat_map(|(deliveries, _)| deliveries);
        let due = self.due.iter().flat_map(|(deliveries, _)| deliveries);
        let of_keys = self.keys.iter().flat_map(|(_, deliveries, _)| deliveries);
        let running =
            waiting.chain(due).chain(of_keys).filter(|d| d.state.sla_breach_time.is_none());
        running.filter_map(|d| d.sla_due_time).min()
    }
}

impl Dispatcher {
    /// Starts as many reads as may run at once.
    pub(super) fn load_lanes(&mut self) {
        while self.loads < CONCURRENT_LOADS {
            let Some(key) = self.load_queue.pop() else { return };
            let now = self.now;
            let room = self.room(key);
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.in_load_queue = false;
            if room.is_none() || !lane.wants_load(now) {
                continue;
            }
            let wanted = Wanted::next(lane, now, room);
            let load = Load { lane: key, start: lane.begin_load(), now, room, wanted };
            self.loads += 1;
            let (store, outgoings) = (self.store.clone(), self.outgoings.clone());
            start(&self.tasks, store, outgoings, load, self.inputs.clone());
        }
    }

    /// Takes over what a read brought.
    pub(super) fn loaded(&mut self, Loaded { load, result }: Loaded) {
        self.loads -= 1;
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&load.lane) else { return };
        let left = lane.end_load(load.start);
        let was_rows = result.is_ok() && matches!(load.wanted, Wanted::Rows { due: Some(_), .. });
        let mut sla_due = None;
        match (result, left) {
            (Ok(found), Some(left)) => {
                let mut added = 0;
                sla_due = found.sla_due();
                if let Some((deliveries, next)) = found.due {
                    added += lane.add_due(deliveries, &left);
                    lane.next_due = [lane.next_due, next].into_iter().flatten().min();
                }
                if let Some((standing, held_keys)) = found.standing {
                    lane.pace.follow(&standing);
                    lane.order.add_held(held_keys);
                }
                for (key, deliveries, complete) in found.keys {
                    added += lane.add_of_key(key, deliveries, complete, now);
                }
                if let Some((deliveries, end)) = found.waiting {
                    added += lane.add_waiting(deliveries, &left, end);
                }
                self.bytes += added;
            }
            (read, _) => {
                if let Wanted::Keys(keys) = load.wanted {
                    lane.order.abandon_read(&keys);
                }
                // Or else the lane has started over meanwhile and reads again.
                if read.is_err() {
                    lane.pause_loads(now.plus(AFTER_ERROR));
                    self.set_timer(now.plus(AFTER_ERROR), load.lane);
                }
            }
        }
        self.note_sla(load.lane, sla_due);
        if was_rows {
            self.begin_sla(load.lane);
        }
        self.touch(load.lane);
    }
}

/// Starts to read; the answer comes as a message.
fn start(
    tasks: &Tasks,
    store: Store,
    outgoings: Outgoings,
    load: Load,
    answer: mpsc::UnboundedSender<Input>,
) {
    tasks.spawn(async move {
        let result = read(&store, &outgoings, &load).await;
        let _ = answer.send(Input::Loaded(Loaded { load, result }));
    });
}

async fn read(store: &Store, outgoings: &Outgoings, load: &Load) -> Result<Found> {
    let room = load.room;
    match &load.wanted {
        Wanted::Standing => {
            let standing = store.standing(load.lane).await?;
            let held_keys = store.held_keys(load.lane).await?;
            Ok(Found { standing: Some((standing, held_keys)), ..Found::default() })
        }
        Wanted::Keys(keys) => {
            let limit = (room.deliveries / keys.len().max(1)).clamp(1, OF_KEY);
            let mut found = Found::default();
            for key in keys {
                let bytes = room.bytes / keys.len();
                let LaneBacklog { deliveries, complete } = store
                    .of_key(load.lane, *key, (limit, bytes), &|key| outgoings.event(key))
                    .await?;
                found.keys.push((*key, loaded(deliveries, outgoings), complete));
            }
            Ok(found)
        }
        Wanted::Rows { waiting, due } => {
            read_rows(store, outgoings, load, waiting.as_deref(), *due).await
        }
    }
}

fn loaded(deliveries: Vec<StoredDelivery>, outgoings: &Outgoings) -> Vec<Delivery> {
    deliveries.into_iter().map(|stored| Delivery::loaded(stored, outgoings)).collect()
}

async fn read_rows(
    store: &Store,
    outgoings: &Outgoings,
    load: &Load,
    waiting: Option<&[OrderKey]>,
    due: Option<(usize, usize)>,
) -> Result<Found> {
    let limit = load.room.deliveries.clamp(1, PAGE);
    let known = |key| outgoings.event(key);
    let mut found = Found::default();
    let mut bytes = load.room.bytes;
    if let Some((held, held_bytes)) = due {
        let page_bytes = bytes.saturating_add(held_bytes);
        let LaneBacklog { deliveries, complete } =
            store.due(load.lane, load.now, (limit + held, page_bytes), &known).await?;
        // What did not fit is due already; what comes later has its time.
        let next =
            if complete { store.next_due(load.lane, load.now).await? } else { Some(load.now) };
        let deliveries = loaded(deliveries, outgoings);
        let left = page_bytes.saturating_sub(deliveries.iter().map(Delivery::bytes).sum());
        bytes = bytes.min(left);
        found.due = Some((deliveries, next));
    }
    if let Some(skip) = waiting {
        // All that was told before the load began was in the database then. What was
        // skipped will be read by its key: only where the journal ends says how far.
        let mut end = load.start.last_committed;
        if !skip.is_empty() {
            end = end.max(store.lane_head(load.lane).await?);
        }
        let LaneBacklog { deliveries, complete } =
            store.waiting(load.lane, load.start.cursor, skip, (limit, bytes), &known).await?;
        found.waiting = Some((loaded(deliveries, outgoings), complete.then_some(end)));
    }
    Ok(found)
}
