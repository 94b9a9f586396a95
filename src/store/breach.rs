//! SLAs that are broken while a delivery still waits.

use super::{NodeKey, Store, dialect::Dialect, failure::Failure, rows::Row, writer::Entry};
use crate::domain::{
    delivery::ChangeKind,
    error::Result,
    id::{EventKey, Position, TenantKey, WebhookKey},
    time::Timestamp,
};

/// What a look at a lane's SLAs found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breached {
    /// Deliveries that were marked.
    pub count: usize,
    /// What waits in journal order up to here is marked.
    pub cursor: Position,
    /// When the lane's next SLA ends, where one runs.
    pub next: Option<Timestamp>,
}

impl Store {
    /// Marks up to `limit` deliveries of a lane whose SLA has passed, beginning
    /// after `cursor`, and says when the next one will. Deliveries that wait are
    /// looked at in journal order, which is the order of their SLAs as long as the
    /// webhook's was not shortened meanwhile.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`, also where the node has lost its lease.
    pub async fn breach(
        &self,
        node: NodeKey,
        tenant: TenantKey,
        webhook: WebhookKey,
        cursor: Position,
        now: Timestamp,
        limit: usize,
    ) -> Result<Breached> {
        Ok(self.mark_breaches(node, tenant, webhook, cursor, now, limit).await?)
    }

    async fn mark_breaches(
        &self,
        node: NodeKey,
        tenant: TenantKey,
        webhook: WebhookKey,
        mut cursor: Position,
        now: Timestamp,
        limit: usize,
    ) -> std::result::Result<Breached, Failure> {
        let mut tx = self.begin().await?;
        tx.hold([], [node]).await?;
        let (waiting, due) = statements(tx.dialect(), limit);
        let waiting = tx.query(&waiting, [webhook.0.into(), cursor.0.into()]).await?;
        let due = tx.query(&due, [webhook.0.into()]).await?;
        let full = waiting.len() == limit || due.len() == limit;
        let (mut entries, mut next, mut contiguous) = (Vec::new(), None::<Timestamp>, true);
        for (i, row) in waiting.iter().chain(&due).map(Row).enumerate() {
            let sla_due = row.time("sla_due_time")?;
            let late = sla_due < now;
            if i < waiting.len() {
                contiguous &= late;
                if contiguous {
                    cursor = Position(row.get("position")?);
                }
            }
            if late {
                let mut state = row.state()?;
                state.sla_breach_time = Some(sla_due);
                let event_key = EventKey(row.get("event_key")?);
                entries.push(Entry {
                    event_key,
                    webhook_key: webhook,
                    kind: ChangeKind::SlaBreached,
                    time: now,
                    state,
                });
            } else {
                next = Some(next.map_or(sla_due, |next| next.min(sla_due)));
            }
        }
        let count = entries.len();
        if count > 0 {
            let sql = "UPDATE deliveries SET sla_breach_time = sla_due_time
                       WHERE event_key = $1 AND webhook_key = $2";
            for entry in &entries {
                tx.execute(sql, [entry.event_key.0.into(), webhook.0.into()]).await?;
            }
            tx.note(tenant, entries);
            tx.commit().await?;
            if full {
                next = Some(now);
            }
        }
        // One that ends at this very moment is not late yet, but is next time.
        let next = next.map(|next| next.max(now.plus(std::time::Duration::from_micros(1))));
        Ok(Breached { count, cursor, next })
    }
}

/// What waits in journal order, and what has a time of its own, of deliveries whose SLA runs.
fn statements(dialect: Dialect, limit: usize) -> (String, String) {
    let locking = dialect.locking("deliveries");
    let running = "sla_due_time IS NOT NULL AND sla_breach_time IS NULL";
    let waiting = format!(
        "SELECT * FROM deliveries WHERE webhook_key = $1 AND status = 1 AND due_time IS NULL
         AND {running} AND position > $2 ORDER BY position LIMIT {limit} {locking}"
    );
    let due = format!(
        "SELECT * FROM deliveries WHERE webhook_key = $1 AND due_time IS NOT NULL
         AND end_time IS NULL AND {running} ORDER BY sla_due_time LIMIT {limit} {locking}"
    );
    (waiting, due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query_plan::query_plan;

    #[tokio::test]
    async fn a_look_reads_no_more_of_a_backlog_than_it_marks() {
        let (waiting, due) = statements(Dialect::Sqlite, 500);
        for (sql, walk) in [
            (waiting, "INDEX deliveries_waiting (webhook_key=? AND position>?)"),
            (due, "INDEX deliveries_sla (webhook_key=? AND sla_due_time>?)"),
        ] {
            let plan = query_plan(&sql).await;
            // In one step, so nothing is sorted.
            assert!(plan.len() == 1 && plan[0].ends_with(walk), "{plan:?}");
        }
    }
}
