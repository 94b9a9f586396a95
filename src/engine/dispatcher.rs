//! The dispatcher: the actor that owns all lanes. It reacts to messages and to the
//! time, then does what can be done: gives jobs to workers, outcomes to the
//! recorder, reads to the loader. It never waits for any of them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    KeyMap, Limits, Parts,
    alarm::Alarm,
    backlog::Backlog,
    clock::Clock,
    delivery::{Delivery, Outgoings},
    input::Input,
    lane::{self, Lane},
    lane_config::LaneConfig,
    ownership::Ownership,
    ping::Pings,
    recorder::Outcomes,
    room::Room,
    rotation::Rotation,
    sequence::Sequence,
    settle,
    tasks::Tasks,
    turns::Turns,
    worker::{Job, Shared, Worker},
};
use crate::{
    domain::{
        id::{TenantId, TenantKey, WebhookKey},
        time::Timestamp,
        webhook::Webhook,
    },
    store::{Commit, Store},
};

/// Messages handled before the dispatcher looks at what can be done.
const MESSAGES: usize = 512;

/// Lanes for which something came up, each of them once.
pub(super) fn each_once(mut lanes: Vec<WebhookKey>) -> Vec<WebhookKey> {
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}

/// See the module.
pub(super) struct Dispatcher {
    pub(super) store: Store,
    pub(super) tasks: Tasks,
    commits: mpsc::Receiver<Vec<Commit>>,
    pub(super) sequence: Sequence,
    pub(super) ownership: Ownership,
    pub(super) shared: Shared,
    pub(super) outgoings: Outgoings,
    pub(super) clock: Arc<dyn Clock>,
    /// The time of this turn: no message in it was sent later.
    pub(super) now: Timestamp,
    pub(super) limits: Limits,
    pub(super) default_timeout: Duration,
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    pub(super) lanes: KeyMap<WebhookKey, Lane>,
    /// How many lanes each tenant has.
    tenant_lanes: KeyMap<TenantKey, usize>,
    /// Lanes that may have a job to give take turns.
    pub(super) turns: Turns,
    /// Lanes that want to read, each once.
    pub(super) load_queue: Rotation,
    pub(super) loads: usize,
    pub(super) timers: BTreeSet<(Timestamp, WebhookKey)>,
    pub(super) outcomes: Outcomes,
    pub(super) pings: Pings,
    /// Lets one batch at a time be written that no caller and no attempt waits for.
    pub(super) background: Arc<Semaphore>,
    pub(super) bytes: usize,
    pub(super) backlog: Backlog,
    draining: Option<oneshot::Sender<()>>,
}

impl Dispatcher {
    pub(super) fn new(
        parts: Parts,
        tasks: Tasks,
        inputs: mpsc::UnboundedSender<Input>,
        ownership: Ownership,
    ) -> Self {
        let clock = parts.clock;
        Self {
            store: parts.store,
            tasks: tasks.clone(),
            commits: parts.commits,
            sequence: Sequence::default(),
            ownership,
            shared: Shared {
                tasks,
                sender: parts.sender,
                clock: Arc::clone(&clock),
                finished: inputs.clone(),
            },
            outgoings: Outgoings::default(),
            now: clock.now(),
            clock,
            turns: Turns::new(parts.limits.attempts),
            limits: parts.limits,
            default_timeout: parts.default_timeout,
            inputs,
            lanes: KeyMap::default(),
            tenant_lanes: KeyMap::default(),
            load_queue: Rotation::default(),
            loads: 0,
            timers: BTreeSet::new(),
            outcomes: Outcomes::default(),
            pings: Pings::default(),
            background: Arc::new(Semaphore::new(1)),
            bytes: 0,
            backlog: Backlog::default(),
            draining: None,
        }
    }

