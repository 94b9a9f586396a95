//! In a file, an entry of an index by tenant or by webhook is a page to be written. So the
//! entries of the two by time are filed later, many at a time and in their order, by the
//! transaction after which there would be too much that is not; until then readers look
//! through the tables themselves (see `ingested`).

use sea_orm::{ConnectionTrait, DbErr};

use super::arrival::{Arrival, Commit};
use crate::{
    domain::{error::Error, event::Event, id::EventKey},
    store::{
        Store,
        bulk::{Bulk, Kind::Number},
        dialect::Dialect,
        failure::Failure,
        query,
        rows::Row,
        sql::Sql,
    },
};

/// Bytes of events that are not filed, at most: readers go through pages.
const EVENT_BYTES: usize = 2 * 1024 * 1024;
/// What an event takes beside its payload, roughly.
const EVENT_ROW: usize = 512;
/// Deliveries that are not filed, at most.
const DELIVERIES: usize = 4_096;

const FILE_EVENTS: &str = "INSERT INTO events_ingested (tenant_key, ingest_time, event_key)
     SELECT tenant_key, ingest_time, event_key FROM events WHERE event_key > $1
     ORDER BY tenant_key, ingest_time, event_key";
const FILE_DELIVERIES: &str =
    "INSERT INTO deliveries_ingested (webhook_key, ingest_time, event_key)
     SELECT webhook_key, ingest_time, event_key FROM deliveries WHERE event_key > $1
     ORDER BY webhook_key, ingest_time, event_key";

static FILE_LATE: Bulk = Bulk::insert(
    "deliveries_ingested",
    &[("webhook_key", Number), ("ingest_time", Number), ("event_key", Number)],
);

/// What is filed and what is not, of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filing {
    /// The newest event there is or was.
    newest: EventKey,
    /// Bytes of events that are not filed.
    events: Index,
    /// Deliveries that are not filed.
    deliveries: Index,
}

#[derive(Clone, Copy, Debug)]
struct Index {
    /// Rows up to this event's have their entries.
    filed_to: EventKey,
    /// How much has none.
    rest: usize,
}

impl Filing {
    /// Where things stand in this file.
    pub(super) async fn read(on: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let sql = "SELECT events, deliveries,
                     MAX(events, deliveries, COALESCE((SELECT MAX(event_key) FROM events), 0)) AS newest
                   FROM filed";
        let rows = query(on, sql, []).await?;
        let row = rows.first().map(Row).ok_or(DbErr::RecordNotFound("filed".to_owned()))?;
        // How much was left is not counted: who adds to it first files it.
        let index = |name, limit| -> Result<_, DbErr> {
            Ok(Index { filed_to: EventKey(row.get(name)?), rest: limit - 1 })
        };
        Ok(Self {
            newest: EventKey(row.get("newest")?),
            events: index("events", EVENT_BYTES)?,
            deliveries: index("deliveries", DELIVERIES)?,
        })
    }

    /// Keys for so many events: the one writer counts.
    pub(super) fn next_events(&mut self, count: usize) -> Vec<i64> {
        let first = self.newest.0 + 1;
        self.newest.0 += count as i64;
        (first..=self.newest.0).collect()
    }

    /// Notes a row that was written.
    pub(super) fn note_event(&mut self, event: &Event) {
        self.events.rest += EVENT_ROW + event.bytes();
    }

    /// Notes rows that were written, and files those of events that are filed.
    pub(super) async fn note_deliveries(
        &mut self,
        sql: &Sql,
        commits: &[Commit],
    ) -> Result<(), Failure> {
        let mut late = Vec::new();
        for arrival in commits.iter().flat_map(|commit| &commit.arrivals) {
            let Arrival::New(new) = arrival else { continue };
            if new.event_key > self.deliveries.filed_to {
                self.deliveries.rest += 1;
            } else {
                let ingest = new.event.ingest_time.micros();
                late.extend([
                    new.target.webhook_key.0.into(),
                    ingest.into(),
                    new.event_key.0.into(),
                ]);
            }
        }
        FILE_LATE.run(sql, late).await?;
        Ok(())
    }

    /// Files what has become too much.
    pub(super) async fn file_much(&mut self, sql: &Sql) -> Result<(), Failure> {
        let events = self.events.rest >= EVENT_BYTES;
        let deliveries = self.deliveries.rest >= DELIVERIES;
        self.file(sql, events, deliveries).await
    }

