//! Reading events.

use sea_orm::{DbErr, Value};
use serde::{Deserialize, Serialize};

use super::{
    Store,
    failure::Failure,
    ingested::{EVENTS, Source, everywhere},
    rows::Row,
};
use crate::domain::{
    delivery::DeliveryStatus,
    error::Result,
    event::Event,
    id::{EventId, EventKey, TenantKey, WebhookId, WebhookKey},
    time::Timestamp,
};

/// A place among a tenant's events, which are ordered by ingestion, then by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCursor {
    ingest: Timestamp,
    event: EventKey,
}

/// Which events a scan finds.
#[derive(Clone, Copy, Debug)]
pub struct EventScan<'a> {
    /// Of this request; of any when empty.
    pub request_id: &'a str,
    /// Ingested at or after.
    pub start: Option<Timestamp>,
    /// Ingested before.
    pub end: Option<Timestamp>,
    /// After this place.
    pub after: Option<EventCursor>,
    /// Most of them.
    pub limit: usize,
}

/// A webhook that a published event goes to.
#[derive(Clone, Debug)]
pub struct EventTarget {
    /// Its key.
    pub webhook_key: WebhookKey,
    /// Its public id.
    pub webhook_id: WebhookId,
    /// Its name, or the last one it had.
    pub webhook_name: String,
    /// Where the delivery stands.
    pub status: DeliveryStatus,
}

impl Store {
    /// An event of that id, payload included.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn event(&self, tenant: TenantKey, id: EventId) -> Result<Option<(EventKey, Event)>> {
        let sql =
            "SELECT event_key, event_id, event_name, ref_id, request_id, ingest_time, occur_time,
                   ordering_key, attributes, enrichments, payload FROM events WHERE tenant_key = $1 AND event_id = $2";
        let rows = self.query(sql, [tenant.0.into(), id.0.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok((EventKey(row.get("event_key")?), row.event()?))
        };
        Ok(rows.first().map(read).transpose()?)
    }

    /// The next events of a tenant, oldest first: their places and types.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn scan_events(
        &self,
        tenant: TenantKey,
        scan: EventScan<'_>,
    ) -> Result<Vec<(EventCursor, String)>> {
        let start = scan.start.unwrap_or(Timestamp::MIN);
        let end = scan.end.map_or(i64::MAX, Timestamp::micros);
        // Either may become the bound of the index, so both are as narrow as can be. Keys of
        // events begin at 1.
        let first = scan.after.map_or(start, |after| after.ingest.max(start));
        let event = scan.after.filter(|after| after.ingest >= start).map_or(0, |at| at.event.0);
        let mut values: Vec<Value> =
            vec![tenant.0.into(), first.micros().into(), end.into(), event.into()];
        let (mut sources, mut of_request) = (self.dialect().events_ingested(), "");
        if !scan.request_id.is_empty() {
            (sources, of_request) = (&[EVENTS], "AND request_id <> '' AND request_id = $5");
            values.push(scan.request_id.into());
        }
        let found = everywhere(sources, |Source { from, by, only }| {
            format!(
                "SELECT {by}.ingest_time AS ingest_time, {by}.event_key AS event_key, e.event_name
                 FROM {from}
                 WHERE {only} AND {by}.tenant_key = $1
                 AND {by}.ingest_time >= $2 AND {by}.ingest_time < $3
                 AND ({by}.ingest_time, {by}.event_key) > ($2, $4) {of_request}"
            )
        });
        let sql = format!("{found} ORDER BY ingest_time, event_key LIMIT {}", scan.limit);
        let rows = self.query(&sql, values).await?;
        let read = |row| -> std::result::Result<_, DbErr> {
            let row = Row(row);
            let event = EventKey(row.get("event_key")?);
            let at = EventCursor { ingest: row.time("ingest_time")?, event };
            Ok((at, row.get("event_name")?))
        };
        let places = rows.iter().map(read).collect::<std::result::Result<_, _>>();
        Ok(places.map_err(Failure::from)?)
    }

    /// The events at these places, in order; those that retention has deleted are left out.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn events_at(&self, places: &[EventCursor]) -> Result<Vec<Event>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        // Only numbers of our own.
        let keys: Vec<_> = places.iter().map(|at| at.event.0.to_string()).collect();
        let sql = format!(
            "SELECT event_id, event_name, ref_id, request_id, ingest_time, occur_time,
             ordering_key, attributes, enrichments, payload FROM events
             WHERE event_key IN ({}) ORDER BY ingest_time, event_key",
            keys.join(", ")
        );
        let rows = self.query(&sql, Vec::<Value>::new()).await?;
        let events = rows.iter().map(|row| Row(row).event());
        Ok(events.collect::<std::result::Result<_, DbErr>>().map_err(Failure::from)?)
    }

    /// How many webhooks an event goes to, be the deliveries made or left for later.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn delivery_count(&self, tenant: TenantKey, event: EventKey) -> Result<usize> {
        let sql = "SELECT (SELECT COUNT(*) FROM deliveries WHERE event_key = $2) +
                   (SELECT COALESCE(SUM(target_count), 0) FROM expansions
                    WHERE tenant_key = $1 AND event_key = $2) AS deliveries";
        let rows = self.query(sql, [tenant.0.into(), event.0.into()]).await?;
        let count: i64 = match rows.first() {
            Some(row) => Row(row).get("deliveries").map_err(Failure::from)?,
            None => 0,
        };
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The webhooks that an event goes to, those among them that were deleted since.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn event_targets(&self, event: EventKey) -> Result<Vec<EventTarget>> {
        let sql = "SELECT d.webhook_key, w.webhook_id, w.name, d.status FROM deliveries d
                   JOIN webhooks w ON w.webhook_key = d.webhook_key WHERE d.event_key = $1";
        let rows = self.query(sql, [event.0.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok(EventTarget {
                webhook_key: WebhookKey(row.get("webhook_key")?),
                webhook_id: row.id("webhook_id")?,
                webhook_name: row.get("name")?,
                status: row.number("status", DeliveryStatus::from_number)?,
            })
        };
        Ok(rows.iter().map(read).collect::<std::result::Result<_, _>>()?)
    }
}