    /// The loop. It ends once it was drained.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Input>) {
        let clock = Arc::clone(&self.clock);
        let (mut messages, mut commits) = (Vec::with_capacity(MESSAGES), Vec::new());
        let (mut alarm, mut lease) = (Alarm::default(), Alarm::default());
        loop {
            alarm.set(self.timers.first().map(|(at, _)| *at), |at| clock.sleep_until(at));
            lease.set(self.ownership.tenure.until(), |at| Box::pin(tokio::time::sleep_until(at)));
            tokio::select! {
                biased;
                _ = queue.recv_many(&mut messages, MESSAGES) => {}
                Some(first) = self.commits.recv() => {
                    commits.push(first);
                    while let Ok(next) = self.commits.try_recv() {
                        commits.push(next);
                    }
                }
                () = alarm.rings() => {}
                () = lease.rings() => {}
            }
            self.now = clock.now();
            messages.drain(..).for_each(|message| self.handle(message));
            commits.drain(..).for_each(|commits| self.committed(commits));
            self.check_lease();
            // Under load the messages never end; the time goes on all the same.
            self.alarm();
            self.act();
            self.store.note_waiting(self.backlog.waiting(self.now));
            if self.draining.is_some() && self.turns.in_flight() == 0 {
                // The keeper begins nothing anew; others need not wait for the lease's end.
                queue.close();
                let _ = self.store.end_lease(self.ownership.tenure.node).await;
                if let Some(reply) = self.draining.take() {
                    let _ = reply.send(());
                }
                return;
            }
            // Workers that are ready go first: what they bring is handled in one turn.
            tokio::task::yield_now().await;
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Configured { tenant, webhook } => self.configure(tenant, webhook),
            Input::Finished(job) => self.finish(job),
            Input::Recorded(recorded) => self.recorded(recorded),
            Input::Loaded(loaded) => self.loaded(loaded),
            Input::Retry { lane, event, by, reply } => self.retry(lane, event, by, reply),
            Input::Requeued { lane, event, requeued } => self.requeued(lane, event, requeued),
            Input::Heads { heads, first } => self.heads(&heads, first),
            Input::Hinted { tenant, first, last } => self.hinted(tenant, first, last),
            Input::CaughtUp { tenant, arrivals, to } => self.caught_up(tenant, arrivals, to),
            Input::Leased { lease, until, given_back } => {
                self.leased(&lease, until, &given_back);
            }
            Input::GiveUp(shards) => self.give_up(&shards),
            Input::Diverted { lane, result } => self.diverted(lane, result),
            Input::Ping(asked) => self.ping(asked),
            Input::PingEnded { lane } => self.ping_ended(lane),
            Input::SlaChecked { lane, result } => self.sla_checked(lane, result),
            Input::Drain { reply } => self.draining = Some(reply),
        }
    }

    pub(super) fn lane(&mut self, key: WebhookKey) -> &mut Lane {
        let owned = self.ownership.owns(key);
        self.lanes.entry(key).or_insert_with(|| Lane::unread(owned))
    }

    fn configure(&mut self, tenant: TenantId, webhook: Arc<Webhook>) {
        let key = webhook.key;
        let (timeout, now) = (self.default_timeout, self.now);
        let lane = self.lane(key);
        // Whatever it says, it is what was decided.
        lane.suspending = false;
        let known = lane.config.as_ref().map(|config| config.webhook.version);
        if known.is_some_and(|known| known >= webhook.version) {
            self.touch(key);
            return;
        }
        let resumed = lane.config.as_ref().is_some_and(|c| c.webhook.suspension.is_some())
            && webhook.suspension.is_none();
        if resumed {
            lane.pace.resume();
        }
        let was_taking = lane.config.as_ref().is_none_or(|config| config.webhook.takes_events());
        let config = Arc::new(LaneConfig::new(tenant, webhook, timeout));
        let (takes, is_open) = (config.webhook.takes_events(), config.is_open());
        let resume = config.webhook.suspension.as_ref().and_then(|s| s.resume_time);
        let tenant_key = config.webhook.tenant_key;
        lane.configure(config, now);
        if known.is_none() {
            *self.tenant_lanes.entry(tenant_key).or_default() += 1;
        }
        if !takes {
            self.forget_queued(key);
            self.divert(key);
        } else if !is_open {
            // What waits for long need not wait in memory, where others have a use for it.
            self.forget_queued(key);
        } else if !was_taking {
            self.lane(key).reread();
        }
        if let Some(resume) = resume {
            self.timers.insert((resume, key));
        }
        self.touch(key);
    }

    /// Leaves what a lane holds and does not attempt to the database.
    pub(super) fn forget_queued(&mut self, key: WebhookKey) {
        self.bytes -= self.lanes.get_mut(&key).map_or(0, Lane::forget_queued);
    }

    /// How much more a lane may hold now.
    pub(super) fn room(&self, key: WebhookKey) -> Room {
        match self.lanes.get(&key) {
            Some(lane) => self.room_of(lane),
            None => Room::new(&self.limits, (0, 0), self.bytes, self.lanes.len() + 1),
        }
    }

    fn room_of(&self, lane: &Lane) -> Room {
        let held = (lane.known_count(), lane.bytes());
        let of_tenant = lane.tenant().and_then(|tenant| self.tenant_lanes.get(&tenant));
        let sharers = of_tenant.map_or(self.lanes.len(), |lanes| lanes * self.tenant_lanes.len());
        Room::new(&self.limits, held, self.bytes, sharers)
    }

    /// Queues a lane for what it may have to do.
    pub(super) fn touch(&mut self, key: WebhookKey) {
        let (now, share) = (self.now, self.share());
        let Some(lane) = self.lanes.get(&key) else { return };
        // Nothing is done for a lane before its webhook is known.
        let Some(tenant) = lane.tenant() else { return };
        if lane.can_run(now, share) {
            self.turns.wait(key, tenant);
        }
        let load = !lane.in_load_queue && lane.wants_load(now) && !self.room_of(lane).is_none();
        if load {
            self.load_queue.push(tenant, key);
        }
        let due = lane.next_due.filter(|_| lane.is_active());
        let wake = lane.order.next_wake().filter(|_| lane.is_active());
        for at in [due, wake, lane.next_job()].into_iter().flatten().filter(|at| *at > now) {
            self.timers.insert((at, key));
        }
        let narrow = lane.is_narrow(share);
        if (load || narrow)
            && let Some(lane) = self.lanes.get_mut(&key)
        {
            lane.in_load_queue |= load;
            if narrow && let Some(at) = lane.watch(now) {
                self.timers.insert((at, key));
            }
        }
    }

    /// What each of the lanes that are busy now has of all connections.
    fn share(&self) -> usize {
        lane::share(self.turns.lanes())
    }

    fn act(&mut self) {
        self.check_quiet();
        if self.draining.is_none() {
            self.start_pings();
            self.run_lanes();
            self.load_lanes();
        }
        self.outcomes.record(&self.tasks, &self.store, &self.ownership.tenure, &self.inputs);
    }

    /// Gives slots to the lanes whose turn it is, one each, as long as there are some.
    fn run_lanes(&mut self) {
        let now = self.now;
        while let Some(key) = self.turns.next() {
            let share = self.share();
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            if !lane.can_run(now, share) {
                // It may have to be looked at: its share was larger when it was queued.
                self.touch(key);
                continue;
            }
            let (Some(config), Some(delivery)) = (lane.config.clone(), lane.take(now)) else {
                continue;
            };
            self.turns.started(key, config.webhook.tenant_key);
            if delivery.state.attempt_count == 0 {
                self.backlog.began(delivery.outgoing.event.ingest_time);
            }
            if let Some(outcome) = settle::expired(&config, &delivery, now) {
                lane.free_connection();
                self.outcomes.push(outcome);
            } else {
                self.send(key, config, delivery);
            }
            // It waits for its next turn; a queue that ran low is filled up again before
            // it is empty.
            self.touch(key);
        }
    }

    fn send(&mut self, key: WebhookKey, lane: Arc<LaneConfig>, delivery: Delivery) {
        let number = delivery.state.attempt_count + 1;
        let Some(idle) = self.lanes.get_mut(&key).map(|lane| &mut lane.idle_workers) else {
            return;
        };
        let mut worker = idle.pop().unwrap_or_else(|| Worker::start(self.shared.clone()));
        let tenure = self.ownership.tenure.clone();
        let job = Job { lane, delivery, number, tenure, attempted: None, worker: worker.clone() };
        let mut job = Box::new(job);
        // A worker that has gone meanwhile gives the job back.
        while let Err(refused) = worker.give(job) {
            worker = idle.pop().unwrap_or_else(|| Worker::start(self.shared.clone()));
            job = refused;
            job.worker = worker.clone();
        }
    }

    fn alarm(&mut self) {
        let now = self.now;
        while let Some((at, key)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, key));
            self.resume_if_due(key, now);
            self.check_sla_if_due(key, now);
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.look(now);
            }
            self.touch(key);
        }
    }

    pub(super) fn set_timer(&mut self, at: Timestamp, key: WebhookKey) {
        self.timers.insert((at, key));
    }
}
