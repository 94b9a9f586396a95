//! Lists in the order of ingestion: a file files what it has in that order later, many at a
//! time, and whatever is filed, everything is found once.

use std::{sync::Arc, time::Duration};

use tidings::{
    domain::{
        actor::{Actor, Attribution},
        id::{TenantKey, WebhookId, WebhookKey},
        time::Timestamp,
        webhook::{HttpDestination, WebhookSpec},
    },
    store::{
        EventScan, LogCursor, LogRange, LogScan, NewEvent, NewWebhook, Published, SecretKeys,
        Store, Target,
    },
};
use uuid::Uuid;

use super::support::{bare_event::bare_event, database::Database};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);
/// Webhooks that are not there: an event of so many has deliveries that are made later.
const OTHERS: i64 = 1_000;

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// A tenant with two webhooks, and what was published for it.
struct Publisher {
    tenant: TenantKey,
    version: i64,
    webhooks: [WebhookKey; 2],
    /// Whether there are deliveries for webhooks that are not there, which no list shows.
    with_others: bool,
    /// In the order of publishing: times, ids, and which of the webhooks have deliveries.
    events: Vec<(Timestamp, Uuid, Vec<WebhookKey>)>,
}

impl Publisher {
    async fn new(store: &Store, name: &str) -> Self {
        let tenant = store.ensure_tenant(&name.parse().expect("an id"), NOW).await;
        let tenant = tenant.expect("a tenant").key;
        let mut webhooks = [WebhookKey(0); 2];
        for (number, key) in webhooks.iter_mut().enumerate() {
            let url = "http://127.0.0.1:1/".into();
            let new = NewWebhook {
                webhook_id: WebhookId::new(NOW, rand::random()),
                consumer_group_id: Uuid::new_v4(),
                spec: WebhookSpec {
                    name: number.to_string(),
                    event_names: vec!["*".into()],
                    destination: HttpDestination { url, ..Default::default() },
                    ..WebhookSpec::default()
                },
                attribution: Attribution::new(NOW, Actor::system()),
            };
            *key = store.create_webhook(tenant, new, None).await.expect("a webhook").key;
        }
        let version = store.config_since(tenant, 0).await.expect("read").version;
        Self { tenant, version, webhooks, with_others: false, events: Vec::new() }
    }

    /// Publishes an event for these of the webhooks, and maybe for so many others before.
    async fn publish(&mut self, store: &Store, time: Timestamp, to: &[usize], others: i64) {
        let id = Uuid::new_v4();
        let to: Vec<_> = to.iter().map(|number| self.webhooks[*number]).collect();
        let keys = (-others..0).map(WebhookKey).chain(to.iter().copied());
        let target = |webhook_key| Target { webhook_key, sla_due_time: None, order: None };
        let targets = keys.map(target).collect();
        let new = NewEvent { event: Arc::new(bare_event(id, time)), targets };
        let published = store.publish(self.tenant, self.version, vec![new]).await;
        assert_eq!(published, Ok(Published::Stored(vec![true])));
        self.with_others |= others > 0;
        self.events.push((time, id, to));
    }

    /// Reads everything in every way, a few records at a time.
    async fn check(&self, store: &Store) {
        let mut events = self.events.clone();
        // Stable: what came at the same time stays in the order of publishing.
        events.sort_by_key(|(time, ..)| *time);
        for (start, end) in [(None, None), (Some(at(2)), Some(at(12)))] {
            let within = |time| start.is_none_or(|s| s <= time) && end.is_none_or(|e| time < e);
            let found = events.iter().filter(|(time, ..)| within(*time));
            let ids: Vec<_> = found.clone().map(|(_, id, _)| *id).collect();
            assert_eq!(self.events_within(store, start, end).await, ids);

            let mut records: Vec<_> = found
                .flat_map(|(_, id, webhooks)| webhooks.iter().map(move |webhook| (*id, *webhook)))
                .collect();
            let mut log = LogRange { start, end, ascending: true, after: None, limit: 5 };
            for ascending in [true, false] {
                log.ascending = ascending;
                if !self.with_others {
                    assert_eq!(self.records(store, LogScan::All, log).await, records);
                }
                for key in self.webhooks {
                    let own = records.iter().filter(|(_, webhook)| *webhook == key);
                    let own: Vec<_> = own.copied().collect();
                    assert_eq!(self.records(store, LogScan::Webhook(key), log).await, own);
                }
                records.reverse();
            }
        }
    }

