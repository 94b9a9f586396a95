//! Reading events.

use super::{Store, failure::Failure, rows::Row};
use crate::domain::{
    error::Result,
    event::Event,
    id::{EventId, EventKey, TenantKey},
};

impl Store {
    /// An event of that id, payload included.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn event(&self, tenant: TenantKey, id: EventId) -> Result<Option<(EventKey, Event)>> {
        let sql =
            "SELECT event_key, event_id, event_name, ref_id, request_id, ingest_time, occur_time,
                   ordering_key, attributes, payload FROM events WHERE tenant_key = $1 AND event_id = $2";
        let rows = self.query(sql, [tenant.0.into(), id.0.into()]).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok((EventKey(row.get("event_key")?), row.event()?))
        };
        Ok(rows.first().map(read).transpose()?)
    }

    /// How many webhooks an event goes to.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn delivery_count(&self, event: EventKey) -> Result<usize> {
        let sql = "SELECT COUNT(*) AS deliveries FROM deliveries WHERE event_key = $1";
        let rows = self.query(sql, [event.0.into()]).await?;
        let count: i64 = match rows.first() {
            Some(row) => Row(row).get("deliveries").map_err(Failure::from)?,
            None => 0,
        };
        Ok(usize::try_from(count).unwrap_or(0))
    }
}
