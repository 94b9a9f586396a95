//! Reading the delivery log: keyset pages over the index that fits the question,
//! and the attempts of single records.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{DbErr, Value};
use serde::{Deserialize, Serialize};

use super::{
    Store,
    dialect::Dialect,
    failure::Failure,
    ingested::{EVENTS, Place, everywhere},
    rows::{Row, duration},
};
use crate::domain::{
    delivery::{Attempt, AttemptOutcome, AttemptSummary, LogRecord},
    error::Result,
    id::{EventId, EventKey, TenantKey, WebhookKey},
    limits,
    time::Timestamp,
    webhook::Header,
};

/// Which records a page is read from: each has its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogScan {
    /// Those of one event.
    Event(EventId),
    /// Those of one ref id.
    Ref(String),
    /// Those of one request id.
    Request(String),
    /// Those of one webhook.
    Webhook(WebhookKey),
    /// All of the tenant.
    All,
}

/// A place in the log: records are ordered by ingestion, then by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCursor {
    ingest: Timestamp,
    event: EventKey,
    webhook: WebhookKey,
}

impl LogCursor {
    /// The place of a record.
    pub fn of(record: &LogRecord) -> Self {
        Self {
            ingest: record.event.ingest_time,
            event: record.event.key,
            webhook: record.webhook.key,
        }
    }
}

/// One page's place and direction.
#[derive(Clone, Copy, Debug)]
pub struct LogRange {
    /// Ingested at or after.
    pub start: Option<Timestamp>,
    /// Ingested before.
    pub end: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// Where the page before ended.
    pub after: Option<LogCursor>,
    /// Most records.
    pub limit: usize,
}

const RECORD: &str = "e.event_key, e.event_id, e.event_name, e.ref_id, e.request_id, e.ingest_time, \
    e.attributes, w.webhook_key, w.webhook_id, w.consumer_group_id, d.status, d.attempt_count, \
    d.due_time, d.start_time, d.end_time, d.sla_breach_time, d.outcome, d.http_status, d.time_taken, \
    d.error_text";

