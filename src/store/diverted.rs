//! Reading diverted events. Those that wait for a decision are deliveries; of those
//! that were replayed or discarded a row remains beside the delivery, which goes on.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{DbErr, Value};

use super::{Store, failure::Failure, log::read_attempt, rows::Row};
use crate::domain::{
    actor::Attribution,
    delivery::DivertReason,
    diverted::{DivertedAt, DivertedEvent, DivertedLabel, DivertedState},
    error::Result,
    id::{EventKey, EventLogId, TenantKey, WebhookId, WebhookKey},
    time::Timestamp,
};

/// Those that wait for a decision.
const PENDING: &str = "SELECT end_time AS divert_time, event_key, webhook_key, \
    divert_reason AS reason, 1 AS state FROM deliveries \
    WHERE tenant_key = $1 AND divert_reason IS NOT NULL AND end_time >= $2 \
    AND (end_time, event_key, webhook_key) > ($2, $3, $4) AND end_time <= $5";
/// The others, but for those that were diverted once more meanwhile.
const RESOLVED: &str = "SELECT r.divert_time AS divert_time, r.event_key AS event_key, \
    r.webhook_key AS webhook_key, r.reason, r.state \
    FROM resolutions r JOIN deliveries d ON d.event_key = r.event_key \
    AND d.webhook_key = r.webhook_key AND d.divert_reason IS NULL \
    WHERE r.tenant_key = $1 AND r.divert_time >= $2 \
    AND (r.divert_time, r.event_key, r.webhook_key) > ($2, $3, $4) AND r.divert_time <= $5";

/// Which diverted events a scan reads.
#[derive(Clone, Copy, Debug)]
pub struct DivertedScan {
    /// Those that were replayed or discarded too.
    pub resolved: bool,
    /// After this place.
    pub after: DivertedAt,
    /// Diverted at the latest then.
    pub until: Timestamp,
    /// Most of them.
    pub limit: usize,
}

