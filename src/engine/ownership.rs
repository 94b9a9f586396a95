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
use tokio_util::sync::CancellationToken;

use super::{dispatcher::Dispatcher, lane::Lane, recorder::Recorded};
use crate::{
    domain::{
        id::{EventKey, WebhookKey},
        order::OrderKey,
        shard::{Shard, Shards},
    },
    store::{Lease, NodeKey},
};

/// The time in which a node may attempt and record, under one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenure {
    pub(super) node: NodeKey,
    /// Absent where it never ends.
    over: Option<CancellationToken>,
    /// Until when it lasts at least, as far as was known when it was handed out.
    until: Option<Instant>,
}

impl Tenure {
    /// Waits until it is over.
    pub(super) async fn ended(&self) {
        match &self.over {
            Some(over) => over.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.over.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Whether an attempt may begin that was decided on a moment ago. Where the process was
    /// stopped in that moment, nobody may have noticed yet that it is over.
    pub(super) fn may_begin(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// Whether it ever ends.
    pub(super) fn is_bounded(&self) -> bool {
        self.over.is_some()
    }
}

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

    /// Until when the lease is good, where it is not for ever.
    pub(super) fn until(&self) -> Option<Instant> {
        self.tenure.until
    }
}

impl Dispatcher {
    /// Takes over a lease.
    pub(super) fn leased(&mut self, lease: &Lease, until: Option<Instant>) {
        if lease.node != self.ownership.tenure.node {
            self.lose();
        }
        let over = self.ownership.tenure.over.clone();
        let over = lease.valid_for.map(|_| over.unwrap_or_default());
        self.ownership.tenure = Tenure { node: lease.node, over, until: None };
        let lost = self.ownership.shards.without(&lease.shards);
        if !lost.is_empty() {
            self.lose();
        }
        self.ownership.tenure.until = until;
        // What was given back is forgotten.
        self.ownership.giving_up = self.ownership.giving_up.within(&lease.shards);
        self.ownership.quiet = self.ownership.quiet.within(&lease.shards);
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
        if !self.ownership.tenure.may_begin() {
            tracing::warn!("the lease was not renewed in time; its lanes stop");
            self.lose();
        }
    }

    /// Everything stops: others may own the lanes.
    fn lose(&mut self) {
        if let Some(over) = self.ownership.tenure.over.take() {
            over.cancel();
            self.ownership.tenure.over = Some(CancellationToken::new());
        }
        self.ownership.tenure.until = None;
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
        let freed = self.release(event, bytes, order, None);
        self.reread();
        freed
    }
}
