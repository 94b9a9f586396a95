//! SLAs of what is not delivered yet: each lane has one timer, for the earliest of
//! its deliveries; when it rings, the database finds what is late.

use std::{sync::Arc, time::Duration};

use super::{dispatcher::Dispatcher, input::Input};
use crate::{
    domain::{
        error::Result,
        id::{Position, WebhookKey},
        time::Timestamp,
    },
    store::Breached,
};

/// A lane is looked at no more often than this, and as long after an error.
const PACE: Duration = Duration::from_millis(500);
/// Deliveries that one look marks.
const BATCH: usize = 500;

/// What a lane knows of its SLAs.
#[derive(Default)]
pub(super) struct SlaWatch {
    /// When it is looked at next.
    next: Option<Timestamp>,
    /// Whether it was looked at since the lane began: what has a time of its own is not
    /// loaded before that, but its SLA may end.
    begun: bool,
    /// Whether it is looked at right now.
    running: bool,
    /// What waits in journal order up to here is marked already.
    cursor: Position,
}

impl SlaWatch {
    pub(super) fn is_running(&self) -> bool {
        self.running
    }
}

impl Dispatcher {
    /// Notes that a delivery of the lane has to be made by `due`.
    pub(super) fn note_sla(&mut self, key: WebhookKey, due: Option<Timestamp>) {
        let Some(due) = due else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.sla.next.is_none_or(|next| due < next) {
            lane.sla.next = Some(due);
            self.set_timer(due, key);
        }
    }

    /// Looks at what waited in the lane before it began here.
    pub(super) fn begin_sla(&mut self, key: WebhookKey) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.owned) else { return };
        if !std::mem::replace(&mut lane.sla.begun, true) && lane.next_due.is_some() {
            self.note_sla(key, Some(now));
            self.check_sla_if_due(key, now);
        }
    }

    pub(super) fn check_sla_if_due(&mut self, key: WebhookKey, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let due = lane.owned && lane.sla.next.is_some_and(|next| next <= now);
        let Some(tenant) = lane.config.as_ref().map(|config| config.webhook.tenant_key) else {
            return;
        };
        if !due || lane.sla.running {
            return;
        }
        lane.sla.running = true;
        lane.sla.next = None;
        let (store, inputs, cursor) = (self.store.clone(), self.inputs.clone(), lane.sla.cursor);
        let (background, node) = (Arc::clone(&self.background), self.ownership.tenure.node);
        self.tasks.spawn(async move {
            let _turn = background.acquire().await;
            let result = store.breach(node, tenant, key, cursor, now, BATCH).await;
            let _ = inputs.send(Input::SlaChecked { lane: key, result });
        });
    }

    pub(super) fn sla_checked(&mut self, key: WebhookKey, result: Result<Breached>) {
        let soon = self.now.plus(PACE);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.sla.running = false;
        let noted = lane.sla.next.take();
        let found = match result {
            Ok(breached) => {
                lane.sla.cursor = breached.cursor;
                breached.next
            }
            Err(_) => Some(soon),
        };
        let next = [noted, found].into_iter().flatten().min().map(|next| next.max(soon));
        self.note_sla(key, next);
    }
}
