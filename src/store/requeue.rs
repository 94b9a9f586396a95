//! Changes of deliveries that no attempt made: put back by hand, diverted because
//! their webhook was stopped.

use sea_orm::Value;

use super::{
    NodeKey, Store, WriteTx,
    bulk::{
        Bulk,
        Kind::{Number, OptionalNumber},
    },
    failure::Failure,
    job_batch::{Resolution, keep_resolutions},
    rows::Row,
    webhooks,
    writer::Entry,
};
use crate::domain::{
    actor::Actor,
    delivery::{ChangeKind, DeliveryState, DeliveryStatus, DivertReason},
    diverted::DivertedState,
    error::{Error, Reason, Result},
    id::{EventKey, Position, TenantKey, WebhookKey},
    order::OrderKey,
    time::Timestamp,
};

/// What a delivery became that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// Where it stands now.
    pub state: DeliveryState,
    /// The deliveries that it waits for.
    pub order: Option<OrderKey>,
}

impl Store {
    /// Asks for one more attempt of a delivery now. One that waits is moved up, one
    /// that was given up is pending again, one that succeeded stays succeeded.
    ///
    /// An order is kept: one that waits for others goes on waiting for them, one that
    /// was given up joins at the end; one that succeeded has left the order for good.
    ///
    /// # Errors
    ///
    /// `EVENT_LOG_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn requeue(
        &self,
        tenant: TenantKey,
        event: EventKey,
        webhook: WebhookKey,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Requeued> {
        Ok(self.put_back(tenant, event, webhook, by, now).await?)
    }

    async fn put_back(
        &self,
        tenant: TenantKey,
        event: EventKey,
        webhook: WebhookKey,
        by: &Actor,
        now: Timestamp,
    ) -> std::result::Result<Requeued, Failure> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT * FROM deliveries WHERE event_key = $1 AND webhook_key = $2
             AND tenant_key = $3 {}",
            tx.dialect().locking("deliveries")
        );
        let rows = tx.query(&sql, [event.0.into(), webhook.0.into(), tenant.0.into()]).await?;
        let Some(row) = rows.first().map(Row) else {
            return Err(Error::new(Reason::EventLogNotFound, "no such delivery record").into());
        };
        let mut state = row.state()?;
        let mut order = row.get::<Option<i64>>("order_key")?.map(OrderKey);
        let diverted = row.get::<Option<i32>>("divert_reason")?.map(|reason| Resolution {
            event,
            webhook,
            divert_time: state.end_time,
            reason,
            attempt_count: state.attempt_count,
        });
        match state.status {
            DeliveryStatus::Pending if order.is_some() => return Ok(Requeued { state, order }),
            DeliveryStatus::Pending | DeliveryStatus::Retrying => {}
            DeliveryStatus::Diverted | DeliveryStatus::Dropped => {
                state.status = DeliveryStatus::Pending;
                state.end_time = None;
            }
            DeliveryStatus::Succeeded => {
                keep_first_attempt(&tx, event, webhook).await?;
                order = None;
            }
        }
        let joins_the_end = order.is_some() && state.status == DeliveryStatus::Pending;
        state.due_time = (!joins_the_end).then_some(now);
        let entry = Entry {
            event_key: event,
            webhook_key: webhook,
            kind: ChangeKind::Requeued,
            time: now,
            state,
        };
        if let Some(diverted) = diverted {
            let by = (DivertedState::Replayed, by, None);
            keep_resolutions(&tx, tenant, &[diverted], by, now).await?;
        }
        let mut position = tx.append(tenant, std::slice::from_ref(&entry)).await?;
        if joins_the_end {
            tx.put_back(tenant, webhook, position, order);
        } else if order.is_some() {
            // It is the next of its order, and keeps that place.
            position = Position(row.get("position")?);
        }
        // Settling as failed has ended the clock of the SLA.
        let sql = "UPDATE deliveries SET status = $1, end_time = $2, due_time = $3, position = $4, order_key = $5,
                   sla_due_time = CASE WHEN divert_reason IS NULL THEN sla_due_time END,
                   divert_reason = NULL WHERE event_key = $6 AND webhook_key = $7";
        let values = [
            entry.state.status.number().into(),
            entry.state.end_time.map(Timestamp::micros).into(),
            entry.state.due_time.map(Timestamp::micros).into(),
            position.0.into(),
            order.map(|order| order.0).into(),
            event.0.into(),
            webhook.0.into(),
        ];
        tx.execute(sql, values).await?;
        tx.commit().await?;
        Ok(Requeued { state: entry.state, order })
    }

    /// Diverts up to `limit` of the deliveries that wait at a webhook which was
    /// stopped or deleted, but for those that are being attempted. Returns how many:
    /// none where it takes events again.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`, also where the node has lost its lease.
    pub async fn divert_waiting(
        &self,
        node: NodeKey,
        tenant: TenantKey,
        webhook: WebhookKey,
        except: &[EventKey],
        now: Timestamp,
        limit: usize,
    ) -> Result<usize> {
        Ok(self.divert_batch(node, tenant, webhook, except, now, limit).await?)
    }

    async fn divert_batch(
        &self,
        node: NodeKey,
        tenant: TenantKey,
        webhook: WebhookKey,
        except: &[EventKey],
        now: Timestamp,
        limit: usize,
    ) -> std::result::Result<usize, Failure> {
        let mut tx = self.begin().await?;
        tx.hold([tenant], [node]).await?;
        // Started again meanwhile: what waits now is for its attempts.
        if webhooks::takes_events(&tx, &self.secret_keys, webhook).await? {
            return Ok(0);
        }
        let limit = limit + except.len();
        let locking = tx.dialect().locking("deliveries");
        // Two queries, as the partial indexes have it; one that succeeded and was
        // to be sent once more just stays succeeded.
        let mut rows = Vec::new();
        for waiting in ["status = 1 AND due_time IS NULL", "due_time IS NOT NULL"] {
            let sql = format!(
                "SELECT * FROM deliveries WHERE webhook_key = $1 AND {waiting} LIMIT {limit}
                 {locking}"
            );
            rows.extend(tx.query(&sql, [webhook.0.into()]).await?);
        }
        let mut entries = Vec::new();
        for row in rows.iter().map(Row) {
            let event_key = EventKey(row.get("event_key")?);
            if except.contains(&event_key) {
                continue;
            }
            let mut state = row.state()?;
            state.due_time = None;
            if !state.status.is_settled() {
                state.status = DeliveryStatus::Diverted;
                state.end_time = Some(now);
            }
            entries.push(Entry {
                event_key,
                webhook_key: webhook,
                kind: ChangeKind::Settled,
                time: now,
                state,
            });
        }
        if entries.is_empty() {
            return Ok(0);
        }
        let count = entries.len();
        divert(&mut tx, tenant, entries, DivertReason::WebhookStopped).await?;
        tx.commit().await?;
        Ok(count)
    }
}

