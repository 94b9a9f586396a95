//! Reading the journal, which tails follow.

use sea_orm::DbErr;

use super::{Store, chunk::Part, failure::Failure, rows::Row};
use crate::domain::{
    delivery::Change,
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

impl Row<'_> {
    pub(super) fn bounds(&self) -> std::result::Result<JournalBounds, DbErr> {
        Ok(JournalBounds {
            floor: Position(self.get("floor")?),
            head: Position(self.get("head")?),
            head_time: self.time("head_time")?,
        })
    }
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
        Ok(rows.first().map(|row| Row(row).bounds()).transpose()?.unwrap_or_default())
    }

    /// The entries after a position, oldest first: `limit` of them, and a few more where they
    /// were written together.
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
        let Part { entries, mut bounds } = self.journal_part(tenant, after, limit).await?;
        let count = entries.len();
        let mut changes = self.changes(entries).await?;
        if changes.len() < count {
            // Retention came between the entries and their events: what it removed shows.
            bounds = self.bounds(tenant).await?;
            changes.retain(|change| change.position > bounds.floor);
        }
        Ok(JournalPage { changes, bounds })
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
        Ok(self.journal_entry(tenant, at).await?.map(|entry| entry.time))
    }
}
