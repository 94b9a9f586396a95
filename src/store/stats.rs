//! Counts and times of deliveries by webhook. What is many, successes, is read from sums;
//! what is few, from indexes that have nothing else; only at the ends of a range that
//! are no whole windows are deliveries read, and of these no more than a bound.

use std::{collections::HashMap, fmt::Write as _};

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, Statement, StreamTrait, TransactionTrait, Value};

use super::{
    Store,
    dialect::Dialect,
    failure::Failure,
    ingested::Source,
    rows::{Row, duration},
    timed::within,
};
use crate::domain::{
    delivery_times::{DeliveryTimes, Range, split},
    error::Result,
    id::WebhookKey,
    time::Timestamp,
};

/// Deliveries of one webhook within a range of ingestion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Those that succeeded, and how long they took until then.
    pub times: DeliveryTimes,
    /// Diverted or dropped.
    pub failed: u64,
    /// Failed at least once, another attempt is due.
    pub retrying: u64,
    /// Not attempted yet, or put back.
    pub pending: u64,
    /// Later than the SLA allows, settled or not.
    pub breached: u64,
    /// When the oldest one that is not settled was ingested.
    pub oldest: Option<Timestamp>,
}

impl Stats {
    /// All deliveries.
    pub fn total(&self) -> u64 {
        self.times.count() + self.failed + self.retrying + self.pending
    }

    fn note_oldest(&mut self, ingest: Timestamp) {
        self.oldest = Some(self.oldest.map_or(ingest, |oldest| oldest.min(ingest)));
    }
}

/// What a row of the answer tells: `number` and `deliveries` mean something else in each.
const SUM: i32 = 0;
const SINGLE: i32 = 1;
const PENDING: i32 = 2;
const RETRYING: i32 = 3;
const FAILED: i32 = 4;
const BREACHED: i32 = 5;

/// What is counted: its condition is that of an index that has nothing else and is not looked
/// behind.
const COUNTED: [(i32, &str); 5] = [
    (PENDING, "status = 1 AND due_time IS NULL"),
    (PENDING, "due_time IS NOT NULL AND status = 1"),
    (RETRYING, "due_time IS NOT NULL AND status = 2"),
    (FAILED, "status IN (4, 5)"),
    (BREACHED, "sla_breach_time IS NOT NULL"),
];

impl Store {
    /// Statistics of these webhooks, as of one moment; one that had no deliveries may be
    /// left out. At most `rows` single deliveries are read; what is left of that is given
    /// back. Nothing is told where it does not do; of whole windows no single one is read.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn stats(
        &self,
        webhooks: &[WebhookKey],
        range: Range,
        rows: &mut usize,
    ) -> Result<Option<HashMap<WebhookKey, Stats>>> {
        Ok(within(self.readers.limit, self.read_stats(webhooks, range, rows)).await?)
    }

    async fn read_stats(
        &self,
        webhooks: &[WebhookKey],
        range: Range,
        rows: &mut usize,
    ) -> std::result::Result<Option<HashMap<WebhookKey, Stats>>, Failure> {
        let sql = statement(self.dialect(), webhooks, range);
        let backend = self.readers.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, Vec::<Value>::new());
        let mut stats: HashMap<WebhookKey, Stats> = HashMap::new();
        let tx = self.readers.connection.begin().await?;
        if self.dialect() == Dialect::Postgres {
            // Sums are of all that is found, unlike pages: what lies together is read together.
            tx.execute_unprepared("SET LOCAL enable_bitmapscan = on").await?;
        }
        let mut found = tx.stream_raw(statement).await?;
        while let Some(row) = found.try_next().await? {
            let row = Row(&row);
            let stats = stats.entry(WebhookKey(row.get("webhook_key")?)).or_default();
            if row.get::<i32>("kind")? == SINGLE {
                let Some(left) = rows.checked_sub(1) else { return Ok(None) };
                *rows = left;
            }
            add(stats, &row)?;
        }
        Ok(Some(stats))
    }
}

