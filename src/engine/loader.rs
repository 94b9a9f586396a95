//! Reading what lanes have in the database, a few lanes at a time.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    delivery::Delivery,
    dispatcher::{Dispatcher, Input},
    lane::LoadStart,
    room::Room,
    tasks::Tasks,
};
use crate::{
    domain::{error::Result, id::WebhookKey, time::Timestamp},
    store::{LaneBacklog, Store},
};

/// Lanes that are read at once.
const CONCURRENT_LOADS: usize = 2;
/// Deliveries of one kind that one load reads.
const PAGE: usize = 256;
/// A lane whose read failed waits this long.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a lane wants read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) lane: WebhookKey,
    pub(super) start: LoadStart,
    pub(super) now: Timestamp,
    pub(super) room: Room,
    /// What waits in journal order.
    pub(super) waiting: bool,
    /// What is due; with how many deliveries and bytes the lane knows already, which
    /// the page may have once more.
    pub(super) due: Option<(usize, usize)>,
}

/// What was read.
pub(super) struct Loaded {
    pub(super) load: Load,
    pub(super) result: Result<Found>,
}

#[derive(Default)]
pub(super) struct Found {
    /// Waiting deliveries, and whether these are all.
    pub(super) waiting: Option<(Vec<Delivery>, bool)>,
    /// Due deliveries, and when the next ones are.
    pub(super) due: Option<(Vec<Delivery>, Option<Timestamp>)>,
}

impl Found {
    /// When the first SLA of what was found ends, of those that are not broken.
    pub(super) fn sla_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.iter().flat_map(|(deliveries, _)| deliveries);
        let due = self.due.iter().flat_map(|(deliveries, _)| deliveries);
        let running = waiting.chain(due).filter(|d| d.state.sla_breach_time.is_none());
        running.filter_map(|d| d.sla_due_time).min()
    }
}

impl Dispatcher {
    /// Starts as many reads as may run at once.
    pub(super) fn load_lanes(&mut self) {
        while self.loads < CONCURRENT_LOADS {
            let Some(key) = self.load_queue.pop_front() else { return };
            let now = self.clock.now();
            let room = self.room(key);
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.in_load_queue = false;
            if !lane.wants_load(now, room) {
                continue;
            }
            let due = lane.wants_due(now).then(|| (lane.known_count(), lane.bytes()));
            let waiting = lane.wants_waiting();
            let load = Load { lane: key, start: lane.begin_load(), now, room, waiting, due };
            if due.is_some() {
                // What becomes due from here on is noted beside what the load finds.
                lane.next_due = None;
            }
            self.loads += 1;
            start(&self.tasks, self.store.clone(), load, self.inputs.clone());
        }
    }

    /// Takes over what a read brought.
    pub(super) fn loaded(&mut self, Loaded { load, result }: Loaded) {
        self.loads -= 1;
        let now = self.clock.now();
        let Some(lane) = self.lanes.get_mut(&load.lane) else { return };
        let left = lane.end_load(load.start);
        let mut sla_due = None;
        match (result, left) {
            (Ok(found), Some(left)) => {
                let mut added = 0;
                sla_due = found.sla_due();
                if let Some((deliveries, next)) = found.due {
                    added += lane.add_due(deliveries, &left);
                    lane.next_due = [lane.next_due, next].into_iter().flatten().min();
                }
                if let Some((deliveries, complete)) = found.waiting {
                    added += lane.add_waiting(deliveries, &left, load.start, complete);
                }
                self.bytes += added;
            }
            // The lane has started over meanwhile and reads again.
            (Ok(_), None) => {}
            (Err(_), _) => {
                lane.pause_loads(now.plus(AFTER_ERROR));
                self.set_timer(now.plus(AFTER_ERROR), load.lane);
            }
        }
        self.note_sla(load.lane, sla_due);
        self.touch(load.lane);
    }
}

/// Starts to read; the answer comes as a message.
fn start(tasks: &Tasks, store: Store, load: Load, answer: mpsc::UnboundedSender<Input>) {
    tasks.spawn(async move {
        let result = read(&store, load).await;
        let _ = answer.send(Input::Loaded(Loaded { load, result }));
    });
}

async fn read(store: &Store, load: Load) -> Result<Found> {
    let limit = load.room.deliveries.clamp(1, PAGE);
    let mut found = Found::default();
    let mut bytes = load.room.bytes;
    if let Some((known, known_bytes)) = load.due {
        let page_bytes = bytes.saturating_add(known_bytes);
        let LaneBacklog { deliveries, complete } =
            store.due(load.lane, load.now, limit + known, page_bytes).await?;
        // What did not fit is due already; what comes later has its time.
        let next =
            if complete { store.next_due(load.lane, load.now).await? } else { Some(load.now) };
        let deliveries: Vec<Delivery> = deliveries.into_iter().map(Delivery::loaded).collect();
        let left = page_bytes.saturating_sub(deliveries.iter().map(Delivery::bytes).sum());
        bytes = bytes.min(left);
        found.due = Some((deliveries, next));
    }
    if load.waiting {
        let LaneBacklog { deliveries, complete } =
            store.waiting(load.lane, load.start.cursor, limit, bytes).await?;
        found.waiting = Some((deliveries.into_iter().map(Delivery::loaded).collect(), complete));
    }
    Ok(found)
}
