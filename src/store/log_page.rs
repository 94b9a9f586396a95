//! The query for a page of the delivery log: a keyset page over the index that fits the
//! question.

use sea_orm::Value;
use serde::{Deserialize, Serialize};

use super::{
    dialect::Dialect,
    ingested::{EVENTS, Source, everywhere},
};
use crate::domain::{
    delivery::LogRecord,
    id::{EventId, EventKey, TenantKey, WebhookKey},
    time::Timestamp,
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

/// What a record is read from: events `e`, deliveries `d` and webhooks `w`.
pub(super) const RECORD: &str = "e.event_key, e.event_id, e.event_name, e.ref_id, e.request_id, e.ingest_time, \
    e.attributes, w.webhook_key, w.webhook_id, w.consumer_group_id, d.status, d.attempt_count, \
    d.due_time, d.start_time, d.end_time, d.sla_breach_time, d.outcome, d.http_status, d.time_taken, \
    d.error_text";

/// What was asked for, as a query and its values.
pub(super) fn statement(
    dialect: Dialect,
    tenant: TenantKey,
    scan: &LogScan,
    range: LogRange,
) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![tenant.0.into()];
    let conditions = conditions(scan, range, &mut |value| {
        values.push(value);
        format!("${}", values.len())
    });
    let join = dialect.ordered_join();
    let deliveries = format!("{join} deliveries d ON d.event_key = e.event_key");
    let events = "JOIN events e ON e.event_key = d.event_key";
    let webhooks = "JOIN webhooks w ON w.webhook_key = d.webhook_key";
    // What the key of a record needs, and what else is to be joined then.
    let (sources, of_key, rest) = match scan {
        LogScan::Webhook(_) => (dialect.deliveries_ingested(), "", events),
        LogScan::All => (dialect.events_ingested(), deliveries.as_str(), ""),
        _ => (&[EVENTS][..], deliveries.as_str(), ""),
    };
    let found = |Source { from, by, only }: &Source| {
        let conditions = conditions.replace("{by}", by);
        (format!("FROM {from} {of_key}"), format!("WHERE {only} AND {conditions}"))
    };
    let order = if range.ascending { "ASC" } else { "DESC" };
    let limited = |by: &str, webhook: &str| {
        format!(
            "ORDER BY {by}ingest_time {order}, {by}event_key {order}, {webhook}webhook_key {order}
             LIMIT {}",
            range.limit
        )
    };
    let sql = if let [source] = sources {
        let (from, conditions) = found(source);
        let limited = limited(&format!("{}.", source.by), "d.");
        format!("SELECT {RECORD} {from} {rest} {webhooks} {conditions} {limited}")
    } else {
        // Where there is no index all keys are read, but no more than these.
        let keys = everywhere(sources, |source| {
            let ((from, conditions), by) = (found(source), source.by);
            format!(
                "SELECT {by}.ingest_time AS ingest_time, {by}.event_key AS event_key,
                   d.webhook_key AS webhook_key {from} {conditions}"
            )
        });
        format!(
            "SELECT {RECORD} FROM ({keys} {}) k
             {join} deliveries d ON d.event_key = k.event_key AND d.webhook_key = k.webhook_key
             {events} {webhooks} {}",
            limited("", ""),
            limited("k.", "k.")
        )
    };
    (sql, values)
}

/// What is to hold of the records; `{by}` stands for what their order is read from. The tenant
/// is the first value, and `bind` adds others.
fn conditions(scan: &LogScan, range: LogRange, bind: &mut dyn FnMut(Value) -> String) -> String {
    // The order of a webhook's records says nothing of the tenant.
    let mut conditions = match scan {
        LogScan::Webhook(_) => "d.tenant_key = $1".to_owned(),
        _ => "{by}.tenant_key = $1".to_owned(),
    };
    conditions += &match scan {
        LogScan::Event(id) => format!(" AND e.event_id = {}", bind(id.0.into())),
        LogScan::Ref(id) => {
            format!(" AND e.ref_id <> '' AND e.ref_id = {}", bind(id.as_str().into()))
        }
        LogScan::Request(id) => {
            format!(" AND e.request_id <> '' AND e.request_id = {}", bind(id.as_str().into()))
        }
        LogScan::Webhook(key) => format!(" AND {{by}}.webhook_key = {}", bind(key.0.into())),
        LogScan::All => String::new(),
    };
    if let Some(start) = range.start {
        conditions += &format!(" AND {{by}}.ingest_time >= {}", bind(start.micros().into()));
    }
    if let Some(end) = range.end {
        conditions += &format!(" AND {{by}}.ingest_time < {}", bind(end.micros().into()));
    }
    if let Some(after) = range.after {
        let beyond = if range.ascending { ">" } else { "<" };
        let ingest = bind(after.ingest.micros().into());
        let (event, webhook) = (bind(after.event.0.into()), bind(after.webhook.0.into()));
        conditions += &format!(
            " AND {{by}}.ingest_time {beyond}= {ingest} AND ({{by}}.ingest_time, {{by}}.event_key,
             d.webhook_key) {beyond} ({ingest}, {event}, {webhook})"
        );
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query_plan::query_plan;

    #[tokio::test]
    async fn a_page_of_a_file_is_read_from_the_index_but_for_what_is_not_filed() {
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
            let (sql, _) = statement(Dialect::Sqlite, TenantKey(1), scan, range);
            let plan = query_plan(&sql).await;
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
