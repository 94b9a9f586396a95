//! What lanes read: deliveries that wait, in order, and those that are due.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sea_orm::{DbErr, Statement, StreamTrait, Value};

use super::{Store, failure::Failure, rows::Row};
use crate::domain::{
    delivery::DeliveryState,
    error::Result,
    event::Event,
    id::{EventKey, Position, WebhookKey},
    time::Timestamp,
};

/// A delivery as its lane takes it over.
#[derive(Clone, Debug)]
pub struct StoredDelivery {
    /// Its place in the lane.
    pub position: Position,
    /// Key of its event.
    pub event_key: EventKey,
    /// Its event.
    pub event: Arc<Event>,
    /// Where it stands.
    pub state: DeliveryState,
    /// When its SLA ends.
    pub sla_due_time: Option<Timestamp>,
}

/// Part of what a lane has in the database.
#[derive(Debug)]
pub struct LaneBacklog {
    /// Deliveries, in the order asked for.
    pub deliveries: Vec<StoredDelivery>,
    /// Whether this is all there was.
    pub complete: bool,
}

const COLUMNS: &str = "d.position, d.status, d.attempt_count, d.due_time, d.start_time, d.end_time, \
    d.sla_due_time, d.sla_breach_time, d.outcome, d.http_status, d.time_taken, d.error_text, \
    e.event_key, e.event_id, e.event_name, e.ref_id, e.request_id, e.ingest_time, e.occur_time, \
    e.attributes, e.payload";

impl Store {
    /// Deliveries that wait for their turn after a position, in order: at most
    /// `limit`, and no more once their payloads exceed `bytes`.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn waiting(
        &self,
        lane: WebhookKey,
        after: Position,
        limit: usize,
        bytes: usize,
    ) -> Result<LaneBacklog> {
        // The conditions are written as the partial index has them, or it is not used.
        let sql = format!(
            "SELECT {COLUMNS} FROM deliveries d JOIN events e ON e.event_key = d.event_key
             WHERE d.webhook_key = $1 AND d.status = 1 AND d.due_time IS NULL AND d.position > $2
             ORDER BY d.position LIMIT {limit}"
        );
        Ok(self.backlog(sql, vec![lane.0.into(), after.0.into()], limit, bytes).await?)
    }

    /// Deliveries of which an attempt is due at `now`, the longest due first.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn due(
        &self,
        lane: WebhookKey,
        now: Timestamp,
        limit: usize,
        bytes: usize,
    ) -> Result<LaneBacklog> {
        let sql = format!(
            "SELECT {COLUMNS} FROM deliveries d JOIN events e ON e.event_key = d.event_key
             WHERE d.webhook_key = $1 AND d.due_time IS NOT NULL AND d.due_time <= $2
             ORDER BY d.due_time LIMIT {limit}"
        );
        Ok(self.backlog(sql, vec![lane.0.into(), now.micros().into()], limit, bytes).await?)
    }

    /// When the first attempt after `now` is due.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn next_due(&self, lane: WebhookKey, now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT MIN(due_time) AS due FROM deliveries
                   WHERE webhook_key = $1 AND due_time IS NOT NULL AND due_time > $2";
        let rows = self.query(sql, [lane.0.into(), now.micros().into()]).await?;
        let due = rows.first().map(|row| Row(row).optional_time("due")).transpose();
        Ok(due.map_err(Failure::from)?.flatten())
    }

    async fn backlog(
        &self,
        sql: String,
        values: Vec<Value>,
        limit: usize,
        bytes: usize,
    ) -> std::result::Result<LaneBacklog, Failure> {
        let statement =
            Statement::from_sql_and_values(self.readers.get_database_backend(), sql, values);
        let mut rows = self.readers.stream_raw(statement).await?;
        let (mut deliveries, mut size) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let delivery = read(&Row(&row))?;
            size += delivery.event.payload.len();
            deliveries.push(delivery);
            if size > bytes {
                return Ok(LaneBacklog { deliveries, complete: false });
            }
        }
        let complete = deliveries.len() < limit;
        Ok(LaneBacklog { deliveries, complete })
    }
}

fn read(row: &Row<'_>) -> std::result::Result<StoredDelivery, DbErr> {
    Ok(StoredDelivery {
        position: Position(row.get("position")?),
        event_key: EventKey(row.get("event_key")?),
        event: Arc::new(row.event()?),
        state: row.state()?,
        sla_due_time: row.optional_time("sla_due_time")?,
    })
}
