//! Retention: deletes what is too old, in batches that nobody notices. Journal
//! entries go first, so that an entry's event is there as long as the entry is. An
//! event goes once all its deliveries are made and settled, and were so before the
//! cut-off; what waits under a suspension is diverted when its time comes.

use std::collections::HashSet;

use sea_orm::Value;

use super::{
    JournalBounds, Store, failure::Failure, ingested::Source, requeue, rows::Row, writer::Entry,
};
use crate::domain::{
    delivery::{ChangeKind, DeliveryStatus, DivertReason},
    delivery_times::WINDOW,
    error::Result,
    id::{EventKey, Position, TenantKey, WebhookKey},
    time::Timestamp,
};

/// Deliveries that one transaction diverts.
const DIVERTED: usize = 500;

/// What one batch deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Journal entries.
    pub entries: u64,
    /// Events, with their deliveries.
    pub events: u64,
    /// Where the next batch goes on; absent when this one was the last.
    pub next: Option<(Timestamp, EventKey)>,
}

impl Store {
    /// Deletes up to `limit` journal entries, and looks at up to `limit` events
    /// from `from` on, that are older than `cutoff`; at those only that were there at the last
    /// [`Self::file`]. What waits of these under a suspension is diverted at `now`.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn prune(
        &self,
        tenant: TenantKey,
        (cutoff, now): (Timestamp, Timestamp),
        from: Option<(Timestamp, EventKey)>,
        limit: usize,
    ) -> Result<Pruned> {
        Ok(self.prune_batch(tenant, (cutoff, now), from, limit).await?)
    }

    /// Deletes up to `limit` sums of windows that began before the cut-off and of which no
    /// delivery is left, of those that were there at the last [`Self::file`]. Returns how many.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn prune_times(
        &self,
        tenant: TenantKey,
        cutoff: Timestamp,
        limit: usize,
    ) -> Result<u64> {
        Ok(self.prune_times_batch(tenant, cutoff, limit).await?)
    }

    async fn prune_batch(
        &self,
        tenant: TenantKey,
        (cutoff, now): (Timestamp, Timestamp),
        from: Option<(Timestamp, EventKey)>,
        limit: usize,
    ) -> std::result::Result<Pruned, Failure> {
        let entries = self.prune_journal(tenant, cutoff, limit).await?;
        if entries == limit as u64 {
            // More entries are left: their events have to stay for now.
            return Ok(Pruned {
                entries,
                events: 0,
                next: from.or(Some((Timestamp::MIN, EventKey(0)))),
            });
        }
        let (time, key) = from.unwrap_or((Timestamp::MIN, EventKey(0)));
        let Source { from, by, .. } = self.dialect().events_ingested()[0];
        let sql = format!(
            "SELECT {by}.event_key, {by}.ingest_time, EXISTS (
               SELECT 1 FROM deliveries d WHERE d.event_key = {by}.event_key
               AND (d.end_time IS NULL OR d.due_time IS NOT NULL OR d.end_time >= $2))
             OR EXISTS (SELECT 1 FROM expansions x WHERE x.tenant_key = {by}.tenant_key
               AND x.event_key = {by}.event_key) AS needed
             FROM {from} WHERE {by}.tenant_key = $1 AND {by}.ingest_time < $2
             AND {by}.ingest_time >= $3 AND ({by}.ingest_time, {by}.event_key) > ($3, $4)
             ORDER BY {by}.ingest_time, {by}.event_key LIMIT {limit}"
        );
        let values = [tenant.0.into(), cutoff.micros().into(), time.micros().into(), key.0.into()];
        let rows = self.query(&sql, values).await?;
        let (mut old, mut kept, mut next): (Vec<i64>, Vec<i64>, _) = (Vec::new(), Vec::new(), None);
        for row in rows.iter().map(Row) {
            let event: i64 = row.get("event_key")?;
            next = Some((row.time("ingest_time")?, EventKey(event)));
            if row.get::<bool>("needed")? { kept.push(event) } else { old.push(event) }
        }
        if !kept.is_empty() {
            self.divert_suspended(tenant, &kept, now).await?;
        }
        let mut events = 0;
        if !old.is_empty() {
            events = self.delete_events(&old).await? as u64;
        }
        let next = next.filter(|_| rows.len() == limit);
        Ok(Pruned { entries, events, next })
    }

    async fn prune_journal(
        &self,
        tenant: TenantKey,
        cutoff: Timestamp,
        limit: usize,
    ) -> std::result::Result<u64, Failure> {
        let JournalBounds { floor: begin, head, .. } = self.bounds(tenant).await?;
        let end = Position(head.0.min(begin.0 + limit as i64));
        // Times never go back, so the last entry of a batch tells of all of them.
        let floor = match self.change_time(tenant, end).await.map_err(Failure::Refused)? {
            Some(time) if time < cutoff => end,
            _ => self.position_before(tenant, cutoff).await.map_err(Failure::Refused)?.min(end),
        };
        if floor <= begin {
            return Ok(0);
        }
        let tx = self.begin().await?;
        // A row whose entries are not all too old stays, and so does what is not in a row yet;
        // nobody reads what is up to the floor.
        let sql = "DELETE FROM journal WHERE tenant_key = $1 AND last_position <= $2";
        tx.execute(sql, [tenant.0.into(), floor.0.into()]).await?;
        let sql = "UPDATE journal_heads
                   SET floor = $1, rest = CASE WHEN head > $1 THEN rest END
                   WHERE tenant_key = $2 AND floor < $1";
        tx.execute(sql, [floor.0.into(), tenant.0.into()]).await?;
        tx.commit().await?;
        Ok((floor.0 - begin.0).unsigned_abs())
    }

    /// Diverts what still waits of these events under a suspension.
    async fn divert_suspended(
        &self,
        tenant: TenantKey,
        keys: &[i64],
        now: Timestamp,
    ) -> std::result::Result<(), Failure> {
        let list = keys.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT d.* FROM deliveries d JOIN webhooks w ON w.webhook_key = d.webhook_key
             WHERE d.event_key IN ({list}) AND d.end_time IS NULL AND w.suspension IS NOT NULL
             LIMIT {DIVERTED} {}",
            self.dialect().locking("d")
        );
        loop {
            let mut tx = self.begin().await?;
            // So a suspension that is found lasts.
            tx.hold([tenant], []).await?;
            let rows = tx.query(&sql, Vec::<Value>::new()).await?;
            let entries = rows.iter().map(Row).map(|row| {
                let mut state = row.state()?;
                state.status = DeliveryStatus::Diverted;
                (state.end_time, state.due_time) = (Some(now), None);
                Ok(Entry {
                    event_key: EventKey(row.get("event_key")?),
                    webhook_key: WebhookKey(row.get("webhook_key")?),
                    kind: ChangeKind::Settled,
                    time: now,
                    state,
                })
            });
            let entries: Vec<_> = entries.collect::<std::result::Result<_, sea_orm::DbErr>>()?;
            if entries.is_empty() {
                return Ok(());
            }
            requeue::divert(&mut tx, tenant, entries, DivertReason::Suspended).await?;
            tx.commit().await?;
        }
    }

    async fn prune_times_batch(
        &self,
        tenant: TenantKey,
        cutoff: Timestamp,
        limit: usize,
    ) -> std::result::Result<u64, Failure> {
        let Source { from, by, .. } = self.dialect().deliveries_ingested()[0];
        let old = format!(
            "SELECT t.webhook_key, t.window_start, t.class FROM webhooks w
             JOIN delivery_times t ON t.webhook_key = w.webhook_key
             WHERE w.tenant_key = $1 AND t.window_start < $2 AND NOT EXISTS (
               SELECT 1 FROM {from} WHERE {by}.webhook_key = t.webhook_key
               AND {by}.ingest_time >= t.window_start
               AND {by}.ingest_time < t.window_start + {WINDOW})
             LIMIT {limit}"
        );
        let values = || [Value::from(tenant.0), cutoff.micros().into()];
        if self.query(&old, values()).await?.is_empty() {
            return Ok(0);
        }
        let tx = self.begin().await?;
        let sql = format!(
            "DELETE FROM delivery_times WHERE (webhook_key, window_start, class) IN ({old})"
        );
        let deleted = tx.execute(&sql, values()).await?;
        tx.commit().await?;
        Ok(deleted)
    }

    /// Deletes events and what belongs to them, but for those of which a delivery was put
    /// back meanwhile. Returns how many.
    async fn delete_events(&self, keys: &[i64]) -> std::result::Result<usize, Failure> {
        let tx = self.begin().await?;
        let dialect = tx.dialect();
        let of_events = dialect.is_in("event_key", "$1");
        let sql = format!(
            "SELECT event_key, (end_time IS NULL OR due_time IS NOT NULL) AS needed
             FROM deliveries WHERE {of_events} {}",
            dialect.locking("deliveries")
        );
        let mut old: HashSet<i64> = keys.iter().copied().collect();
        for row in tx.query(&sql, [dialect.list(keys.iter().copied())]).await?.iter().map(Row) {
            if row.get::<bool>("needed")? {
                old.remove(&row.get("event_key")?);
            }
        }
        for table in ["attempts", "resolutions", "deliveries", "events"] {
            let sql = format!("DELETE FROM {table} WHERE {of_events}");
            tx.execute(&sql, [dialect.list(old.iter().copied())]).await?;
        }
        tx.commit().await?;
        Ok(old.len())
    }
}