    async fn records(
        &self,
        store: &Store,
        scan: LogScan,
        mut range: LogRange,
    ) -> Vec<(Uuid, WebhookKey)> {
        let mut records = Vec::new();
        loop {
            let page = store.scan_log(self.tenant, &scan, range).await.expect("read");
            assert!(page.len() <= range.limit);
            let Some(last) = page.last() else { return records };
            range.after = Some(LogCursor::of(last));
            records.extend(page.iter().map(|r| (r.event.event_id.0, r.webhook.key)));
        }
    }

    async fn events_within(
        &self,
        store: &Store,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
    ) -> Vec<Uuid> {
        let mut scan = EventScan { request_id: "", start, end, after: None, limit: 4 };
        let mut places = Vec::new();
        loop {
            let page = store.scan_events(self.tenant, scan).await.expect("read");
            let Some((last, _)) = page.last() else { break };
            scan.after = Some(*last);
            places.extend(page.into_iter().map(|(place, _)| place));
        }
        let events = store.events_at(&places).await.expect("read");
        events.into_iter().map(|event| event.event_id.0).collect()
    }
}

async fn open(database: &Database) -> Store {
    Store::open(&database.parsed(), SecretKeys::default()).await.expect("opens").0
}

#[tokio::test]
async fn everything_is_found_once_and_in_order_whatever_is_filed() {
    let database = Database::new().await;
    let mut store = open(&database).await;
    let mut publishers =
        [Publisher::new(&store, "first").await, Publisher::new(&store, "second").await];
    for round in 0..6 {
        for (number, seconds) in [3, 1, 1, 5, 0, 2, 4].into_iter().enumerate() {
            for publisher in &mut publishers {
                // Once the clock is set back.
                let time = if round == 4 { at(seconds) } else { at(3 * round + seconds) };
                let to: &[usize] = [&[0, 1][..], &[0], &[], &[1]][number % 4];
                publisher.publish(&store, time, to, 0).await;
            }
        }
        match round % 3 {
            0 => {}
            1 => store.file().await.expect("filed"),
            _ => {
                drop(store);
                database.let_go().await;
                store = open(&database).await;
            }
        }
        for publisher in &publishers {
            publisher.check(&store).await;
        }
    }
}

#[tokio::test]
async fn a_delivery_that_is_made_after_its_event_was_filed_is_found() {
    let database = Database::new().await;
    let store = open(&database).await;
    let mut publisher = Publisher::new(&store, "t").await;
    publisher.publish(&store, at(1), &[0], 0).await;
    publisher.publish(&store, at(2), &[0, 1], OTHERS).await;
    publisher.publish(&store, at(3), &[1], 0).await;
    store.file().await.expect("filed");
    assert_eq!(store.expand(publisher.tenant).await, Ok(2));
    publisher.check(&store).await;
    store.file().await.expect("filed");
    publisher.check(&store).await;
}

#[tokio::test]
async fn what_retention_deleted_is_not_found_and_the_rest_is() {
    let database = Database::new().await;
    let store = open(&database).await;
    let mut publisher = Publisher::new(&store, "t").await;
    for seconds in 0..9 {
        let to: &[usize] = if seconds % 3 == 0 { &[] } else { &[0, 1] };
        publisher.publish(&store, at(seconds), to, 0).await;
    }
    store.file().await.expect("filed");
    // Nobody wants these events, so nothing waits for anything.
    publisher.publish(&store, at(9), &[], 0).await;
    let late = (at(7), at(100));
    let pruned = store.prune(publisher.tenant, late, None, 1_000).await.expect("pruned");
    assert_eq!((pruned.events, pruned.next), (3, None));
    publisher.events.retain(|(time, _, to)| *time >= at(7) || !to.is_empty());
    publisher.check(&store).await;
}