impl Store {
    /// A page of records, without their attempts.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn scan_log(
        &self,
        tenant: TenantKey,
        scan: &LogScan,
        range: LogRange,
    ) -> Result<Vec<LogRecord>> {
        let (sql, values) = statement(self.dialect(), tenant, scan, range);
        let rows = self.query(&sql, values).await?;
        let records = rows.iter().map(|row| Row(row).record());
        Ok(records.collect::<std::result::Result<_, DbErr>>().map_err(Failure::from)?)
    }

    /// The record of an event at a webhook, where it has one, and how many it has at all of
    /// them; nothing where there is no such event. Without a webhook: of several, the last
    /// one to finish.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn record_of(
        &self,
        tenant: TenantKey,
        event: EventId,
        webhook_id: Option<&str>,
    ) -> Result<Option<(Option<LogRecord>, usize)>> {
        let sql = "SELECT e.event_key,
                     (SELECT COUNT(*) FROM deliveries d WHERE d.event_key = e.event_key) AS total
                   FROM events e WHERE e.tenant_key = $1 AND e.event_id = $2";
        let rows = self.query(sql, [tenant.0.into(), event.0.into()]).await?;
        let Some(row) = rows.first().map(Row) else { return Ok(None) };
        let key: i64 = row.get("event_key").map_err(Failure::from)?;
        let total = row.count("total").map_err(Failure::from)?;
        let mut values = vec![Value::from(key)];
        values.extend(webhook_id.map(Value::from));
        let sql = format!(
            "SELECT {RECORD} FROM events e JOIN deliveries d ON d.event_key = e.event_key
             JOIN webhooks w ON w.webhook_key = d.webhook_key WHERE e.event_key = $1 {}
             ORDER BY COALESCE(d.end_time, 0) DESC, COALESCE(d.start_time, 0) DESC,
               d.webhook_key DESC LIMIT 1",
            webhook_id.map_or("", |_| "AND w.webhook_id = $2")
        );
        let rows = self.query(&sql, values).await?;
        let record = rows.first().map(|row| Row(row).record()).transpose();
        Ok(Some((record.map_err(Failure::from)?, total as usize)))
    }

    /// Adds their attempts to records: the last 50 up to the one that the record
    /// knows of, with the headers that were sent.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn add_attempts<'a>(
        &self,
        records: impl Iterator<Item = &'a mut LogRecord>,
    ) -> Result<()> {
        let mut headers = HashMap::new();
        for record in records.filter(|record| record.state.attempt_count > 0) {
            for attempt in self.attempts(record).await? {
                let at = (record.webhook.key, attempt.webhook_version);
                let shown = match headers.get(&at) {
                    Some(known) => Arc::clone(known),
                    None => self.headers(at.0, at.1).await?,
                };
                headers.insert(at, Arc::clone(&shown));
                record.attempts.push((attempt, shown));
            }
        }
        Ok(())
    }

    async fn attempts(&self, record: &LogRecord) -> std::result::Result<Vec<Attempt>, Failure> {
        let sql = format!(
            "SELECT attempt_number, start_time, end_time, outcome, http_status, time_taken, error_text,
             body_excerpt, webhook_version FROM attempts
             WHERE event_key = $1 AND webhook_key = $2 AND attempt_number <= $3
             ORDER BY attempt_number DESC LIMIT {}",
            limits::ATTEMPTS_SHOWN
        );
        let (event, webhook) = (record.event.key.0, record.webhook.key.0);
        let count = record.state.attempt_count;
        let values = [event.into(), webhook.into(), i64::from(count).into()];
        let mut rows = self.query(&sql, values).await?;
        if rows.is_empty() {
            // It succeeded at once: its own row is its attempt.
            let sql = "SELECT attempt_count AS attempt_number, attempt_start_time AS start_time,
                       end_time, outcome, http_status, time_taken, '' AS error_text,
                       COALESCE(body_excerpt, '') AS body_excerpt, webhook_version
                       FROM deliveries WHERE event_key = $1 AND webhook_key = $2
                       AND attempt_count = 1 AND end_time IS NOT NULL AND outcome IS NOT NULL";
            rows = self.query(sql, [event.into(), webhook.into()]).await?;
        }
        rows.reverse();
        Ok(rows.iter().map(|row| read_attempt(&Row(row))).collect::<std::result::Result<_, _>>()?)
    }

    pub(super) async fn headers(
        &self,
        webhook: WebhookKey,
        version: i64,
    ) -> std::result::Result<Arc<[Header]>, Failure> {
        let sql =
            "SELECT headers FROM webhook_headers WHERE webhook_key = $1 AND since_version <= $2
                   ORDER BY since_version DESC LIMIT 1";
        let rows = self.query(sql, [webhook.0.into(), version.into()]).await?;
        let headers: Option<Vec<Header>> =
            rows.first().map(|row| Row(row).json("headers")).transpose()?;
        Ok(headers.unwrap_or_default().into())
    }
}

