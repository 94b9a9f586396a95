//! The store by itself: what shares a commit, what is void, what is kept.

use std::{sync::Arc, time::Duration};

use sea_orm::ConnectionTrait;
use tidings::{
    domain::{
        actor::{Actor, Attribution},
        delivery::{ChangeKind, DeliveryState, DeliveryStatus, DivertReason},
        error::Reason,
        event::Event,
        id::{EventKey, Position, TenantKey, WebhookId, WebhookKey},
        time::Timestamp,
        webhook::{HttpDestination, WebhookSpec},
    },
    store::{
        Arrival, Commit, NewDelivery, NewEvent, NewWebhook, NodeKey, Published, SecretKeys,
        Settlement, Store, Target,
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

use super::support::{bare_event::bare_event, database::Database};

/// A store with one tenant and one webhook.
struct Fixture {
    store: Store,
    commits: mpsc::Receiver<Vec<Commit>>,
    tenant: TenantKey,
    webhook: WebhookKey,
    version: i64,
    database: Arc<Database>,
}

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

impl Fixture {
    async fn new() -> Self {
        let database = Database::new().await;
        let (store, commits) =
            Store::open(&database.parsed(), SecretKeys::default()).await.expect("opens");
        let id = "t".parse().expect("a tenant id");
        let tenant = store.ensure_tenant(&id, NOW).await.expect("a tenant").key;
        let new = NewWebhook {
            webhook_id: WebhookId::new(NOW, rand::random()),
            consumer_group_id: Uuid::new_v4(),
            spec: WebhookSpec {
                name: "w".into(),
                event_names: vec!["*".into()],
                destination: HttpDestination {
                    url: "http://127.0.0.1:1/".into(),
                    ..Default::default()
                },
                ..WebhookSpec::default()
            },
            attribution: Attribution::new(NOW, Actor::system()),
        };
        let webhook = store.create_webhook(tenant, new, None).await.expect("a webhook").key;
        let version = store.config_since(tenant, 0).await.expect("read").version;
        Self { store, commits, tenant, webhook, version, database }
    }

    fn event(&self, name: &str) -> NewEvent {
        let event = Event { event_name: name.into(), ..bare_event(Uuid::new_v4(), NOW) };
        let target = Target { webhook_key: self.webhook, sla_due_time: None, order: None };
        NewEvent { event: Arc::new(event), targets: vec![target] }
    }

    /// The deliveries of the next commit, as the engine hears of them.
    async fn arrived(&mut self) -> Vec<NewDelivery> {
        let commits = self.commits.recv().await.expect("a commit");
        let new = |arrival| match arrival {
            Arrival::New(delivery) => delivery,
            other => panic!("nothing was put back: {other:?}"),
        };
        commits.into_iter().flat_map(|commit| commit.arrivals).map(new).collect()
    }

    async fn publish(&self, events: Vec<NewEvent>) -> Published {
        self.store.publish(self.tenant, self.version, events).await.expect("published")
    }

    fn settlement(&self, event_key: EventKey, attempts_before: u32) -> Settlement {
        Settlement {
            delivered_from: None,
            tenant_key: self.tenant,
            event_key,
            webhook_key: self.webhook,
            attempts_before,
            attempt: None,
            state: DeliveryState {
                status: DeliveryStatus::Diverted,
                end_time: Some(NOW),
                ..DeliveryState::ACCEPTED
            },
            alert: None,
            divert_reason: Some(DivertReason::Expired),
            standing: None,
            kind: ChangeKind::Settled,
            time: NOW,
        }
    }

    async fn positions(&self) -> Vec<i64> {
        let page = self.store.journal_after(self.tenant, Position(0), 1_000).await.expect("read");
        page.changes.iter().map(|change| change.position.0).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_data_in_a_shared_commit_fails_its_own_caller_alone() {
    let fixture = Fixture::new().await;
    let mut calls = JoinSet::new();
    for i in 0..60 {
        // The database refuses an event without a name.
        let name = if i % 20 == 7 { "" } else { "a" };
        let (store, event) = (fixture.store.clone(), fixture.event(name));
        let (tenant, version) = (fixture.tenant, fixture.version);
        calls.spawn(async move { (i, store.publish(tenant, version, vec![event]).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (i, outcome) = call.expect("no panic");
        if i % 20 == 7 {
            assert_eq!(outcome.expect_err("guilty").reason, Reason::Internal);
        } else {
            assert_eq!(outcome, Ok(Published::Stored(vec![true])));
        }
    }
    assert_eq!(fixture.positions().await, (1..=57).collect::<Vec<_>>(), "no hole is left");
}

#[tokio::test]
async fn an_id_that_is_there_already_adds_nothing() {
    let mut fixture = Fixture::new().await;
    let (first, second) = (fixture.event("a"), fixture.event("a"));
    assert_eq!(fixture.publish(vec![first.clone()]).await, Published::Stored(vec![true]));
    let again = vec![second.clone(), first, second];
    assert_eq!(fixture.publish(again).await, Published::Stored(vec![true, false, false]));
    assert_eq!(fixture.positions().await, [1, 2]);
    let told: usize = [fixture.commits.recv().await, fixture.commits.recv().await]
        .into_iter()
        .flatten()
        .flatten()
        .map(|commit| commit.arrivals.len())
        .sum();
    assert_eq!(told, 2, "the engine hears of what was added");
}

#[tokio::test]
async fn what_was_matched_before_a_change_is_matched_again() {
    let fixture = Fixture::new().await;
    let stale =
        fixture.store.publish(fixture.tenant, fixture.version - 1, vec![fixture.event("a")]);
    assert_eq!(stale.await, Ok(Published::StaleConfig));
    assert!(fixture.positions().await.is_empty(), "nothing was stored");
}

#[tokio::test]
async fn a_late_record_is_void_and_the_others_of_its_batch_are_not() {
    let mut fixture = Fixture::new().await;
    fixture.publish(vec![fixture.event("a"), fixture.event("a")]).await;
    let deliveries = fixture.arrived().await;
    let late = fixture.settlement(deliveries[0].event_key, 3);
    let good = fixture.settlement(deliveries[1].event_key, 0);
    fixture.store.record(NodeKey::SOLE, Arc::new(vec![late, good])).await.expect("recorded");
    let page = fixture.store.journal_after(fixture.tenant, Position(2), 10).await.expect("read");
    let settled: Vec<_> = page.changes.iter().map(|c| c.record.event.key).collect();
    assert_eq!(settled, [deliveries[1].event_key]);
    let waiting =
        fixture.store.waiting(fixture.webhook, Position(0), &[], (10, usize::MAX), &|_| None).await;
    let waiting = waiting.expect("read").deliveries;
    assert_eq!(waiting.len(), 1, "the other one still waits");
}

#[tokio::test]
async fn a_lane_reads_no_more_than_its_bytes_and_no_event_that_is_known() {
    let fixture = Fixture::new().await;
    let payload: Arc<str> = format!("\"{}\"", "x".repeat(98)).into();
    let event = |_| {
        let NewEvent { event, targets } = fixture.event("a");
        let event = Event { payload: Arc::clone(&payload), ..(*event).clone() };
        NewEvent { event: event.into(), targets }
    };
    fixture.publish((0..9).map(event).collect()).await;
    let (store, lane) = (&fixture.store, fixture.webhook);
    // One more than fits, and always one.
    for (bytes, count) in [(0, 1), (99, 1), (100, 2), (250, 3), (899, 9), (900, 9)] {
        let read = store.waiting(lane, Position(0), &[], (9, bytes), &|_| None).await;
        let read = read.expect("read").deliveries;
        let positions: Vec<_> = read.iter().map(|delivery| delivery.position.0).collect();
        assert_eq!(positions, (1..=count).collect::<Vec<_>>(), "{bytes} bytes");
    }
    let read = store.waiting(lane, Position(0), &[], (10, usize::MAX), &|_| None).await;
    let first = read.expect("read").deliveries;
    let known = |key| {
        let found = first[..5].iter().find(|delivery| delivery.event_key == key);
        found.map(|delivery| Arc::clone(&delivery.event))
    };
    let read = store.waiting(lane, Position(0), &[], (10, usize::MAX), &known).await;
    let read = read.expect("read");
    assert!(read.complete);
    let shared = first.iter().zip(&read.deliveries).map(|(a, b)| Arc::ptr_eq(&a.event, &b.event));
    assert_eq!(
        shared.collect::<Vec<_>>(),
        [true, true, true, true, true, false, false, false, false]
    );
}

#[tokio::test]
async fn the_journal_is_without_holes_wherever_a_page_of_it_begins() {
    let fixture = Fixture::new().await;
    for count in [1, 2, 300, 40, 1, 656] {
        fixture.publish((0..count).map(|_| fixture.event("a")).collect()).await;
    }
    let (store, tenant) = (&fixture.store, fixture.tenant);
    for begin in [0, 1, 2, 3, 150, 302, 303, 344, 999, 1_000] {
        let (mut read, mut after) = (Vec::new(), Position(begin));
        loop {
            let page = store.journal_after(tenant, after, 100).await.expect("read").changes;
            let Some(last) = page.last() else { break };
            assert!(page.len() >= 100 || last.position.0 == 1_000, "{} of a page", page.len());
            assert!(page.len() < 200, "{} of a page", page.len());
            after = last.position;
            read.extend(page.iter().map(|change| change.position.0));
        }
        assert_eq!(read, (begin + 1..=1_000).collect::<Vec<_>>());
    }
    // Retention ends anywhere, also between entries that are in one row.
    for floor in (10..=100).step_by(10) {
        let late = NOW.plus(Duration::from_secs(1));
        let pruned = store.prune(tenant, (late, late), None, 10).await.expect("pruned");
        assert_eq!(pruned.entries, 10);
        let page = store.journal_after(tenant, Position(0), 1_000).await.expect("read");
        assert_eq!(page.bounds.floor, Position(floor));
        let positions: Vec<_> = page.changes.iter().map(|change| change.position.0).collect();
        assert_eq!(positions, (floor + 1..=1_000).collect::<Vec<_>>());
        assert_eq!(store.position_before(tenant, NOW).await, Ok(Position(floor)));
        assert_eq!(store.position_before(tenant, late).await, Ok(Position(1_000)));
        let time = store.change_time(tenant, Position(floor + 1)).await;
        assert_eq!(time, Ok(Some(NOW)));
    }
    // It takes all, also what is not in a row yet, and the journal goes on after that.
    let late = NOW.plus(Duration::from_secs(1));
    let pruned = store.prune(tenant, (late, late), None, 1_000).await.expect("pruned");
    assert_eq!(pruned.entries, 900);
    assert_eq!(store.change_time(tenant, Position(1_000)).await, Ok(None));
    fixture.publish((0..3).map(|_| fixture.event("a")).collect()).await;
    assert_eq!(fixture.positions().await, [1_001, 1_002, 1_003]);
    assert_eq!(store.change_time(tenant, Position(1_001)).await, Ok(Some(NOW)));
}

#[tokio::test]
async fn what_another_process_has_changed_is_read_again() {
    let fixture = Fixture::new().await;
    fixture.publish(vec![fixture.event("a")]).await;
    fixture.publish(vec![fixture.event("a")]).await;
    let other = fixture.database.connect().await;
    let change = async |sql: &str| other.execute_unprepared(sql).await.expect("changed");
    // As if it had written and removed ten entries.
    change("UPDATE journal_heads SET head = head + 10, floor = head + 10, rest = NULL").await;
    fixture.publish(vec![fixture.event("a")]).await;
    assert_eq!(fixture.positions().await, [13]);
    change("UPDATE tenants SET config_version = config_version + 1").await;
    assert_eq!(fixture.publish(vec![fixture.event("a")]).await, Published::StaleConfig);
}

#[tokio::test]
async fn retention_keeps_what_is_not_settled() {
    let mut fixture = Fixture::new().await;
    fixture.publish(vec![fixture.event("a"), fixture.event("a")]).await;
    let deliveries = fixture.arrived().await;
    let settled = fixture.settlement(deliveries[0].event_key, 0);
    fixture.store.record(NodeKey::SOLE, Arc::new(vec![settled])).await.expect("recorded");
    let cutoff = NOW.plus(Duration::from_secs(1));
    let pruned =
        fixture.store.prune(fixture.tenant, (cutoff, cutoff), None, 100).await.expect("pruned");
    assert_eq!((pruned.entries, pruned.events, pruned.next), (3, 1, None));
    let waiting =
        fixture.store.waiting(fixture.webhook, Position(0), &[], (10, usize::MAX), &|_| None).await;
    assert_eq!(waiting.expect("read").deliveries.len(), 1);
    let bounds = fixture.store.journal_bounds(fixture.tenant).await.expect("read");
    assert_eq!((bounds.floor, bounds.head), (Position(3), Position(3)));
}

#[tokio::test]
async fn statistics_read_no_more_single_deliveries_than_they_may() {
    let fixture = Fixture::new().await;
    fixture.publish(vec![fixture.event("a"), fixture.event("a")]).await;
    let second = Duration::from_secs(1);
    let cut = (NOW, NOW.plus(second));
    let stats = async |range, mut rows: usize| {
        let stats = fixture.store.stats(&[fixture.webhook], range, &mut rows).await;
        stats.expect("read").map(|stats| (stats[&fixture.webhook].pending, rows))
    };
    assert_eq!(stats(cut, 3).await, Some((2, 1)));
    assert_eq!(stats(cut, 1).await, None, "too many");
    let whole = (Timestamp::from_micros(600_000_000), Timestamp::MAX);
    assert_eq!(stats(whole, 0).await, Some((2, 0)));
}

#[tokio::test]
async fn journal_times_never_go_back_though_the_clock_does() {
    let fixture = Fixture::new().await;
    fixture.publish(vec![fixture.event("a")]).await;
    let mut early = fixture.event("a");
    let event = Arc::make_mut(&mut early.event);
    event.ingest_time = NOW.minus(Duration::from_secs(60));
    fixture.publish(vec![early]).await;
    let page = fixture.store.journal_after(fixture.tenant, Position(0), 10).await.expect("read");
    assert_eq!(page.changes.iter().map(|c| c.time).collect::<Vec<_>>(), [NOW, NOW]);
    let before = |time| fixture.store.position_before(fixture.tenant, time);
    assert_eq!(before(NOW).await, Ok(Position(0)));
    assert_eq!(before(NOW.plus(Duration::from_micros(1))).await, Ok(Position(2)));
}

#[tokio::test]
async fn a_second_server_does_not_get_an_sqlite_file() {
    let database = Database::file();
    let url = database.parsed();
    let first = Store::open(&url, SecretKeys::default()).await.expect("opens");
    let refused = Store::open(&url, SecretKeys::default()).await.err().expect("refused");
    assert!(refused.contains("another process serves"), "{refused}");
    drop(first);
}