impl Store {
    /// The next diverted events of a tenant, oldest first.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn scan_diverted(
        &self,
        tenant: TenantKey,
        scan: DivertedScan,
    ) -> Result<Vec<DivertedLabel>> {
        let page = format!("ORDER BY divert_time, event_key, webhook_key LIMIT {}", scan.limit);
        // Each by its own index, no further than the page goes.
        let mut arms = format!("SELECT * FROM ({PENDING} {page}) AS pending");
        if scan.resolved {
            arms += &format!(" UNION ALL SELECT * FROM ({RESOLVED} {page}) AS resolved");
        }
        let sql = format!(
            "SELECT c.*, e.event_name FROM ({arms} {page}) c
             JOIN events e ON e.event_key = c.event_key
             ORDER BY c.divert_time, c.event_key, c.webhook_key"
        );
        let DivertedAt { divert_time, event, webhook } = scan.after;
        let values = [
            tenant.0.into(),
            divert_time.micros().into(),
            event.0.into(),
            webhook.0.into(),
            scan.until.micros().into(),
        ];
        let rows = self.query(&sql, values).await?;
        let labels = rows.iter().map(|row| read_label(&Row(row)));
        Ok(labels.collect::<std::result::Result<_, DbErr>>().map_err(Failure::from)?)
    }

    /// The diverted event of that id.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn find_diverted(
        &self,
        tenant: TenantKey,
        id: EventLogId,
    ) -> Result<Option<DivertedLabel>> {
        let sql = "SELECT COALESCE(r.divert_time, d.end_time) AS divert_time, d.event_key,
                   d.webhook_key, COALESCE(r.reason, d.divert_reason) AS reason,
                   COALESCE(r.state, 1) AS state, e.event_name
                   FROM events e JOIN webhooks w ON w.webhook_id = $3
                   JOIN deliveries d ON d.event_key = e.event_key AND d.webhook_key = w.webhook_key
                   LEFT JOIN resolutions r ON r.event_key = d.event_key
                     AND r.webhook_key = d.webhook_key AND d.divert_reason IS NULL
                   WHERE e.tenant_key = $1 AND e.event_id = $2
                     AND (d.divert_reason IS NOT NULL OR r.state IS NOT NULL)";
        let values = [tenant.0.into(), id.event_id.0.into(), id.webhook_id.to_string().into()];
        let rows = self.query(sql, values).await?;
        let label = rows.first().map(|row| read_label(&Row(row))).transpose();
        Ok(label.map_err(Failure::from)?)
    }

    /// The keys of those of these webhooks that the tenant has or had.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn webhook_keys(
        &self,
        tenant: TenantKey,
        ids: &[WebhookId],
    ) -> Result<Vec<WebhookKey>> {
        // Ids of ours are hex digits only.
        let list: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
        let sql = format!(
            "SELECT webhook_key FROM webhooks WHERE tenant_key = $1 AND webhook_id IN ({})",
            list.join(", ")
        );
        let rows = self.query(&sql, [tenant.0.into()]).await?;
        let keys = rows.iter().map(|row| Row(row).get("webhook_key").map(WebhookKey));
        Ok(keys.collect::<std::result::Result<_, DbErr>>().map_err(Failure::from)?)
    }

    /// Diverted events in full, in the order asked for; with payloads and sent headers
    /// where `full`. What has gone meanwhile is left out.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn diverted(
        &self,
        labels: &[DivertedLabel],
        full: bool,
    ) -> Result<Vec<DivertedEvent>> {
        Ok(self.read_diverted(labels, full).await?)
    }

    async fn read_diverted(
        &self,
        labels: &[DivertedLabel],
        full: bool,
    ) -> std::result::Result<Vec<DivertedEvent>, Failure> {
        let payload = if full { "e.payload" } else { "'' AS payload" };
        let sql = format!(
            "SELECT d.event_key, d.webhook_key, w.webhook_id, e.event_id, e.event_name, e.ref_id,
             e.request_id, e.ingest_time, e.occur_time, e.attributes,
             COALESCE(r.attempt_count, d.attempt_count) AS attempt_count, r.resolve_time, r.actor,
             a.attempt_number, a.start_time, a.end_time, a.outcome, a.http_status, a.time_taken,
             a.error_text, a.body_excerpt, a.webhook_version, {payload}
             FROM deliveries d JOIN events e ON e.event_key = d.event_key
             JOIN webhooks w ON w.webhook_key = d.webhook_key
             LEFT JOIN resolutions r ON r.event_key = d.event_key
               AND r.webhook_key = d.webhook_key AND d.divert_reason IS NULL
             LEFT JOIN attempts a ON a.event_key = d.event_key AND a.webhook_key = d.webhook_key
               AND a.attempt_number = COALESCE(r.attempt_count, d.attempt_count)
             WHERE (d.event_key, d.webhook_key) IN (VALUES {})",
            keys(labels.iter().map(|label| label.at))
        );
        if labels.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = HashMap::new();
        for row in self.query(&sql, Vec::<Value>::new()).await?.iter().map(Row) {
            let key: (i64, i64) = (row.get("event_key")?, row.get("webhook_key")?);
            let event = row.event()?;
            let id = EventLogId { event_id: event.event_id, webhook_id: row.id("webhook_id")? };
            let attempt = match row.get::<Option<i64>>("attempt_number")? {
                Some(_) => Some(read_attempt(&row)?),
                None => None,
            };
            let resolution = match row.optional_time("resolve_time")? {
                Some(time) => Some(Attribution::new(time, row.json("actor")?)),
                None => None,
            };
            found.insert(key, (id, event, row.count("attempt_count")?, attempt, resolution));
        }
        let mut events = Vec::with_capacity(labels.len());
        for label in labels {
            let (at, key) = (label.at, (label.at.event.0, label.at.webhook.0));
            let Some((id, event, attempt_count, attempt, resolution)) = found.remove(&key) else {
                continue;
            };
            let last_attempt = match attempt {
                Some(attempt) if full => {
                    let headers = self.headers(at.webhook, attempt.webhook_version).await?;
                    Some((attempt, headers))
                }
                attempt => attempt.map(|attempt| (attempt, Arc::default())),
            };
            let DivertedLabel { reason, state, .. } = *label;
            events.push(DivertedEvent {
                at,
                id,
                event,
                reason,
                state,
                attempt_count,
                last_attempt,
                resolution,
            });
        }
        Ok(events)
    }
}

/// Keys of deliveries as rows of a VALUES clause: only numbers of our own.
pub(super) fn keys(places: impl Iterator<Item = DivertedAt>) -> String {
    places.map(|at| format!("({}, {})", at.event.0, at.webhook.0)).collect::<Vec<_>>().join(", ")
}

fn read_label(row: &Row<'_>) -> std::result::Result<DivertedLabel, DbErr> {
    Ok(DivertedLabel {
        at: DivertedAt {
            divert_time: row.time("divert_time")?,
            event: EventKey(row.get("event_key")?),
            webhook: WebhookKey(row.get("webhook_key")?),
        },
        event_name: row.get("event_name")?,
        reason: row.number("reason", DivertReason::from_number)?,
        state: row.number("state", DivertedState::from_number)?,
    })
}