/// The query for a page: which records first, then what is known of these.
fn statement(
    dialect: Dialect,
    tenant: TenantKey,
    scan: &LogScan,
    range: LogRange,
) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![tenant.0.into()];
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let join = dialect.ordered_join();
    let of_events = format!("{join} deliveries d ON d.event_key = e.event_key");
    let (places, joined) = match scan {
        LogScan::Webhook(_) => (dialect.deliveries_ingested(), ""),
        LogScan::All => (dialect.events_ingested(), of_events.as_str()),
        _ => (&[EVENTS][..], of_events.as_str()),
    };
    // `by` stands for where the place has its order.
    let mut conditions = match scan {
        LogScan::Event(id) => {
            format!("by.tenant_key = $1 AND e.event_id = {}", bind(id.0.into()))
        }
        LogScan::Ref(id) => format!(
            "by.tenant_key = $1 AND e.ref_id <> '' AND e.ref_id = {}",
            bind(id.as_str().into())
        ),
        LogScan::Request(id) => format!(
            "by.tenant_key = $1 AND e.request_id <> '' AND e.request_id = {}",
            bind(id.as_str().into())
        ),
        LogScan::Webhook(key) => {
            format!("d.tenant_key = $1 AND by.webhook_key = {}", bind(key.0.into()))
        }
        LogScan::All => "by.tenant_key = $1".to_owned(),
    };
    if let Some(start) = range.start {
        conditions += &format!(" AND by.ingest_time >= {}", bind(start.micros().into()));
    }
    if let Some(end) = range.end {
        conditions += &format!(" AND by.ingest_time < {}", bind(end.micros().into()));
    }
    let (order, beyond) = if range.ascending { ("ASC", ">") } else { ("DESC", "<") };
    if let Some(after) = range.after {
        let ingest = bind(after.ingest.micros().into());
        let (event, webhook) = (bind(after.event.0.into()), bind(after.webhook.0.into()));
        conditions += &format!(
            " AND by.ingest_time {beyond}= {ingest} AND
             (by.ingest_time, by.event_key, d.webhook_key) {beyond} ({ingest}, {event}, {webhook})"
        );
    }
    let found = everywhere(places, |Place { from, by, only }| {
        let conditions = conditions.replace("by.", &format!("{by}."));
        format!(
            "SELECT {by}.ingest_time AS ingest_time, {by}.event_key AS event_key,
               d.webhook_key AS webhook_key
             FROM {from} {joined} WHERE {only} AND {conditions}"
        )
    });
    let ordered = |of: &str| {
        let by = ["ingest_time", "event_key", "webhook_key"].map(|by| format!("{of}{by} {order}"));
        format!("ORDER BY {}", by.join(", "))
    };
    let sql = format!(
        "SELECT {RECORD} FROM ({found} {} LIMIT {}) k
         {join} deliveries d ON d.event_key = k.event_key AND d.webhook_key = k.webhook_key
         JOIN events e ON e.event_key = d.event_key
         JOIN webhooks w ON w.webhook_key = d.webhook_key {}",
        ordered(""),
        range.limit,
        ordered("k.")
    );
    (sql, values)
}

pub(super) fn read_attempt(row: &Row<'_>) -> std::result::Result<Attempt, DbErr> {
    Ok(Attempt {
        number: row.count("attempt_number")?,
        start_time: row.time("start_time")?,
        end_time: row.time("end_time")?,
        summary: AttemptSummary {
            outcome: row.number("outcome", AttemptOutcome::from_number)?,
            http_status: u16::try_from(row.get::<i32>("http_status")?).unwrap_or(0),
            time_taken: duration(row.get("time_taken")?),
            error: row.get("error_text")?,
        },
        body_excerpt: row.get("body_excerpt")?,
        webhook_version: row.get("webhook_version")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DatabaseUrl, SecretKeys};

    #[tokio::test]
    async fn a_page_of_a_file_is_read_from_the_index_but_for_what_is_not_filed() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::file(directory.path().join("tidings.db"));
        let (store, _) = Store::open(&url, SecretKeys::default()).await.expect("opens");
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let after = LogCursor { ingest: at(7), event: EventKey(7), webhook: WebhookKey(7) };
        let scans =
            [(LogScan::All, "tenant_key"), (LogScan::Webhook(WebhookKey(1)), "webhook_key")];
        for ((scan, key), ascending) in scans.iter().flat_map(|scan| [(scan, false), (scan, true)])
        {
            let range = LogRange {
                start: Some(at(1)),
                end: Some(at(9)),
                ascending,
                after: Some(after),
                limit: 100,
            };
            let (sql, values) = statement(store.dialect(), TenantKey(1), scan, range);
            let rows = store.query(&format!("EXPLAIN QUERY PLAN {sql}"), values).await;
            let plan = rows.expect("a plan");
            let plan = plan.iter().map(|row| row.try_get("", "detail").expect("a line"));
            let plan: Vec<String> = plan.collect();
            let at = |what: &str| plan.iter().position(|line| line == what).expect(what);
            let (filed, rest, page) = (at("LEFT"), at("RIGHT"), at("SCAN k"));
            let by_index = format!("SEARCH i USING PRIMARY KEY ({key}=? AND ");
            assert!(plan[filed + 1].starts_with(&by_index), "{plan:#?}");
            // Only what is not filed is sorted.
            let sorts = |lines: &[String]| lines.iter().any(|line| line.contains("TEMP B-TREE"));
            assert!(!sorts(&plan[filed..rest]) && !sorts(&plan[page..]), "{plan:#?}");
            assert!(
                plan[rest + 1].ends_with("(event_key>?)") || plan[rest + 1].ends_with("(rowid>?)"),
                "{plan:#?}"
            );
        }
    }
}
