//! Reading the journal, which tails follow.

use sea_orm::DbErr;

use super::{Store, failure::Failure, rows::Row};
use crate::domain::{
    delivery::{Change, ChangeKind},
    error::Result,
    id::{Position, TenantKey},
    time::Timestamp,
};

/// Where a tenant's journal begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalBounds {
    /// The newest entry that retention removed: reading right after it works.
    pub floor: Position,
    /// The newest entry.
    pub head: Position,
    /// When the newest entry was written.
    pub head_time: Timestamp,
}

/// A page of the journal.
#[derive(Clone, Debug)]
pub struct JournalPage {
    /// Entries, in order, without holes.
    pub changes: Vec<Change>,
    /// Where the journal began and ended when the page was read.
    pub bounds: JournalBounds,
}

impl Store {
    /// Where a tenant's journal begins and ends.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn journal_bounds(&self, tenant: TenantKey) -> Result<JournalBounds> {
        Ok(self.bounds(tenant).await?)
    }

    pub(super) async fn bounds(
        &self,
        tenant: TenantKey,
    ) -> std::result::Result<JournalBounds, Failure> {
        let sql = "SELECT floor, head, head_time FROM journal_heads WHERE tenant_key = $1";
        let rows = self.query(sql, [tenant.0.into()]).await?;
        let Some(row) = rows.first().map(Row) else { return Ok(JournalBounds::default()) };
        Ok(JournalBounds {
            floor: Position(row.get("floor")?),
            head: Position(row.get("head")?),
            head_time: row.time("head_time")?,
        })
    }

    /// The entries after a position, oldest first.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn journal_after(
        &self,
        tenant: TenantKey,
        after: Position,
        limit: usize,
    ) -> Result<JournalPage> {
        Ok(self.journal_page(tenant, after, limit).await?)
    }

    async fn journal_page(
        &self,
        tenant: TenantKey,
        after: Position,
        limit: usize,
    ) -> std::result::Result<JournalPage, Failure> {
        let sql = format!(
            "SELECT j.position, j.change_time, j.kind, e.event_key, e.event_id, e.event_name, e.ref_id,
             e.request_id, e.ingest_time, e.attributes, w.webhook_key, w.webhook_id,
             w.consumer_group_id, j.status, j.attempt_count, j.due_time, j.start_time, j.end_time,
             j.sla_breach_time, j.outcome, j.http_status, j.time_taken, j.error_text
             FROM journal j JOIN events e ON e.event_key = j.event_key
             JOIN webhooks w ON w.webhook_key = j.webhook_key
             WHERE j.tenant_key = $1 AND j.position > $2 ORDER BY j.position LIMIT {limit}"
        );
        let rows = self.query(&sql, [tenant.0.into(), after.0.into()]).await?;
        let changes = rows.iter().map(|row| read_change(&Row(row)));
        let changes = changes.collect::<std::result::Result<Vec<_>, DbErr>>()?;
        // Read after the entries: what retention removed meanwhile shows.
        Ok(JournalPage { changes, bounds: self.bounds(tenant).await? })
    }

    /// The position right before the first entry at or after a time.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn position_before(&self, tenant: TenantKey, time: Timestamp) -> Result<Position> {
        let bounds = self.bounds(tenant).await?;
        // Positions have no holes and times never go back, so halving finds it.
        let (mut before, mut from) = (bounds.floor.0, bounds.head.0 + 1);
        while before + 1 < from {
            let middle = before + (from - before) / 2;
            match self.change_time(tenant, Position(middle)).await? {
                // Removed meanwhile: too old in any case.
                None => before = middle,
                Some(at) if at < time => before = middle,
                Some(_) => from = middle,
            }
        }
        Ok(Position(before))
    }

    /// When an entry was written.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn change_time(&self, tenant: TenantKey, at: Position) -> Result<Option<Timestamp>> {
        let sql = "SELECT change_time FROM journal WHERE tenant_key = $1 AND position = $2";
        let rows = self.query(sql, [tenant.0.into(), at.0.into()]).await?;
        Ok(rows
            .first()
            .map(|row| Row(row).time("change_time"))
            .transpose()
            .map_err(Failure::from)?)
    }
}

fn read_change(row: &Row<'_>) -> std::result::Result<Change, DbErr> {
    Ok(Change {
        position: Position(row.get("position")?),
        time: row.time("change_time")?,
        kind: row.number("kind", ChangeKind::from_number)?,
        record: row.record()?,
    })
}
