//! Which lanes are this node's: those in the shards that it has a lease on.
//!
//! What is not its own it does not attempt. Shards that it gives up to another node are
//! drained first; when a lease is over before it was renewed, everything stops at once, for
//! another node may own the lanes from then on: requests under way are cut off, and what
//! they brought is not recorded.

use std::collections::HashSet;

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{dispatcher::Dispatcher, lane::Lane, recorder::Recorded, tenure::Tenure};
use crate::{
    domain::{
        id::{EventKey, WebhookKey},
        order::OrderKey,
        shard::{Shard, Shards},
        time::Timestamp,
    },
    store::Lease,
};

/// See the module.
pub(super) struct Ownership {
    /// Those whose lanes may run.
    shards: Shards,
    /// Those that are to be given up, and those of them whose lanes are quiet.
    giving_up: Shards,
    quiet: Shards,
    /// Lanes in these with something under way.
    busy: HashSet<WebhookKey>,
    pub(super) tenure: Tenure,
    /// Hears which shards are quiet.
    given_up: mpsc::UnboundedSender<Shards>,
    /// Hears whether this node is the caretaker.
    appointed: watch::Sender<bool>,
}

impl Ownership {
    /// Of nothing. `given_up` hears of shards whose lanes are quiet, `appointed` whether this
    /// node is the caretaker.
    pub(super) fn new(
        given_up: mpsc::UnboundedSender<Shards>,
        appointed: watch::Sender<bool>,
    ) -> Self {
        Self {
            shards: Shards::default(),
            giving_up: Shards::default(),
            quiet: Shards::default(),
            busy: HashSet::new(),
            tenure: Tenure::default(),
            given_up,
            appointed,
        }
    }

    pub(super) fn owns(&self, key: WebhookKey) -> bool {
        self.shards.contains(Shard::of(key))
    }

    pub(super) fn shards(&self) -> Shards {
        self.shards
    }

    /// Changes which lanes may run.
    fn own(&mut self, shards: Shards) {
        self.shards = shards;
        let is = shards.contains(Shard::CARETAKER);
        self.appointed.send_if_modified(|was| std::mem::replace(was, is) != is);
    }
}

impl Dispatcher {
    /// Takes over a lease; `given_back` was given up in it.
    pub(super) fn leased(&mut self, lease: &Lease, until: Option<Instant>, given_back: &Shards) {
        let lost = self.ownership.shards.without(&lease.shards);
        if lease.node != self.ownership.tenure.node || !lost.is_empty() {
            self.lose();
        }
        self.ownership.tenure.renew(lease.node, until);
        // What was given back and is in the lease all the same was taken again.
        let mine = lease.shards.without(given_back);
        self.ownership.giving_up = self.ownership.giving_up.within(&mine);
        self.ownership.quiet = self.ownership.quiet.within(&mine);
        let mine = lease.shards.without(&self.ownership.giving_up);
        let gained = mine.without(&self.ownership.shards);
        self.ownership.own(mine);
        for key in self.lanes_in(&gained) {
            self.begin_lane(key);
        }
    }

    fn lanes_in(&self, shards: &Shards) -> Vec<WebhookKey> {
        if shards.is_empty() {
            return Vec::new();
        }
        self.lanes.keys().copied().filter(|key| shards.contains(Shard::of(*key))).collect()
    }

    /// Takes up a lane that was another's, or nobody's: all that is known is in the database.
    fn begin_lane(&mut self, key: WebhookKey) {
        self.forget_queued(key);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.begin();
        let suspension = lane.config.as_ref().and_then(|config| config.webhook.suspension.as_ref());
        if let Some(resume) = suspension.and_then(|suspension| suspension.resume_time) {
            self.set_timer(resume, key);
        }
        self.divert(key);
        self.touch(key);
    }

    /// Lets go of shards for another node: their lanes start nothing more.
    pub(super) fn give_up(&mut self, shards: &Shards) {
        let shards = shards.within(&self.ownership.shards);
        self.ownership.own(self.ownership.shards.without(&shards));
        self.ownership.giving_up = self.ownership.giving_up.with(&shards);
        for key in self.lanes_in(&shards) {
            self.end_lane(key);
            self.ownership.busy.insert(key);
        }
    }

    fn end_lane(&mut self, key: WebhookKey) {
        self.forget_queued(key);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.owned = false;
        }
    }

    /// Tells which of the shards that are given up have nothing under way any more.
    pub(super) fn check_quiet(&mut self) {
        if self.ownership.giving_up == self.ownership.quiet {
            return;
        }
        let lanes = &self.lanes;
        self.ownership.busy.retain(|key| lanes.get(key).is_some_and(Lane::is_busy));
        let busy: Shards = self.ownership.busy.iter().map(|key| Shard::of(*key)).collect();
        let quiet = self.ownership.giving_up.without(&busy);
        if quiet != self.ownership.quiet {
            self.ownership.quiet = quiet;
            // A keeper that has gone has given up the lease altogether.
            let _ = self.ownership.given_up.send(quiet);
        }
    }

    /// Stops where the lease is over.
    pub(super) fn check_lease(&mut self) {
        if !self.ownership.tenure.is_good() {
            tracing::warn!("the lease was not renewed in time; its lanes stop");
            self.lose();
        }
    }

    /// Everything stops: others may own the lanes.
    fn lose(&mut self) {
        self.ownership.tenure.end();
        for outcome in self.outcomes.abandon() {
            self.abandoned(&outcome);
        }
        (self.ownership.giving_up, self.ownership.quiet) = Default::default();
        self.ownership.busy.clear();
        let shards = self.ownership.shards;
        self.ownership.own(Shards::default());
        for key in self.lanes_in(&shards) {
            self.end_lane(key);
        }
    }

    /// Takes back a delivery whose attempt was cut off, or could not be recorded before the
    /// lease was over: the database says what becomes of it.
    pub(super) fn abandoned(&mut self, recorded: &Recorded) {
        let Recorded { lane: key, event, order, bytes, .. } = *recorded;
        self.turns.ended(key);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let freed = bytes + lane.abandon(event, bytes, order);
        self.bytes = self.bytes.saturating_sub(freed);
        self.touch(key);
    }
}

impl Lane {
    /// Whether anything of it is under way that its next owner has to wait for.
    fn is_busy(&self) -> bool {
        self.has_under_way() || self.diverting || self.suspending || self.sla.is_running()
    }

    /// Begins anew as this node's.
    fn begin(&mut self) {
        self.owned = true;
        self.sla = Default::default();
        self.pace.begin();
    }

    /// Forgets what was being attempted. Returns the bytes that this frees beside its own.
    fn abandon(&mut self, event: EventKey, bytes: usize, order: Option<OrderKey>) -> usize {
        // It is the first of its order still.
        let freed = self.release(event, bytes, order, Some(Timestamp::MIN));
        self.reread();
        freed
    }
}
