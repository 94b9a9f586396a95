//! Several nodes that write to one PostgreSQL at the same time, and commits whose answer is
//! lost. Left out where the tests have no server: a file has one writer.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, TransactionTrait};
use tidings::{
    domain::{
        actor::{Actor, Attribution},
        delivery::{ChangeKind, DeliveryState, DeliveryStatus},
        error::Reason,
        id::{EventKey, Position, TenantKey, WebhookId, WebhookKey},
        time::Timestamp,
        webhook::{HttpDestination, WebhookSpec},
    },
    store::{
        self, Arrival, DatabaseUrl, NewEvent, NewWebhook, NodeKey, Published, SecretKeys,
        Settlement, Store, Target,
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use super::support::{
    bare_event::bare_event,
    database::{CONNECTIONS, Database, is_postgres, until_waiting},
    proxy::{Commit, Proxy},
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);
/// Tries until something has to have happened.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a publish is sent, at most, that the database does not answer.
const RESENDS: usize = 20;

struct Node {
    store: Store,
    commits: mpsc::Receiver<Vec<store::Commit>>,
    tenant: TenantKey,
}

impl Node {
    async fn start(url: &str) -> Self {
        let url: DatabaseUrl = url.parse().expect("a URL");
        let url = url.with_limits(CONNECTIONS, Duration::from_secs(10));
        let (store, commits) = Store::open(&url, SecretKeys::default()).await.expect("opens");
        let id = "t".parse().expect("a tenant id");
        let tenant = store.ensure_tenant(&id, NOW).await.expect("a tenant").key;
        Self { store, commits, tenant }
    }

    async fn create(&self, name: &str) -> Result<WebhookKey, Reason> {
        let made = self.store.create_webhook(self.tenant, webhook(name), None).await;
        made.map(|webhook| webhook.key).map_err(|error| error.reason)
    }

    async fn version(&self) -> i64 {
        self.store.config_since(self.tenant, 0).await.expect("read").version
    }

    /// Positions of the deliveries that the engine hears of next.
    async fn arrived(&mut self) -> Vec<(i64, EventKey)> {
        let commits = tokio::time::timeout(DEADLINE, self.commits.recv()).await;
        let commits = commits.expect("in time").expect("commits");
        let new = |arrival| match arrival {
            Arrival::New(delivery) => (delivery.position.0, delivery.event_key),
            other => panic!("nothing was put back: {other:?}"),
        };
        commits.into_iter().flat_map(|commit| commit.arrivals).map(new).collect()
    }

    async fn positions(&self) -> Vec<i64> {
        let page = self.store.journal_after(self.tenant, Position(0), 10_000).await.expect("read");
        page.changes.iter().map(|change| change.position.0).collect()
    }
}

fn webhook(name: &str) -> NewWebhook {
    let destination = HttpDestination { url: "http://127.0.0.1:1/".into(), ..Default::default() };
    NewWebhook {
        webhook_id: WebhookId::new(NOW, rand::random()),
        consumer_group_id: Uuid::new_v4(),
        spec: WebhookSpec {
            name: name.into(),
            event_names: vec!["*".into()],
            destination,
            ..WebhookSpec::default()
        },
        attribution: Attribution::new(NOW, Actor::system()),
    }
}

fn event(id: Uuid, webhook: WebhookKey) -> NewEvent {
    let event = bare_event(id, NOW);
    let target = Target { webhook_key: webhook, sla_due_time: None, order: None };
    NewEvent { event: Arc::new(event), targets: vec![target] }
}

/// A node with a webhook, and the version of the configuration that has it.
async fn with_webhook(database: &Database) -> (Node, WebhookKey, i64) {
    let node = Node::start(&database.url()).await;
    let webhook = node.create("w").await.expect("made");
    let version = node.version().await;
    (node, webhook, version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_of_two_writers_have_no_holes_at_any_moment() {
    if !is_postgres() {
        return;
    }
    const EACH: usize = 60;
    let database = Database::new().await;
    let nodes = [Node::start(&database.url()).await, Node::start(&database.url()).await];
    let webhook = nodes[0].create("w").await.expect("made");
    let version = nodes[0].version().await;
    let mut publishing = JoinSet::new();
    for node in &nodes {
        for _ in 0..EACH {
            let (store, tenant) = (node.store.clone(), node.tenant);
            let events = vec![event(Uuid::new_v4(), webhook), event(Uuid::new_v4(), webhook)];
            publishing.spawn(async move { store.publish(tenant, version, events).await });
        }
    }
    let watching = async {
        loop {
            let seen = nodes[0].positions().await;
            assert_eq!(seen, (1..=seen.len() as i64).collect::<Vec<_>>(), "a hole");
            if seen.len() == 4 * EACH {
                return;
            }
        }
    };
    let publishing = async {
        while let Some(done) = publishing.join_next().await {
            assert_eq!(done.expect("no panic"), Ok(Published::Stored(vec![true, true])));
        }
    };
    tokio::join!(tokio::time::timeout(DEADLINE, watching), publishing).0.expect("all is seen");
}

#[tokio::test]
async fn a_webhook_is_not_acknowledged_while_a_publish_that_missed_it_is_under_way() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let node = Arc::new(Node::start(&database.url()).await);
    let beside = database.connect().await;
    // A publish on another node, as far as it has matched.
    let publish = database.connect().await.begin().await.expect("begun");
    let lock = format!("SELECT pg_advisory_xact_lock_shared(1, {})", node.tenant.0);
    publish.execute_unprepared(&lock).await.expect("locked");
    let making = Arc::clone(&node);
    let making = tokio::spawn(async move { making.create("w").await });
    until_waiting(&beside, 1).await;
    assert!(!making.is_finished(), "it is acknowledged too early");
    publish.commit().await.expect("committed");
    making.await.expect("no panic").expect("made");
}

#[tokio::test]
async fn a_publish_during_a_change_is_matched_again() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let (node, webhook, version) = with_webhook(&database).await;
    let beside = database.connect().await;
    // A change on another node, which is not committed yet.
    let change = database.connect().await.begin().await.expect("begun");
    let tenant = node.tenant.0;
    for sql in [
        format!("SELECT pg_advisory_xact_lock(1, {tenant})"),
        format!("UPDATE tenants SET config_version = {version} + 1 WHERE tenant_key = {tenant}"),
    ] {
        change.execute_unprepared(&sql).await.expect(&sql);
    }
    let (store, tenant) = (node.store.clone(), node.tenant);
    let events = vec![event(Uuid::new_v4(), webhook)];
    let publishing = tokio::spawn(async move { store.publish(tenant, version, events).await });
    until_waiting(&beside, 1).await;
    change.commit().await.expect("committed");
    assert_eq!(publishing.await.expect("no panic"), Ok(Published::StaleConfig));
    assert!(node.positions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_numbers_and_event_ids_are_taken_once_by_two_writers() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let nodes = [Node::start(&database.url()).await, Node::start(&database.url()).await];
    let nodes = nodes.map(Arc::new);
    let mut making = JoinSet::new();
    for n in 0..20 {
        for node in &nodes {
            let node = Arc::clone(node);
            making.spawn(async move { node.create(&format!("w{n}")).await });
        }
    }
    let made: Vec<_> = making.join_all().await;
    let taken = made.iter().filter(|made| **made == Err(Reason::WebhookNameTaken)).count();
    assert_eq!((made.iter().flatten().count(), taken), (20, 20), "{made:?}");

    let version = nodes[0].version().await;
    let webhook = *made.iter().flatten().next().expect("one");
    let mut publishing = JoinSet::new();
    let ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
    for (turned, node) in nodes.iter().enumerate() {
        for chunk in ids.chunks(5) {
            let mut events: Vec<_> = chunk.iter().map(|id| event(*id, webhook)).collect();
            if turned == 1 {
                events.reverse();
            }
            let node = Arc::clone(node);
            publishing.spawn(async move { node.store.publish(node.tenant, version, events).await });
        }
    }
    let mut new = 0;
    while let Some(done) = publishing.join_next().await {
        let Ok(Published::Stored(stored)) = done.expect("no panic") else { panic!("refused") };
        new += stored.iter().filter(|new| **new).count();
    }
    assert_eq!(new, ids.len());
    assert_eq!(nodes[0].positions().await, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_open_transaction_at_a_head_holds_up_no_reader() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let (node, webhook, version) = with_webhook(&database).await;
    let publish = async || {
        let events = vec![event(Uuid::new_v4(), webhook)];
        node.store.publish(node.tenant, version, events).await
    };
    assert_eq!(publish().await, Ok(Published::Stored(vec![true])));
    let beside = database.connect().await;
    let other = database.connect().await.begin().await.expect("begun");
    other.execute_unprepared("UPDATE journal_heads SET head = head").await.expect("locked");
    let waiting = publish();
    tokio::pin!(waiting);
    tokio::select! {
        done = &mut waiting => panic!("it did not wait: {done:?}"),
        () = until_waiting(&beside, 1) => {}
    }
    assert_eq!(node.positions().await, [1]);
    other.commit().await.expect("committed");
    assert_eq!(waiting.await, Ok(Published::Stored(vec![true])));
    assert_eq!(node.positions().await, [1, 2]);
}

fn settlement(tenant: TenantKey, event_key: EventKey, webhook_key: WebhookKey) -> Settlement {
    Settlement {
        delivered_from: Some(NOW),
        tenant_key: tenant,
        event_key,
        webhook_key,
        attempts_before: 0,
        attempt: None,
        state: DeliveryState {
            status: DeliveryStatus::Succeeded,
            end_time: Some(NOW),
            ..DeliveryState::ACCEPTED
        },
        alert: None,
        divert_reason: None,
        standing: None,
        kind: ChangeKind::Settled,
        time: NOW,
    }
}

#[tokio::test]
async fn a_commit_that_loses_its_answer_is_told_of_once_and_recorded_once() {
    if !is_postgres() {
        return;
    }
    for (what, done) in [(Commit::IsDoneInSilence, true), (Commit::IsLost, false)] {
        let database = Database::new().await;
        let (proxy, url) = Proxy::before(&database.url()).await;
        let mut node = Node::start(&url).await;
        let webhook = node.create("w").await.expect("made");
        let version = node.version().await;
        let (store, tenant) = (node.store.clone(), node.tenant);
        let publish = async |id| store.publish(tenant, version, vec![event(id, webhook)]).await;

        let id = Uuid::new_v4();
        proxy.next_commit(what);
        let refused = publish(id).await.expect_err("the answer is lost");
        assert_eq!(refused.reason, Reason::StoreUnavailable);
        // Sent again it is there already, or not; the engine hears of it once.
        let mut sent_again = publish(id).await;
        for _ in 1..RESENDS {
            // On a busy machine it may not be back yet.
            if !sent_again.as_ref().is_err_and(|e| e.reason == Reason::StoreUnavailable) {
                break;
            }
            sent_again = publish(id).await;
        }
        assert_eq!(sent_again, Ok(Published::Stored(vec![!done])));
        let arrived = node.arrived().await;
        assert_eq!(arrived.len(), 1);
        assert_eq!(publish(Uuid::new_v4()).await, Ok(Published::Stored(vec![true])));
        assert_eq!(node.arrived().await.len(), 1);
        assert_eq!(node.positions().await, [1, 2]);

        proxy.next_commit(what);
        let settled = settlement(node.tenant, arrived[0].1, webhook);
        assert_eq!(node.store.record(NodeKey::SOLE, Arc::new(vec![settled])).await, Ok(()));
        assert_eq!(node.positions().await, [1, 2, 3]);
        let range = (Timestamp::MIN, Timestamp::MAX);
        let stats = node.store.stats(&[webhook], range, &mut 10).await.expect("statistics");
        let stats = stats.expect("not too many");
        assert_eq!(stats[&webhook].times.count(), 1, "its time is added once");
    }
}
