//! What commits bring to the lanes: new deliveries, and those that were put back.

use std::{sync::Arc, time::Duration};

use super::{
    delivery::{Delivery, Outgoing},
    dispatcher::{Dispatcher, each_once},
    input::Input,
    lane::Lane,
};
use crate::{
    domain::id::{EventKey, Position, TenantKey, WebhookKey},
    store::{Arrival, Commit},
};

/// Arrivals that one read brings.
const PAGE: usize = 512;
/// Pause after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Takes over what commits of this node brought.
    pub(super) fn committed(&mut self, commits: Vec<Commit>) {
        for commit in commits {
            let tenant = commit.tenant;
            let arrivals = self.sequence.committed(commit);
            self.accept(arrivals);
            self.catch_up(tenant);
        }
    }

    /// Hears how far the journals go.
    pub(super) fn heads(&mut self, heads: &[(TenantKey, Position)], first: bool) {
        for (tenant, head) in heads.iter().copied() {
            if first {
                self.sequence.begin(tenant, head);
            } else {
                self.sequence.reached(tenant, head);
                self.catch_up(tenant);
            }
        }
    }

    /// Hears of entries that another node has written.
    pub(super) fn hinted(&mut self, tenant: TenantKey, first: Position, last: Position) {
        let arrivals = self.sequence.hinted(tenant, first, last);
        self.accept(arrivals);
        self.catch_up(tenant);
    }

    /// Reads what is missing of a tenant's journal, where something is.
    fn catch_up(&mut self, tenant: TenantKey) {
        let Some(gap) = self.sequence.next_read(tenant) else { return };
        let (store, inputs) = (self.store.clone(), self.inputs.clone());
        let outgoings = self.outgoings.clone();
        let shards = self.ownership.shards();
        self.tasks.spawn(async move {
            loop {
                let known = |key| outgoings.event(key);
                let found = store.arrivals(tenant, gap.after, gap.to, &shards, PAGE, &known).await;
                let Ok((arrivals, to)) = found else {
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                };
                let _ = inputs.send(Input::CaughtUp { tenant, arrivals, to });
                return;
            }
        });
    }

    /// Takes over what was missing.
    pub(super) fn caught_up(&mut self, tenant: TenantKey, arrivals: Vec<Arrival>, to: Position) {
        self.accept(arrivals);
        let next = self.sequence.read(tenant, to);
        self.accept(next);
        self.catch_up(tenant);
    }

    /// Tells lanes what came to wait in them, in the order of the journal.
    fn accept(&mut self, arrivals: Vec<Arrival>) {
        let mut outgoing: Option<(EventKey, Arc<Outgoing>)> = None;
        let mut touched = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            touched.push(match arrival {
                Arrival::New(new) => {
                    // Deliveries of one event stand together and share it.
                    let shared = match &outgoing {
                        Some((key, shared)) if *key == new.event_key => Arc::clone(shared),
                        _ => self.outgoings.share(new.event_key, Arc::clone(&new.event)),
                    };
                    outgoing = Some((new.event_key, Arc::clone(&shared)));
                    self.accept_new(new.target.webhook_key, Delivery::accepted(&new, shared))
                }
                Arrival::Read { webhook_key, delivery } => {
                    let delivery = Delivery::loaded(delivery, &self.outgoings);
                    self.accept_new(webhook_key, delivery)
                }
                Arrival::Stored { webhook_key, position, order } => {
                    self.lane(webhook_key).leave(position, order);
                    webhook_key
                }
                Arrival::Due { webhook_key, time, order, .. } => {
                    self.lane(webhook_key).becomes_due(time, order);
                    webhook_key
                }
            });
        }
        let stopped = |lane: &Lane| lane.config.as_ref().is_some_and(|c| !c.webhook.takes_events());
        for key in each_once(touched) {
            if self.lanes.get(&key).is_some_and(stopped) {
                // Committed just before the webhook was stopped.
                self.forget_queued(key);
                self.divert(key);
            }
            self.touch(key);
        }
    }

    fn accept_new(&mut self, key: WebhookKey, delivery: Delivery) -> WebhookKey {
        if !self.ownership.owns(key) {
            self.lane(key).leave(delivery.position, delivery.order);
            return key;
        }
        self.backlog.came(delivery.outgoing.event.ingest_time);
        let (room, sla_due_time) = (self.room(key), delivery.sla_due_time);
        self.bytes += self.lane(key).accept(delivery, room);
        self.note_sla(key, sla_due_time);
        key
    }
}