static DIVERT: Bulk = Bulk::update(
    "UPDATE deliveries SET status = new.status, end_time = new.end_time, due_time = NULL,
        divert_reason = new.divert_reason
     FROM new
     WHERE deliveries.event_key = new.event_key AND deliveries.webhook_key = new.webhook_key",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("status", Number),
        ("end_time", OptionalNumber),
        ("divert_reason", OptionalNumber),
    ],
);

/// Writes deliveries that are given up; those among them that succeeded stay so.
pub(super) async fn divert(
    tx: &mut WriteTx,
    tenant: TenantKey,
    entries: Vec<Entry>,
    reason: DivertReason,
) -> std::result::Result<(), Failure> {
    let mut values: Vec<Value> = Vec::with_capacity(entries.len() * 5);
    for entry in &entries {
        let diverted = entry.state.status == DeliveryStatus::Diverted;
        values.extend([
            entry.event_key.0.into(),
            entry.webhook_key.0.into(),
            entry.state.status.number().into(),
            entry.state.end_time.map(Timestamp::micros).into(),
            diverted.then_some(reason.number()).into(),
        ]);
    }
    DIVERT.run(tx.sql(), values).await?;
    tx.note(tenant, entries);
    Ok(())
}

/// A delivery that succeeded at once has its attempt in its own row, which the
/// next attempt will overwrite.
async fn keep_first_attempt(
    tx: &WriteTx,
    event: EventKey,
    webhook: WebhookKey,
) -> std::result::Result<(), Failure> {
    let sql = "INSERT INTO attempts (event_key, webhook_key, attempt_number, start_time, end_time,
               outcome, http_status, time_taken, error_text, body_excerpt, webhook_version)
               SELECT event_key, webhook_key, 1, attempt_start_time, end_time, outcome, http_status,
               time_taken, '', COALESCE(body_excerpt, ''), webhook_version FROM deliveries
               WHERE event_key = $1 AND webhook_key = $2 AND attempt_count = 1
               ON CONFLICT (event_key, webhook_key, attempt_number) DO NOTHING";
    let values: [Value; 2] = [event.0.into(), webhook.0.into()];
    tx.execute(sql, values).await?;
    Ok(())
}
