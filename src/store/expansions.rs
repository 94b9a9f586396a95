//! Events whose deliveries are made a part at a time.

use std::{borrow::Cow, sync::Arc};

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, Statement, StreamTrait};

use super::{
    Store,
    failure::{Failure, corrupt},
    rows::Row,
    timed::within,
    writer::{AT_ONCE, Accepted, accept, read_targets},
};
use crate::domain::{
    error::Result,
    id::{EventKey, TenantKey},
};

/// Bytes of payload after which a transaction takes no more parts.
const BYTES: usize = 1024 * 1024;

/// What one transaction makes of a tenant's parts: the first ones.
#[derive(Default)]
struct Parts {
    events: Vec<Accepted<'static>>,
    /// The last of them.
    last: i64,
}

impl Store {
    /// Resolves once there may be deliveries to make that were left for later.
    pub async fn expansions_wait(&self) {
        self.writer.expansions().notified().await;
    }

    /// The first tenant after `after` that has deliveries left to make.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn next_expanding(&self, after: TenantKey) -> Result<Option<TenantKey>> {
        let sql = "SELECT tenant_key FROM expansions WHERE tenant_key > $1
                   ORDER BY tenant_key LIMIT 1";
        let rows = self.query(sql, [after.0.into()]).await?;
        let tenant = rows.first().map(|row| Row(row).get("tenant_key").map(TenantKey));
        Ok(tenant.transpose().map_err(Failure::from)?)
    }

    /// Makes the next deliveries of a tenant that were left for later, about a thousand,
    /// in one transaction. Returns how many. Not to be called for a tenant twice at once.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`; nothing was done then.
    pub async fn expand(&self, tenant: TenantKey) -> Result<usize> {
        Ok(self.expand_parts(tenant).await?)
    }

    async fn expand_parts(&self, tenant: TenantKey) -> std::result::Result<usize, Failure> {
        // Read beside the writer, which others wait for: parts are never changed.
        let Parts { events, last } = self.first_parts(tenant).await?;
        let Some(Accepted { key: event, .. }) = events.last() else { return Ok(0) };
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM expansions WHERE tenant_key = $1 AND (event_key, part) <= ($2, $3)";
        let values = [tenant.0.into(), event.0.into(), last.into()];
        let deleted = tx.execute(sql, values).await?;
        if deleted != events.len() as u64 {
            return Err(corrupt("expansions: somebody else makes them").into());
        }
        accept(&mut tx, tenant, &events);
        fail::fail_point!("before-expansion", |_| std::process::abort());
        tx.commit().await?;
        Ok(events.iter().map(|accepted| accepted.targets.len()).sum())
    }

    async fn first_parts(&self, tenant: TenantKey) -> std::result::Result<Parts, Failure> {
        within(self.readers.limit, self.stream_parts(tenant)).await
    }

    async fn stream_parts(&self, tenant: TenantKey) -> std::result::Result<Parts, Failure> {
        let sql = format!(
            "SELECT x.part, x.targets, e.event_key, e.event_id, e.event_name, e.ref_id,
             e.request_id, e.ingest_time, e.occur_time, e.ordering_key, e.attributes,
             e.enrichments, e.payload
             FROM expansions x JOIN events e ON e.event_key = x.event_key
             WHERE x.tenant_key = $1 ORDER BY x.event_key, x.part LIMIT {AT_ONCE}"
        );
        let statement = Statement::from_sql_and_values(
            self.readers.get_database_backend(),
            sql,
            [tenant.0.into()],
        );
        let mut rows = self.readers.connection.stream_raw(statement).await?;
        let (mut parts, mut count, mut bytes) = (Parts::default(), 0, 0);
        while let Some(row) = rows.try_next().await? {
            let row = Row(&row);
            let targets = read_targets(&row.get::<String>("targets")?)?;
            count += targets.len();
            let is_first = parts.events.is_empty();
            if !is_first && (count > AT_ONCE || bytes > BYTES) {
                break;
            }
            let event = Arc::new(row.event()?);
            bytes += event.bytes();
            parts.last = row.get("part")?;
            let key = EventKey(row.get("event_key")?);
            parts.events.push(Accepted { key, event, targets: Cow::Owned(targets) });
        }
        Ok(parts)
    }
}
