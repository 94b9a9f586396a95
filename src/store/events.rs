//! Reading events.

use super::{Store, failure::Failure, rows::Row};
use crate::domain::{
    delivery::DeliveryStatus,
    error::Result,
    event::Event,
    id::{EventId, EventKey, TenantKey, WebhookId, WebhookKey},
};

/// A webhook that a published event goes to.
#[derive(Clone, Debug)]
pub struct EventTarget {
    /// Its key.
    pub webhook_key: WebhookKey,
    /// Its public id.
    pub webhook_id: WebhookId,
    /// Its name, or the last one it had.
    pub webhook_name: String,
    /// Where the delivery stands.
    pub status: DeliveryStatus,
}

impl Store {
    /// An event of that id, payload included.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn event(&self, tenant: TenantKey, id: EventId) -> Result<Option<(EventKey, Event)>> {
        let sql =
            "SELECT event_key, event_id, event_name, ref_id, request_id, ingest_time, occur_time,
                   ordering_key, attributes, enrichments, payload FROM events WHERE tenant_key = $1 AND event_id = $2";
        let rows = self.query(sql, [tenant.0.into(), id.0.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok((EventKey(row.get("event_key")?), row.event()?))
        };
        Ok(rows.first().map(read).transpose()?)
    }

    /// How many webhooks an event goes to, be the deliveries made or left for later.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn delivery_count(&self, tenant: TenantKey, event: EventKey) -> Result<usize> {
        let sql = "SELECT (SELECT COUNT(*) FROM deliveries WHERE event_key = $2) +
                   (SELECT COALESCE(SUM(target_count), 0) FROM expansions
                    WHERE tenant_key = $1 AND event_key = $2) AS deliveries";
        let rows = self.query(sql, [tenant.0.into(), event.0.into()]).await?;
        let count: i64 = match rows.first() {
            Some(row) => Row(row).get("deliveries").map_err(Failure::from)?,
            None => 0,
        };
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The webhooks that an event goes to, those among them that were deleted since.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn event_targets(&self, event: EventKey) -> Result<Vec<EventTarget>> {
        let sql = "SELECT d.webhook_key, w.webhook_id, w.name, d.status FROM deliveries d
                   JOIN webhooks w ON w.webhook_key = d.webhook_key WHERE d.event_key = $1";
        let rows = self.query(sql, [event.0.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok(EventTarget {
                webhook_key: WebhookKey(row.get("webhook_key")?),
                webhook_id: row.id("webhook_id")?,
                webhook_name: row.get("name")?,
                status: row.number("status", DeliveryStatus::from_number)?,
            })
        };
        Ok(rows.iter().map(read).collect::<std::result::Result<_, _>>()?)
    }
}
