//! Events for very many webhooks: each gets its delivery once, in order, whatever happens
//! in between.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tidings::{
    domain::{
        id::{EventId, Position, TenantKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{Arrival, Commit, NewEvent, Published, SecretKeys, Store, Target},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::support::{bare_event::bare_event, database::Database};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

/// A store with one tenant; the webhooks of its events need not be there.
struct Fixture {
    store: Store,
    commits: mpsc::Receiver<Vec<Commit>>,
    tenant: TenantKey,
    /// The last position that was heard of.
    last: Position,
    _database: Arc<Database>,
}

fn new_event(id: Uuid, webhooks: impl Iterator<Item = i64>, order: Option<i64>) -> NewEvent {
    let event = bare_event(id, NOW);
    let target = |key| Target {
        webhook_key: WebhookKey(key),
        sla_due_time: None,
        order: order.map(OrderKey),
    };
    NewEvent { event: Arc::new(event), targets: webhooks.map(target).collect() }
}

impl Fixture {
    async fn new() -> Self {
        let database = Database::new().await;
        let (store, commits) =
            Store::open(&database.parsed(), SecretKeys::default()).await.expect("opens");
        let id = "t".parse().expect("a tenant id");
        let tenant = store.ensure_tenant(&id, NOW).await.expect("a tenant").key;
        Self { store, commits, tenant, last: Position(0), _database: database }
    }

    /// Publishes; gives the ids, in order.
    async fn publish(&self, events: Vec<NewEvent>) -> Vec<Uuid> {
        let ids = events.iter().map(|new| new.event.event_id.0).collect();
        let published = self.store.publish(self.tenant, 0, events).await.expect("published");
        assert!(matches!(published, Published::Stored(_)));
        ids
    }

    async fn expand_all(&self) -> Vec<usize> {
        let mut made = Vec::new();
        while self.store.next_expanding(TenantKey(0)).await.expect("read").is_some() {
            made.push(self.store.expand(self.tenant).await.expect("made"));
        }
        made
    }

    /// What the engine has heard of: per webhook the events, in the order of positions.
    fn heard(&mut self) -> BTreeMap<i64, Vec<Uuid>> {
        let mut heard = BTreeMap::<i64, Vec<Uuid>>::new();
        while let Ok(commits) = self.commits.try_recv() {
            for arrival in commits.into_iter().flat_map(|commit| commit.arrivals) {
                let Arrival::New(new) = arrival else { panic!("nothing was put back") };
                assert_eq!(new.position, Position(self.last.0 + 1), "no hole");
                self.last = new.position;
                let key = new.target.webhook_key.0;
                heard.entry(key).or_default().push(new.event.event_id.0);
            }
        }
        heard
    }
}

#[tokio::test]
async fn deliveries_beyond_a_thousand_are_made_later_and_count_from_the_start() {
    let mut fixture = Fixture::new().await;
    let event = new_event(Uuid::new_v4(), 1..=2_500, None);
    let ids = fixture.publish(vec![event.clone()]).await;
    let stored = fixture.store.event(fixture.tenant, EventId(ids[0])).await.expect("read");
    let key = stored.expect("the event").0;
    assert_eq!(fixture.store.delivery_count(fixture.tenant, key).await, Ok(2_500));
    assert_eq!(fixture.heard().len(), 1_000);

    // Published once more it adds nothing, and retention leaves it.
    let again = fixture.store.publish(fixture.tenant, 0, vec![event]).await;
    assert_eq!(again, Ok(Published::Stored(vec![false])));

    assert_eq!(fixture.expand_all().await, [1_000, 500]);
    assert_eq!(fixture.store.delivery_count(fixture.tenant, key).await, Ok(2_500));
    let rest = fixture.heard();
    assert!(rest.keys().copied().eq(1_001..=2_500), "each of the others, and nobody else");
    assert!(rest.values().all(|events| *events == ids), "once");
    let bounds = fixture.store.journal_bounds(fixture.tenant).await.expect("read");
    assert_eq!(bounds.head, Position(2_500));
}

#[tokio::test]
async fn retention_leaves_an_event_whose_deliveries_are_not_all_made() {
    let fixture = Fixture::new().await;
    // Two deliveries that wait for a big event's parts, and nothing else.
    let ids = fixture
        .publish(vec![
            new_event(Uuid::new_v4(), 1..=1_001, None),
            new_event(Uuid::new_v4(), [1, 2].into_iter(), Some(0)),
        ])
        .await;
    let cutoff = NOW.plus(Duration::from_secs(1));
    let pruned =
        fixture.store.prune(fixture.tenant, (cutoff, cutoff), None, 5_000).await.expect("pruned");
    assert_eq!((pruned.entries, pruned.events), (1_000, 0));
    assert_eq!(fixture.expand_all().await, [3]);
    let stored = fixture.store.event(fixture.tenant, EventId(ids[1])).await.expect("read");
    assert!(stored.is_some());
}

#[tokio::test]
async fn what_stands_in_an_order_keeps_it_behind_an_event_that_is_made_in_parts() {
    let mut fixture = Fixture::new().await;
    let first = fixture.publish(vec![new_event(Uuid::new_v4(), 1..=2_500, Some(0))]).await;
    let second = fixture.publish(vec![new_event(Uuid::new_v4(), 1..=2_500, Some(0))]).await;
    // What stands in no order need not wait.
    let free = fixture.publish(vec![new_event(Uuid::new_v4(), 2_400..=2_400, None)]).await;
    let at_once = fixture.heard();
    assert_eq!(at_once.len(), 1_001);
    assert_eq!(at_once[&2_400], free);

    assert_eq!(fixture.store.expand(fixture.tenant).await, Ok(1_000));
    let third = fixture.publish(vec![new_event(Uuid::new_v4(), 1..=2_500, Some(0))]).await;
    fixture.expand_all().await;
    // Once nothing is left for later, all is made at once again.
    let fourth = fixture.publish(vec![new_event(Uuid::new_v4(), 1..=900, Some(0))]).await;
    for webhook in [1, 500, 1_001, 2_399, 2_500] {
        let waiting =
            fixture
                .store
                .waiting(WebhookKey(webhook), Position(0), &[], (10, usize::MAX), &|_| None);
        let waiting = waiting.await.expect("read").deliveries;
        let ids: Vec<Uuid> = waiting.iter().map(|d| d.event.event_id.0).collect();
        let fourth = if webhook <= 900 { fourth.clone() } else { Vec::new() };
        assert_eq!(ids, [first.clone(), second.clone(), third.clone(), fourth].concat());
    }
}

#[tokio::test]
async fn a_batch_is_stored_whole_and_its_deliveries_are_bounded_in_each_transaction() {
    let mut fixture = Fixture::new().await;
    let events = (0..1_000).map(|_| new_event(Uuid::new_v4(), 1..=10, Some(0))).collect();
    let ids = fixture.publish(events).await;
    let made = fixture.expand_all().await;
    assert_eq!(made.iter().sum::<usize>(), 6_000);
    assert!(made.iter().all(|made| *made <= 1_000), "{made:?}");
    let waiting = fixture.heard();
    assert_eq!(waiting.len(), 10);
    assert!(waiting.values().all(|events| *events == ids), "each has all, in order");
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_2500_webhooks_gets_its_events_in_order_though_the_server_dies_in_between() {
    use tidings::grpc::proto::{
        CreateWebhookRequest, DeliveryOrder, EventLogFilter, ListEventLogsRequest,
        PublishEventRequest, event_log_service_client::EventLogServiceClient,
        event_service_client::EventServiceClient, webhook_service_client::WebhookServiceClient,
    };

    use super::support::{
        api::{event, quick_retries, webhook},
        process::ServerProcess,
        receiver::Receiver,
    };

    const WEBHOOKS: usize = 2_500;
    let database = Database::new().await;
    // The second part's transaction is the last thing it does.
    let rule = "before-expansion=1*off->return";
    let mut server = ServerProcess::with_fail_point(&database, rule).await;
    let channel = server.channel();
    let receiver = Receiver::start().await;
    let mut making = tokio::task::JoinSet::new();
    for number in 0..WEBHOOKS {
        let mut hook =
            webhook(&format!("w{number}"), &receiver.url_at(&format!("/{number}")), &["a"]);
        hook.set_delivery_order(DeliveryOrder::Fifo);
        hook.retry_policy = Some(quick_retries(1_000));
        let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(channel.clone());
        making.spawn(async move { webhooks.create_webhook(request).await.expect("a webhook") });
        if making.len() >= 16 {
            making.join_next().await;
        }
    }
    making.join_all().await;

    let mut publishing = EventServiceClient::new(channel.clone());
    let mut ids = Vec::new();
    let restarted = tokio::spawn(async move {
        server.wait_for_abort_and_restart().await;
        server
    });
    for n in 0..2 {
        let mut event = event("a", &format!("{{\"n\":{n}}}"));
        event.event_id = Uuid::new_v4().to_string();
        ids.push(event.event_id.clone());
        let request = PublishEventRequest { event: Some(event), ..Default::default() };
        // Until it is acknowledged.
        let published = loop {
            match publishing.publish_event(request.clone()).await {
                Ok(published) => break published.into_inner().result.expect("a result"),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(published.matched_webhook_count, WEBHOOKS as i32);
    }
    let _server = restarted.await.expect("it died and started again");

    let received = receiver
        .wait_until("each webhook has both", |received| {
            received.len() >= 2 * WEBHOOKS
                && received.iter().map(|r| (&r.path, &r.body)).collect::<HashSet<_>>().len()
                    == 2 * WEBHOOKS
        })
        .await;
    let mut first_arrivals = BTreeMap::<&str, Vec<u64>>::new();
    for request in &received {
        let arrived = first_arrivals.entry(&request.path).or_default();
        let number = request.json()["data"]["n"].as_u64().expect("a number");
        if !arrived.contains(&number) {
            arrived.push(number);
        }
    }
    assert_eq!(first_arrivals.len(), WEBHOOKS);
    assert!(
        first_arrivals.values().all(|numbers| *numbers == [0, 1]),
        "in the order of publishing"
    );

    // And each has one record of each.
    let mut logs = EventLogServiceClient::new(channel);
    for id in ids {
        let (mut webhooks, mut page_token) = (Vec::new(), String::new());
        loop {
            let filter = EventLogFilter { event_id: id.clone(), ..Default::default() };
            let request = ListEventLogsRequest {
                filter: Some(filter),
                page_size: 1_000,
                page_token,
                ..Default::default()
            };
            let page = logs.list_event_logs(request).await.expect("a page").into_inner();
            webhooks.extend(page.event_logs.into_iter().map(|log| log.webhook_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(webhooks.len(), WEBHOOKS);
        assert_eq!(webhooks.into_iter().collect::<HashSet<_>>().len(), WEBHOOKS);
    }
}
