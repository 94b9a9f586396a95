//! What attempts say about destinations, kept for the next owners of their lanes. Written
//! with failures, and with the first success after them: what always succeeds costs nothing.

use std::collections::BTreeMap;

use sea_orm::{DbErr, Value};

use super::{
    Settlement, Store, WriteTx,
    bulk::{Bulk, Kind::Number},
    failure::Failure,
    rows::Row,
};
use crate::domain::{
    error::Result,
    failure_handling::{FailureRow, Standing},
    id::WebhookKey,
};

static STORE: Bulk = Bulk::insert(
    "standings",
    &[
        ("webhook_key", Number),
        ("failures", Number),
        ("first_start", Number),
        ("last_end", Number),
        ("paused_until", Number),
    ],
)
.on_conflict(
    "ON CONFLICT (webhook_key) DO UPDATE SET failures = excluded.failures,
     first_start = excluded.first_start, last_end = excluded.last_end,
     paused_until = excluded.paused_until",
);

/// Stores for each webhook how it stands after the last of its attempts.
pub(super) async fn store(
    tx: &WriteTx,
    settlements: &[&Settlement],
) -> std::result::Result<(), Failure> {
    let stand = settlements.iter().filter_map(|s| Some((s.webhook_key.0, s.standing.as_ref()?)));
    let last: BTreeMap<i64, &Standing> = stand.collect();
    let values = last.into_iter().flat_map(|(webhook, Standing { failures, paused_until })| {
        [
            Value::from(webhook),
            i64::from(failures.count).into(),
            failures.first_start.micros().into(),
            failures.last_end.micros().into(),
            paused_until.micros().into(),
        ]
    });
    STORE.run(tx.sql(), values.collect()).await?;
    Ok(())
}

/// A webhook whose suspension is lifted begins anew.
pub(super) async fn forget(tx: &WriteTx, webhook: WebhookKey) -> std::result::Result<(), DbErr> {
    tx.execute("DELETE FROM standings WHERE webhook_key = $1", [webhook.0.into()]).await?;
    Ok(())
}

impl Store {
    /// How a webhook's destination stands, as the last owner of its lane left it.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn standing(&self, webhook: WebhookKey) -> Result<Standing> {
        let sql = "SELECT failures, first_start, last_end, paused_until FROM standings
                   WHERE webhook_key = $1";
        let rows = self.query(sql, [webhook.0.into()]).await?;
        let found = rows.first().map(|row| read(&Row(row))).transpose();
        Ok(found.map_err(Failure::from)?.unwrap_or_default())
    }
}

fn read(row: &Row<'_>) -> std::result::Result<Standing, DbErr> {
    Ok(Standing {
        failures: FailureRow {
            count: row.count("failures")?,
            first_start: row.time("first_start")?,
            last_end: row.time("last_end")?,
        },
        paused_until: row.time("paused_until")?,
    })
}
