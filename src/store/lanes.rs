//! What lanes read: deliveries that wait, in order, and those that are due.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, StreamTrait, Value};

use super::{Arrival, Store, failure::Failure, rows::Row, timed::within};
use crate::domain::{
    delivery::{ChangeKind, DeliveryState},
    error::Result,
    event::Event,
    id::{EventKey, Position, TenantKey, WebhookKey},
    order::OrderKey,
    shard::{Shard, Shards},
    time::Timestamp,
};

/// A delivery as its lane takes it over.
#[derive(Clone, Debug)]
pub struct StoredDelivery {
    /// Its place in the lane.
    pub position: Position,
    /// Key of its event.
    pub event_key: EventKey,
    /// Its event.
    pub event: Arc<Event>,
    /// Where it stands.
    pub state: DeliveryState,
    /// When its SLA ends.
    pub sla_due_time: Option<Timestamp>,
    /// The deliveries that it waits for.
    pub order: Option<OrderKey>,
    /// When it was replayed, where it was: its age counts from then.
    pub requeue_time: Option<Timestamp>,
}

/// Part of what a lane has in the database.
#[derive(Debug)]
pub struct LaneBacklog {
    /// Deliveries, in the order asked for.
    pub deliveries: Vec<StoredDelivery>,
    /// Whether this is all there was.
    pub complete: bool,
}

/// The events that a caller has in memory already: they are not read again.
pub type Known<'a> = &'a (dyn Fn(EventKey) -> Option<Arc<Event>> + Sync);

const COLUMNS: &str = "d.event_key, d.position, d.order_key, d.status, d.attempt_count, d.due_time, \
    d.start_time, d.end_time, d.sla_due_time, d.requeue_time, d.sla_breach_time, d.outcome, \
    d.http_status, d.time_taken, d.error_text";

