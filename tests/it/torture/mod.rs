//! Everything at once: three nodes as processes, publishers on all of them, webhooks of every
//! order whose receivers fail at random, while nodes are killed, stopped and continued, and
//! their database crashes. Nothing acknowledged is lost or stuck, limits and orders hold, and
//! every tail shows the same log.
//!
//! `TORTURE_SECONDS` makes it longer, `TORTURE_SEED` repeats the random choices of a run.

mod follower;
mod hook;
mod publisher;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tidings::grpc::proto::{
    ChangeKind, DeliveryOrder, DeliveryStatus, EventLogChange, EventLogFilter,
    ListEventLogsRequest, event_log_service_client::EventLogServiceClient,
};
use tonic::transport::Channel;
use uuid::Uuid;

use self::{
    follower::{Followers, digest, export},
    hook::Hook,
    publisher::Publishers,
};
use super::support::{
    database::{Database, is_postgres},
    process::ServerProcess,
};

const NODES: usize = 3;
/// How long a node that is given up may take to be replaced: ten seconds, and some for a
/// machine that has other things to do.
const REPLACED: Duration = Duration::from_secs(15);
/// How long what is left may take when all is well again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_stuck_or_out_of_order_whatever_becomes_of_nodes_and_database() {
    if !is_postgres() {
        return;
    }
    let seed = number("TORTURE_SEED").unwrap_or_else(rand::random);
    eprintln!("TORTURE_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(number("TORTURE_SECONDS").unwrap_or(0));
    let mut cluster = Cluster::start(seed).await;
    loop {
        cluster.suffer().await;
        if Instant::now() >= end {
            break;
        }
    }
    cluster.check().await;
}

struct Cluster {
    database: Arc<Database>,
    nodes: Vec<ServerProcess>,
    hooks: Vec<Hook>,
    publishers: Publishers,
    followers: Followers,
    chance: StdRng,
    /// When nodes that were stopped went on.
    continued: Vec<Instant>,
}

impl Cluster {
    async fn start(seed: u64) -> Self {
        let database = Database::own().await;
        // All at once, on a database without any table.
        let nodes = join_all((0..NODES).map(|_| ServerProcess::start(&database))).await;
        let channels: Vec<_> = nodes.iter().map(ServerProcess::channel).collect();
        let mut hooks = Vec::new();
        for (i, order) in [DeliveryOrder::Unordered, DeliveryOrder::ByKey, DeliveryOrder::Fifo]
            .into_iter()
            .enumerate()
        {
            hooks.push(Hook::create(&channels[i], order, seed).await);
        }
        Self {
            database,
            nodes,
            hooks,
            publishers: Publishers::start(&channels, seed),
            followers: Followers::start(&channels),
            chance: StdRng::seed_from_u64(seed),
            continued: Vec::new(),
        }
    }

    /// Kills and stops all nodes, one after the other, and the database in between.
    async fn suffer(&mut self) {
        let mut victims: Vec<_> = (0..NODES).collect();
        victims.shuffle(&mut self.chance);
        self.kill(victims[0]).await;
        self.stop(victims[1]).await;
        self.database.crash_server().await;
        self.goes_on(Instant::now()).await;
        self.kill(victims[2]).await;
        self.stop(victims[0]).await;
    }

    async fn kill(&mut self, node: usize) {
        self.nodes[node].kill().await;
        let killed = Instant::now();
        // Sometimes another one is there before the others take over, sometimes not.
        tokio::time::sleep(Duration::from_millis(self.chance.random_range(0..8_000))).await;
        self.nodes[node].start_again().await;
        self.goes_on(killed).await;
    }

    /// Stops a node for longer than its lease.
    async fn stop(&mut self, node: usize) {
        self.nodes[node].pause().await;
        let stopped = Instant::now();
        let long = Duration::from_millis(self.chance.random_range(7_500..9_500));
        tokio::time::sleep(long).await;
        self.goes_on(stopped).await;
        self.continued.push(Instant::now());
        self.nodes[node].resume().await;
    }

    /// Waits until every webhook gets something that its owner of that moment did not send.
    async fn goes_on(&self, since: Instant) {
        for hook in &self.hooks {
            // What was on its way has come by then.
            let others = since + Duration::from_secs(1);
            let limit = (since + REPLACED).saturating_duration_since(Instant::now());
            let goes_on = tokio::time::timeout(limit, hook.success_after(others)).await;
            assert!(goes_on.is_ok(), "{:?} stands still", hook.order);
        }
    }

    /// Lets what is left be done, then checks what was promised.
    async fn check(self) {
        let acknowledged = self.publishers.stop().await;
        let on = self.nodes[0].channel();
        for hook in &self.hooks {
            let all: usize = acknowledged.iter().filter(|event| hook.takes(**event)).count();
            let done = tokio::time::timeout(PATIENCE, hook.successes(all)).await;
            assert!(done.is_ok(), "{:?}: {all} acknowledged, {} came", hook.order, hook.arrived());
        }
        let settled = tokio::time::timeout(PATIENCE, settled(&on)).await;
        settled.expect("no delivery is stuck");

        let log = export(&on).await;
        for hook in &self.hooks {
            let records = records(&log, &hook.webhook_id);
            for event in acknowledged.iter().filter(|event| hook.takes(**event)) {
                assert_eq!(records.done[event], DeliveryStatus::Succeeded, "{event}");
            }
            hook.assert_limit(&self.continued);
            hook.assert_order(&records.accepted, &self.continued);
        }
        let digests: Vec<_> = log.iter().map(digest).collect();
        self.followers.assert_saw(&digests).await;
    }
}

/// Waits until no delivery is under way.
async fn settled(on: &Channel) {
    let filter = EventLogFilter {
        statuses: vec![DeliveryStatus::Pending.into(), DeliveryStatus::Retrying.into()],
        ..Default::default()
    };
    let request = ListEventLogsRequest { filter: Some(filter), page_size: 1, ..Default::default() };
    loop {
        let mut logs = EventLogServiceClient::new(on.clone());
        let page = logs.list_event_logs(request.clone()).await.expect("a page").into_inner();
        if page.event_logs.is_empty() && page.next_page_token.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the log says of a webhook.
#[derive(Default)]
struct Records {
    /// Its events, in the order of their acceptance.
    accepted: Vec<Uuid>,
    /// The last state of each.
    done: HashMap<Uuid, DeliveryStatus>,
}

fn records(log: &[EventLogChange], webhook_id: &str) -> Records {
    let mut records = Records::default();
    for change in log {
        let record = change.event_log.as_ref().expect("a record");
        if record.webhook_id != webhook_id {
            continue;
        }
        let event = record.event_id.parse().expect("a UUID");
        if change.kind() == ChangeKind::Accepted {
            records.accepted.push(event);
        }
        records.done.insert(event, record.status());
    }
    records
}