    /// Whether nothing is left to be filed.
    fn is_done(&self) -> bool {
        self.events.rest == 0 && self.deliveries.rest == 0
    }

    async fn file(&mut self, sql: &Sql, events: bool, deliveries: bool) -> Result<(), Failure> {
        if !events && !deliveries {
            return Ok(());
        }
        if events {
            self.events.file(sql, FILE_EVENTS, self.newest).await?;
        }
        if deliveries {
            self.deliveries.file(sql, FILE_DELIVERIES, self.newest).await?;
        }
        let filed = [self.events, self.deliveries].map(|index| index.filed_to.0.into());
        sql.execute("UPDATE filed SET events = $1, deliveries = $2", filed.to_vec()).await?;
        Ok(())
    }
}

impl Index {
    /// Writes all entries that are missing, by a statement.
    async fn file(&mut self, sql: &Sql, all: &str, newest: EventKey) -> Result<(), Failure> {
        sql.execute(all, vec![self.filed_to.0.into()]).await?;
        *self = Self { filed_to: newest, rest: 0 };
        Ok(())
    }
}

impl Store {
    /// Files everything that was written until now under its time of ingestion: retention
    /// looks at nothing else.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn file(&self) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        if let Some(mut filing) = tx.filing.filter(|filing| !filing.is_done()) {
            filing.file(tx.sql(), true, true).await?;
            tx.filing = Some(filing);
            tx.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            id::{EventId, TenantKey, WebhookKey},
            time::Timestamp,
        },
        store::{DatabaseUrl, NewEvent, SecretKeys, Target},
    };

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    async fn publish(store: &Store, tenant: TenantKey, bytes: usize, webhooks: i64) {
        let payload = format!("\"{}\"", "a".repeat(bytes)).into();
        let event = Event { payload, ..Event::bare(EventId(Uuid::new_v4()), NOW) };
        let target = |key| Target { webhook_key: WebhookKey(key), sla_due_time: None, order: None };
        let targets = (1..=webhooks).map(target).collect();
        let new = vec![NewEvent { event: Arc::new(event), targets }];
        store.publish(tenant, 0, new).await.expect("published");
    }

    /// Up to which events entries are filed, and how many there are.
    async fn filed(store: &Store) -> [i64; 4] {
        let sql = "SELECT events, deliveries, (SELECT COUNT(*) FROM events_ingested) AS of_events,
                   (SELECT COUNT(*) FROM deliveries_ingested) AS of_deliveries FROM filed";
        let rows = store.query(sql, []).await.expect("read");
        ["events", "deliveries", "of_events", "of_deliveries"]
            .map(|column| Row(&rows[0]).get(column).expect("a number"))
    }

    #[tokio::test]
    async fn no_more_than_a_bound_is_left_and_entries_go_with_their_rows() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::file(directory.path().join("tidings.db"));
        let open = async || Store::open(&url, SecretKeys::default()).await.expect("opens").0;
        let store = open().await;
        let id = "t".parse().expect("a tenant id");
        let tenant = store.ensure_tenant(&id, NOW).await.expect("a tenant").key;

        publish(&store, tenant, EVENT_BYTES / 2, 3).await;
        assert_eq!(filed(&store).await, [1, 1, 1, 3], "what was left by whoever was before");
        publish(&store, tenant, EVENT_BYTES / 2, 3).await;
        assert_eq!(filed(&store).await, [1, 1, 1, 3]);
        publish(&store, tenant, EVENT_BYTES / 2, 3).await;
        assert_eq!(filed(&store).await, [3, 1, 3, 3], "events by their bytes");
        for _ in 0..5 {
            publish(&store, tenant, 10, 1_000).await;
        }
        assert_eq!(filed(&store).await, [3, 8, 3, 5_009], "deliveries by their number");
        publish(&store, tenant, 10, 1).await;
        store.file().await.expect("filed");
        assert_eq!(filed(&store).await, [9, 9, 9, 5_010]);

        let tx = store.begin().await.expect("begun");
        for table in ["events", "deliveries"] {
            let sql = format!("DELETE FROM {table} WHERE event_key >= 8");
            tx.execute(&sql, []).await.expect("deleted");
        }
        tx.commit().await.expect("committed");
        assert_eq!(filed(&store).await, [9, 9, 7, 4_009]);
        // Keys go on after those that are gone.
        drop(store);
        let store = open().await;
        publish(&store, tenant, 10, 0).await;
        assert_eq!(filed(&store).await, [10, 9, 8, 4_009]);
    }
}