impl Store {
    /// Deliveries that wait for their turn after a position, in order, but for those
    /// of the keys to `skip`: at most `limit`, and no more once their payloads exceed
    /// `bytes`. Events that are `known` are not read.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn waiting(
        &self,
        lane: WebhookKey,
        after: Position,
        skip: &[OrderKey],
        (limit, bytes): (usize, usize),
        known: Known<'_>,
    ) -> Result<LaneBacklog> {
        // The conditions are written as the partial index has them, or it is not used.
        let waiting = "d.webhook_key = $1 AND d.status = 1 AND d.due_time IS NULL
             AND d.position > $2";
        let sql = if skip.is_empty() {
            format!(
                "SELECT {COLUMNS} FROM deliveries d WHERE {waiting}
                 ORDER BY d.position LIMIT {limit}"
            )
        } else {
            // What is skipped may be very much: the index alone is walked over it.
            let skip = list(skip);
            format!(
                "SELECT {COLUMNS} FROM (SELECT d.event_key FROM deliveries d WHERE {waiting}
                   AND (d.order_key IS NULL OR d.order_key NOT IN ({skip}))
                   ORDER BY d.position LIMIT {limit}) AS found
                 JOIN deliveries d ON d.event_key = found.event_key AND d.webhook_key = $1
                 ORDER BY d.position"
            )
        };
        let values = [lane.0.into(), after.0.into()];
        Ok(self.backlog(sql, values, (limit, bytes), known).await?)
    }

    /// What came to wait in lanes of these shards by a part of a tenant's journal, and
    /// still does: at most `limit`, in order; and up to where these are all.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn arrivals(
        &self,
        tenant: TenantKey,
        after: Position,
        to: Position,
        shards: &Shards,
        limit: usize,
        known: Known<'_>,
    ) -> Result<(Vec<Arrival>, Position)> {
        let part = self.journal_part(tenant, after, limit).await?;
        let last = part.entries.last().map_or(to, |(position, _)| to.min(*position));
        // What is of no lane here is not read with its payload.
        let brought = part.entries.into_iter().filter(|(position, entry)| {
            matches!(entry.kind, ChangeKind::Accepted | ChangeKind::Requeued)
                && *position <= to
                && shards.contains(Shard::of(entry.webhook_key))
        });
        let brought: Vec<_> = brought.map(|(at, e)| (at, e.event_key, e.webhook_key)).collect();
        let unsettled = self.unsettled(&brought, shards, known).await?;
        let arrival =
            |(at, event, webhook)| arrival(at, webhook, unsettled.get(&(event, webhook))?);
        Ok((brought.into_iter().filter_map(arrival).collect(), last))
    }

    /// What is not settled of the events of some deliveries, in lanes of these shards.
    async fn unsettled(
        &self,
        of: &[(Position, EventKey, WebhookKey)],
        shards: &Shards,
        known: Known<'_>,
    ) -> std::result::Result<HashMap<(EventKey, WebhookKey), StoredDelivery>, Failure> {
        if of.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "SELECT d.webhook_key, {COLUMNS} FROM deliveries d
             WHERE {} AND {} AND d.end_time IS NULL",
            self.dialect().is_in("d.event_key", "$1"),
            self.dialect().is_in("(d.webhook_key & 255)", "$2"),
        );
        let events: BTreeSet<_> = of.iter().map(|(_, event, _)| event.0).collect();
        let shards = shards.iter().map(|shard| shard.last_byte_of_keys().into());
        let values = [self.dialect().list(events), self.dialect().list(shards)];
        let rows = self.query(&sql, values).await?;
        let (events, _) = self.events_of(&rows, usize::MAX, known).await?;
        let delivery = |row| {
            let (row, key) = (Row(row), EventKey(Row(row).get("event_key")?));
            let Some(event) = events.get(&key) else { return Ok(None) };
            let webhook_key = WebhookKey(row.get("webhook_key")?);
            Ok(Some(((key, webhook_key), read(&row, Arc::clone(event))?)))
        };
        let unsettled = rows.iter().filter_map(|row| delivery(row).transpose());
        Ok(unsettled.collect::<std::result::Result<_, DbErr>>()?)
    }

    /// What is left of an order key, in order.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn of_key(
        &self,
        lane: WebhookKey,
        key: OrderKey,
        (limit, bytes): (usize, usize),
        known: Known<'_>,
    ) -> Result<LaneBacklog> {
        let sql = format!(
            "SELECT {COLUMNS} FROM deliveries d
             WHERE d.webhook_key = $1 AND d.order_key = $2 AND d.end_time IS NULL
             ORDER BY d.position LIMIT {limit}"
        );
        let values = [lane.0.into(), key.0.into()];
        Ok(self.backlog(sql, values, (limit, bytes), known).await?)
    }

    /// The newest position that a delivery of the lane can have.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn lane_head(&self, lane: WebhookKey) -> Result<Position> {
        let sql =
            "SELECT h.head FROM journal_heads h JOIN webhooks w ON w.tenant_key = h.tenant_key
                   WHERE w.webhook_key = $1";
        let rows = self.query(sql, [lane.0.into()]).await?;
        let head = rows.first().map(|row| Row(row).get("head").map(Position)).transpose();
        Ok(head.map_err(Failure::from)?.unwrap_or_default())
    }

    /// The order keys of a lane whose first delivery has a time of its own. A lane lets
    /// no more of them come up than it can remember, so they are few.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn held_keys(&self, lane: WebhookKey) -> Result<Vec<OrderKey>> {
        let sql = "SELECT order_key FROM deliveries
                   WHERE webhook_key = $1 AND order_key IS NOT NULL AND due_time IS NOT NULL";
        let rows = self.query(sql, [lane.0.into()]).await?;
        let keys = rows.iter().map(|row| Row(row).get("order_key").map(OrderKey));
        Ok(keys.collect::<std::result::Result<_, _>>().map_err(Failure::from)?)
    }

    /// Deliveries of which an attempt is due at `now`, the longest due first, but for
    /// those that stand in an order.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn due(
        &self,
        lane: WebhookKey,
        now: Timestamp,
        (limit, bytes): (usize, usize),
        known: Known<'_>,
    ) -> Result<LaneBacklog> {
        let sql = format!(
            "SELECT {COLUMNS} FROM deliveries d
             WHERE d.webhook_key = $1 AND d.due_time IS NOT NULL AND d.due_time <= $2
             AND d.order_key IS NULL
             ORDER BY d.due_time LIMIT {limit}"
        );
        let values = [lane.0.into(), now.micros().into()];
        Ok(self.backlog(sql, values, (limit, bytes), known).await?)
    }

    /// When the first attempt after `now` is due of what stands in no order.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn next_due(&self, lane: WebhookKey, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT MIN(due_time) AS due FROM deliveries
                   WHERE webhook_key = $1 AND due_time IS NOT NULL AND due_time > $2
                   AND order_key IS NULL";
        let rows = self.query(sql, [lane.0.into(), now.micros().into()]).await?;
        let due = rows.first().map(|row| Row(row).optional_time("due")).transpose();
        Ok(due.map_err(Failure::from)?.flatten())
    }

    /// Deliveries first, and then their events: what waits for many webhooks is read once.
    async fn backlog(
        &self,
        sql: String,
        values: [Value; 2],
        (limit, bytes): (usize, usize),
        known: Known<'_>,
    ) -> std::result::Result<LaneBacklog, Failure> {
        let rows = self.query(&sql, values).await?;
        let (events, all) = self.events_of(&rows, bytes, known).await?;
        let (mut deliveries, mut size) = (Vec::with_capacity(rows.len()), 0);
        for row in rows.iter().map(Row) {
            let Some(event) = events.get(&EventKey(row.get("event_key")?)) else {
                if all {
                    // Retention came in between.
                    continue;
                }
                return Ok(LaneBacklog { deliveries, complete: false });
            };
            size += event.bytes();
            deliveries.push(read(&row, Arc::clone(event))?);
            if size > bytes {
                return Ok(LaneBacklog { deliveries, complete: false });
            }
        }
        Ok(LaneBacklog { deliveries, complete: rows.len() < limit })
    }

    /// The events of deliveries, and whether these are all: no more are read once their
    /// payloads exceed `bytes`.
    async fn events_of(
        &self,
        deliveries: &[QueryResult],
        bytes: usize,
        known: Known<'_>,
    ) -> std::result::Result<(HashMap<EventKey, Arc<Event>>, bool), Failure> {
        let (mut events, mut missing) = (HashMap::with_capacity(deliveries.len()), Vec::new());
        for row in deliveries.iter().map(Row) {
            let key = EventKey(row.get("event_key")?);
            match known(key) {
                Some(event) => drop(events.insert(key, event)),
                None => missing.push(key.0),
            }
        }
        missing.dedup();
        let Some(first) = missing.first().copied() else { return Ok((events, true)) };
        let limit = self.readers.limit;
        let all = within(limit, self.stream_events(missing, bytes, &mut events)).await?;
        if !events.contains_key(&EventKey(first)) {
            // They came in another order, and it is the first that something begins with.
            within(limit, self.stream_events(vec![first], bytes, &mut events)).await?;
        }
        Ok((events, all))
    }

    async fn stream_events(
        &self,
        keys: Vec<i64>,
        bytes: usize,
        to: &mut HashMap<EventKey, Arc<Event>>,
    ) -> std::result::Result<bool, Failure> {
        // In the order of the keys, as both databases go: to ask for it would have them read all
        // payloads first.
        let sql = format!(
            "SELECT e.event_key, e.event_id, e.event_name, e.ref_id, e.request_id, e.ingest_time,
               e.occur_time, e.ordering_key, e.attributes, e.enrichments, e.payload
             FROM {} {} events e ON e.event_key = wanted.value",
            self.dialect().listed("$1", "wanted"),
            self.dialect().ordered_join()
        );
        let backend = self.readers.get_database_backend();
        let values = [self.dialect().list(keys)];
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let mut rows = self.readers.connection.stream_raw(statement).await?;
        let mut size = 0;
        while let Some(row) = rows.try_next().await? {
            let event = Row(&row).event()?;
            size += event.bytes();
            to.insert(EventKey(Row(&row).get("event_key")?), Arc::new(event));
            if size > bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What an entry of the journal brought to a lane, where it still waits there by that entry.
fn arrival(at: Position, webhook_key: WebhookKey, delivery: &StoredDelivery) -> Option<Arrival> {
    match delivery.state.due_time {
        Some(time) => Some(Arrival::Due { webhook_key, position: at, time, order: delivery.order }),
        None if delivery.position == at => {
            Some(Arrival::Read { webhook_key, delivery: delivery.clone() })
        }
        None => None,
    }
}

fn read(row: &Row<'_>, event: Arc<Event>) -> std::result::Result<StoredDelivery, DbErr> {
    Ok(StoredDelivery {
        position: Position(row.get("position")?),
        event_key: EventKey(row.get("event_key")?),
        event,
        state: row.state()?,
        sla_due_time: row.optional_time("sla_due_time")?,
        order: row.get::<Option<i64>>("order_key")?.map(OrderKey),
        requeue_time: row.optional_time("requeue_time")?,
    })
}

/// Keys as SQL has a list; only numbers of our own stand in it.
fn list(keys: &[OrderKey]) -> String {
    keys.iter().map(|key| key.0.to_string()).collect::<Vec<_>>().join(", ")
}