fn add(stats: &mut Stats, row: &Row<'_>) -> std::result::Result<(), Failure> {
    let count = row.get::<i64>("deliveries")?.unsigned_abs();
    let number: Option<i64> = row.get("number")?;
    match row.get("kind")? {
        SUM => {
            let class = row.get("class")?;
            stats.times.add_class(class, count, row.get::<f64>("micros")? as u128);
        }
        SINGLE => {
            if let Some(taken) = number {
                stats.times.add(duration(taken));
            }
        }
        kind @ (PENDING | RETRYING) => {
            let counted = if kind == PENDING { &mut stats.pending } else { &mut stats.retrying };
            *counted += count;
            if let Some(oldest) = number {
                stats.note_oldest(Timestamp::from_micros(oldest));
            }
        }
        FAILED => stats.failed += count,
        _ => stats.breached += count,
    }
    Ok(())
}

/// One statement, which sees one moment: what is settled meanwhile is counted once. Only
/// numbers of our own stand in the text.
fn statement(dialect: Dialect, webhooks: &[WebhookKey], range: Range) -> String {
    let keys = webhooks.iter().map(|key| key.0.to_string()).collect::<Vec<_>>().join(", ");
    let within = |of: &str, time: &str, (start, end): Range| {
        let (start, end) = (start.micros(), end.micros());
        format!("{of}webhook_key IN ({keys}) AND {of}{time} >= {start} AND {of}{time} < {end}")
    };
    let (whole, ends) = split(range);
    let nothing = (Timestamp::MIN, Timestamp::MIN);
    // A sum of integers could overflow; that of floats is exact up to 285 years.
    let mut sql = format!(
        "SELECT {SUM} AS kind, webhook_key, class, CAST(SUM(deliveries) AS BIGINT) AS deliveries, NULL AS number,
           SUM(CAST(micros AS DOUBLE PRECISION)) AS micros
         FROM delivery_times WHERE {} GROUP BY webhook_key, class",
        within("", "window_start", whole.unwrap_or(nothing))
    );
    for end in ends {
        for Source { from, by, only } in dialect.deliveries_ingested() {
            let within = within(&format!("{by}."), "ingest_time", end);
            let _ = write!(
                sql,
                " UNION ALL SELECT {SINGLE}, d.webhook_key, NULL, 1, {TAKEN}, NULL
                 FROM {from} WHERE {only} AND {within}"
            );
        }
    }
    for (kind, condition) in COUNTED {
        let within = within("", "ingest_time", range);
        let _ = write!(
            sql,
            " UNION ALL SELECT {kind}, webhook_key, NULL, COUNT(*), MIN(ingest_time), NULL
             FROM deliveries WHERE {within} AND {condition} GROUP BY webhook_key"
        );
    }
    sql
}

/// How long a delivery took until its first success, if any. The row has the last
/// settlement, which may be that of one more attempt asked for by hand.
const TAKEN: &str = "CASE WHEN d.status = 3 THEN COALESCE(
    CASE WHEN d.attempt_count > 1 THEN (SELECT MIN(a.end_time) FROM attempts a
      WHERE a.event_key = d.event_key AND a.webhook_key = d.webhook_key AND a.outcome = 1) END,
    d.end_time) - d.ingest_time END";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query_plan::query_plan;

    #[tokio::test]
    async fn nothing_but_the_ends_of_a_range_is_looked_up_in_the_table() {
        let at = |minutes: i64| Timestamp::from_micros(minutes * 60_000_000);
        let sql = statement(Dialect::Sqlite, &[WebhookKey(1), WebhookKey(2)], (at(5), at(35)));
        let plan = query_plan(&sql).await;
        let parts: Vec<_> = plan.split(|line| line == "UNION ALL").collect();
        let (whole, rest) = parts.split_first().expect("parts");
        let by_key = "USING PRIMARY KEY (webhook_key=? AND window_start>";
        assert!(whole.iter().any(|line| line.contains(by_key)), "{whole:?}");
        let (ends, counted) = rest.split_at(4);
        for end in ends.chunks(2) {
            let filed = "SEARCH i USING PRIMARY KEY (webhook_key=? AND ingest_time>";
            assert!(end[0][0].starts_with(filed), "{end:?}");
            assert_eq!(end[1][0], "SEARCH d USING PRIMARY KEY (event_key>?)");
        }
        let indexes = ["waiting", "due", "due", "failed", "breached"];
        assert_eq!(counted.len(), indexes.len(), "{plan:?}");
        for (part, index) in counted.iter().zip(indexes) {
            let (line, index) = (part.concat(), format!("deliveries_{index}"));
            assert!(
                line.contains(&format!("USING COVERING INDEX {index} (webhook_key=?")),
                "{line}"
            );
        }
    }
}
