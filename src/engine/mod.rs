//! The engine: takes over committed deliveries, attempts them, records what became
//! of them. Every webhook is a lane with a queue, a limit and a fate of its own.
//!
//! The dispatcher is one actor that owns all lanes; nothing else touches them,
//! so there are no locks. Workers attempt, the recorder writes, the loader reads;
//! each answers the dispatcher with a message. The database is the truth: what is
//! in memory can be thrown away at any moment and is found again by a load.

mod alarm;
mod alerts;
mod arrivals;
mod attempt;
mod backlog;
mod caretaker;
mod clock;
mod delivery;
mod dispatcher;
mod endings;
mod expander;
mod follower;
mod housekeeping;
mod input;
mod jobs;
mod keeper;
mod lane;
mod lane_config;
mod loader;
mod mails;
mod ownership;
mod pace;
mod ping;
mod pruner;
mod recorder;
mod resealer;
mod room;
mod rotation;
mod sequence;
mod settle;
mod sla;
mod slot;
mod suspension;
mod tasks;
mod tenure;
mod turns;
mod worker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{Notify, mpsc, oneshot};

use self::{
    alerts::Alerts, dispatcher::Dispatcher, expander::Expander, input::Input, keeper::Keeper,
    mails::Mails, ownership::Ownership, ping::AskedPing, tasks::Tasks,
};
pub use self::{
    caretaker::Caretaker, clock::Clock, follower::Follower, jobs::JobRunner, ping::Ping,
    pruner::Pruner, resealer::Resealer,
};
use crate::{
    domain::{
        actor::Actor,
        delivery::Attempt,
        error::{Error, Result},
        id::{EventKey, TenantId, WebhookKey},
        webhook::Webhook,
    },
    sender::{HttpSender, Mailer},
    store::{Commit, Requeued, Store},
};

/// A map by keys that the database gave. Nobody outside chooses them, so the hash need not
/// withstand anybody, and may be one of the fast ones.
type KeyMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Bounds of the engine's memory and work.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Deliveries that one lane holds in memory. Default 2048.
    pub lane_deliveries: usize,
    /// Bytes that one lane holds in memory. Default 3 MiB.
    pub lane_bytes: usize,
    /// Bytes that all lanes hold in memory. Default 36 MiB. Beyond it a
    /// lane still gets its share of its tenant's share of as much, or one delivery, so
    /// that lanes which hold much for long do not slow down the others.
    pub total_bytes: usize,
    /// Attempts in flight at once, over all lanes; a tenant alone gets about half of
    /// them, so that there are some left for others. Default 4096.
    pub attempts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lane_deliveries: 2_048,
            lane_bytes: 3 * 1024 * 1024,
            total_bytes: 36 * 1024 * 1024,
            attempts: 4_096,
        }
    }
}

/// What the engine works with.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// What each commit of this process brings, in their order.
    pub commits: mpsc::Receiver<Vec<Commit>>,
    /// Outgoing HTTP.
    pub sender: Arc<HttpSender>,
    /// Outgoing mail, where a server is configured.
    pub mailer: Option<Mailer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: Limits,
    /// Limit on one attempt of a webhook that does not say.
    pub default_timeout: Duration,
}

/// A handle to the engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inputs: mpsc::UnboundedSender<Input>,
    tasks: Tasks,
    caretaker: Caretaker,
    job_made: Arc<Notify>,
    nodes_changed: Arc<Notify>,
}

impl Engine {
    /// Starts the engine. It takes up what waits in the database in the background.
    pub fn start(mut parts: Parts) -> Self {
        let (inputs, queue) = mpsc::unbounded_channel();
        let tasks = Tasks::default();
        let (store, clock) = (parts.store.clone(), Arc::clone(&parts.clock));
        let (appointed, caretaker) = Caretaker::new();
        let mails = Mails::new(store.clone(), parts.mailer.take(), Arc::clone(&clock));
        tasks.spawn(mails.run(caretaker.clone()));
        let alerts = Alerts::new(store, Arc::clone(&parts.sender), clock);
        tasks.spawn(alerts.run(caretaker.clone()));
        tasks.spawn(Expander { store: parts.store.clone() }.run(caretaker.clone()));
        let (quiet, given_up) = mpsc::unbounded_channel();
        let nodes_changed = Arc::<Notify>::default();
        tasks.spawn(
            Keeper {
                store: parts.store.clone(),
                inputs: inputs.clone(),
                given_up,
                news: Arc::clone(&nodes_changed),
            }
            .run(),
        );
        let ownership = Ownership::new(quiet, appointed);
        let dispatcher = Dispatcher::new(parts, tasks.clone(), inputs.clone(), ownership);
        tasks.spawn(dispatcher.run(queue));
        Self { inputs, tasks, caretaker, job_made: Arc::default(), nodes_changed }
    }

    /// Tells the lane of a webhook how the webhook is now: made, changed, suspended,
    /// resumed or deleted. Older versions than the known one are ignored.
    pub fn configure(&self, tenant: TenantId, webhook: Arc<Webhook>) {
        // A dispatcher that has stopped needs to know nothing any more.
        let _ = self.inputs.send(Input::Configured { tenant, webhook });
    }

    /// Asks for one more attempt of a delivery now.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_STATE_CONFLICT` while one is running, `EVENT_LOG_NOT_FOUND`,
    /// `OVERLOADED` right after the start, `STORE_UNAVAILABLE`.
    pub async fn retry(&self, lane: WebhookKey, event: EventKey, by: Actor) -> Result<Requeued> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inputs.send(Input::Retry { lane, event, by, reply });
        answer.await.unwrap_or_else(|_| Err(Error::draining()))
    }

    /// Makes one request by hand to a webhook's destination and waits for its end. It
    /// waits for a free slot of the webhook. Dropping the call ends the request.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND` where it was deleted meanwhile, `OVERLOADED` where too many
    /// wait, `SERVER_DRAINING`.
    pub async fn ping(&self, ping: Ping) -> Result<Attempt> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inputs.send(Input::Ping(AskedPing { ping, reply }));
        answer.await.unwrap_or_else(|_| Err(Error::draining()))
    }

    /// Who knows whether this node does the work that one does for all.
    pub fn caretaker(&self) -> Caretaker {
        self.caretaker.clone()
    }

    /// Says that there may be a new job.
    pub fn job_made(&self) {
        self.job_made.notify_one();
    }

    /// Starts no more attempts and returns once those in flight are recorded, or
    /// after `grace`: what is not recorded by then is given up and attempted again
    /// after the next start. The engine has ended then.
    pub async fn drain(&self, grace: Duration) {
        let (reply, drained) = oneshot::channel();
        let _ = self.inputs.send(Input::Drain { reply });
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(
                "attempts in flight did not end within the grace period; they will be made again"
            );
        }
        self.tasks.stop().await;
    }
}
