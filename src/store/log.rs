//! Reading the delivery log: pages, and the attempts of single records.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{DbErr, Value};

use super::{
    Store,
    failure::Failure,
    log_page::{LogRange, LogScan, RECORD, statement},
    rows::{Row, duration},
};
use crate::domain::{
    delivery::{Attempt, AttemptOutcome, AttemptSummary, LogRecord},
    error::Result,
    id::{EventId, TenantKey, WebhookKey},
    limits,
    webhook::Header,
};

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
