//! Reading the journal, which tails follow.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sea_orm::DbErr;

use super::{
    Store,
    chunk::{ENTRIES, entries},
    failure::Failure,
    rows::Row,
    writer::Entry,
};
use crate::domain::{
    delivery::{Change, EventLabel, LogRecord, WebhookLabel},
    error::Result,
    id::{EventKey, Position, TenantKey, WebhookKey},
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

/// Consecutive entries, with their positions, and the bounds of the journal then.
pub(super) struct Part {
    pub(super) entries: Vec<(Position, Entry)>,
    pub(super) bounds: JournalBounds,
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

    /// The entries after a position, as far as they are there: `limit` of them, and a few
    /// more where these are in the same row.
    pub(super) async fn journal_part(
        &self,
        tenant: TenantKey,
        after: Position,
        limit: usize,
    ) -> std::result::Result<Part, Failure> {
        let (most, greatest) = (limit + ENTRIES - 1, self.dialect().greatest());
        // The head comes last, with what is not in a row yet. It is left out only where rows
        // alone are more than is asked for.
        let sql = format!(
            "SELECT h.floor, h.head, h.head_time, j.last_position, j.not_before, j.entries
             FROM journal_heads h JOIN journal j ON j.tenant_key = h.tenant_key
               AND j.last_position > {greatest}($2, h.floor)
               AND j.last_position <= {greatest}($2, h.floor) + {most}
             WHERE h.tenant_key = $1
             UNION ALL
             SELECT floor, head, head_time, head, 0, rest
             FROM journal_heads WHERE tenant_key = $1
             ORDER BY last_position LIMIT {}",
            limit + 1
        );
        let rows = self.query(&sql, [tenant.0.into(), after.0.into()]).await?;
        let mut part = Part { entries: Vec::new(), bounds: JournalBounds::default() };
        for row in rows.iter().map(Row) {
            part.bounds = row.bounds()?;
            let after = after.max(part.bounds.floor);
            if part.entries.len() < limit
                && let Some(bytes) = row.get::<Option<Vec<u8>>>("entries")?
            {
                let found = placed(&row, &bytes)?;
                part.entries.extend(found.into_iter().filter(|(position, _)| *position > after));
            }
        }
        Ok(part)
    }

    /// An entry.
    async fn journal_entry(
        &self,
        tenant: TenantKey,
        at: Position,
    ) -> std::result::Result<Option<Entry>, Failure> {
        let sql = "SELECT last_position, not_before, entries FROM (
                     SELECT last_position, not_before, entries FROM journal
                     WHERE tenant_key = $1 AND last_position >= $2
                     ORDER BY last_position LIMIT 1) AS filled
                   UNION ALL
                   SELECT head, 0, rest FROM journal_heads
                   WHERE tenant_key = $1 AND rest IS NOT NULL";
        for row in self.query(sql, [tenant.0.into(), at.0.into()]).await?.iter().map(Row) {
            let mut found = placed(&row, &row.get::<Vec<u8>>("entries")?)?.into_iter();
            if let Some((_, entry)) = found.find(|(position, _)| *position == at) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Entries as changes; those whose event is there no more are left out.
    async fn changes(
        &self,
        entries: Vec<(Position, Entry)>,
    ) -> std::result::Result<Vec<Change>, Failure> {
        let events: HashSet<_> = entries.iter().map(|(_, entry)| entry.event_key.0).collect();
        let webhooks: HashSet<_> = entries.iter().map(|(_, entry)| entry.webhook_key.0).collect();
        let (events, webhooks) =
            tokio::try_join!(self.event_labels(events), self.webhook_labels(webhooks))?;
        let change = |(position, entry): (Position, Entry)| {
            let Entry { event_key, webhook_key, kind, time, state } = entry;
            let event = events.get(&event_key)?.clone();
            let webhook = *webhooks.get(&webhook_key)?;
            let record = LogRecord { event, webhook, state, attempts: Vec::new() };
            Some(Change { position, time, kind, record })
        };
        Ok(entries.into_iter().filter_map(change).collect())
    }

    async fn event_labels(
        &self,
        keys: HashSet<i64>,
    ) -> std::result::Result<HashMap<EventKey, Arc<EventLabel>>, Failure> {
        let sql = format!(
            "SELECT event_key, event_id, event_name, ref_id, request_id, ingest_time, attributes
             FROM events WHERE {}",
            self.dialect().is_in("event_key", "$1")
        );
        let rows = self.query(&sql, [self.dialect().list(keys)]).await?;
        let label = |row| Row(row).event_label().map(|label| (label.key, label.into()));
        Ok(rows.iter().map(label).collect::<std::result::Result<_, _>>()?)
    }

    async fn webhook_labels(
        &self,
        keys: HashSet<i64>,
    ) -> std::result::Result<HashMap<WebhookKey, WebhookLabel>, Failure> {
        let sql = format!(
            "SELECT webhook_key, webhook_id, consumer_group_id FROM webhooks WHERE {}",
            self.dialect().is_in("webhook_key", "$1")
        );
        let rows = self.query(&sql, [self.dialect().list(keys)]).await?;
        let label = |row| Row(row).webhook_label().map(|label| (label.key, label));
        Ok(rows.iter().map(label).collect::<std::result::Result<_, _>>()?)
    }
}

/// The entries of a row, with their positions and their times in the journal.
fn placed(row: &Row<'_>, bytes: &[u8]) -> std::result::Result<Vec<(Position, Entry)>, DbErr> {
    let (last, not_before): (i64, _) = (row.get("last_position")?, row.time("not_before")?);
    let mut entries = entries(bytes)?;
    for entry in &mut entries {
        entry.time = entry.time.max(not_before);
    }
    let first = last + 1 - entries.len() as i64;
    Ok((first..).map(Position).zip(entries).collect())
}
