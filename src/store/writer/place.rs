//! The end of a transaction: only here do changes of deliveries get their positions in the
//! journal. Everything that needs none was written before, so where many write at once a
//! journal's head is locked for a moment only, and commits follow each other in the order
//! of its positions.

use std::collections::BTreeMap;

use sea_orm::Value;

use super::{
    arrival::{Arrival, Commit, NewDelivery},
    transaction::WriteTx,
};
use crate::{
    domain::{
        delivery::{ChangeKind, DeliveryState},
        id::{EventKey, Position, TenantKey, WebhookKey},
        time::{Timestamp, micros},
    },
    store::{
        bulk::Bulk,
        failure::{Failure, corrupt},
        rows::Row,
    },
};

/// A change of a delivery, on its way into the journal.
#[derive(Clone, Debug)]
pub(in crate::store) struct Entry {
    pub(in crate::store) event_key: EventKey,
    pub(in crate::store) webhook_key: WebhookKey,
    pub(in crate::store) kind: ChangeKind,
    pub(in crate::store) time: Timestamp,
    pub(in crate::store) state: DeliveryState,
}

/// What a transaction appends to a tenant's journal: new deliveries, then other changes.
#[derive(Default)]
pub(super) struct Open {
    /// Without their positions yet.
    pub(super) accepted: Vec<NewDelivery>,
    pub(super) changes: Vec<Entry>,
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> i64 {
        (self.accepted.len() + self.changes.len()) as i64
    }

    fn newest(&self) -> Timestamp {
        let accepted = self.accepted.iter().map(|new| new.event.ingest_time);
        accepted.chain(self.changes.iter().map(|entry| entry.time)).max().unwrap_or_default()
    }
}

/// Where the next entry of a journal goes.
struct Place {
    position: Position,
    time: Timestamp,
}

impl Place {
    /// Takes the next position. Times never go back within a journal, whatever the clock
    /// does.
    fn next(&mut self, time: Timestamp) -> (Position, Timestamp) {
        self.position.0 += 1;
        self.time = self.time.max(time);
        (self.position, self.time)
    }
}

static INSERT_CHANGES: Bulk = Bulk::new(
    "INSERT INTO journal (tenant_key, position, event_key, webhook_key, kind, change_time, status,
     attempt_count, due_time, start_time, end_time, sla_breach_time, outcome, http_status,
     time_taken, error_text)",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "",
);

// As in `ChangeKind::Accepted` and `DeliveryState::ACCEPTED`: half of all entries, and
// nothing but keys and a time in them differs.
static INSERT_ACCEPTED: Bulk = Bulk::new(
    "INSERT INTO journal (tenant_key, position, event_key, webhook_key, change_time, kind, status,
     attempt_count)",
    "(?, ?, ?, ?, ?, 1, 1, 0)",
    "",
);

// As in `DeliveryState::ACCEPTED`.
static INSERT_DELIVERIES: Bulk = Bulk::new(
    "INSERT INTO deliveries (event_key, webhook_key, tenant_key, ingest_time, position, status,
     attempt_count, sla_due_time, order_key)",
    "(?, ?, ?, ?, ?, 1, 0, ?, ?)",
    "",
);

/// Writes all that is open. Returns what the engine is to hear of it.
pub(super) async fn place(
    tx: &WriteTx,
    open: BTreeMap<TenantKey, Open>,
) -> Result<Vec<Commit>, Failure> {
    let mut commits = Vec::with_capacity(open.len());
    let (mut accepted, mut changes, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, open) in open {
        let mut place = raise(tx, tenant, &open).await?;
        let first = Position(place.position.0 + 1);
        let mut arrivals = Vec::with_capacity(open.accepted.len());
        for mut new in open.accepted {
            let (position, time) = place.next(new.event.ingest_time);
            new.position = position;
            push_accepted(&mut accepted, tenant, time, &new);
            push_delivery(&mut deliveries, tenant, &new);
            arrivals.push(Arrival::New(new));
        }
        for entry in &open.changes {
            let (position, time) = place.next(entry.time);
            push_change(&mut changes, tenant, position, time, entry);
        }
        commits.push(Commit { tenant, first, last: place.position, arrivals });
    }
    INSERT_ACCEPTED.run(tx.sql(), accepted).await?;
    INSERT_DELIVERIES.run(tx.sql(), deliveries).await?;
    INSERT_CHANGES.run(tx.sql(), changes).await?;
    Ok(commits)
}

/// Makes room for what is open, after the newest entry of the tenant's journal.
async fn raise(tx: &WriteTx, tenant: TenantKey, open: &Open) -> Result<Place, Failure> {
    let sql = "UPDATE journal_heads SET head = head + $1, previous_time = head_time,
                 head_time = CASE WHEN head_time < $2 THEN $2 ELSE head_time END
               WHERE tenant_key = $3 RETURNING head, previous_time";
    let values = [open.len().into(), open.newest().micros().into(), tenant.0.into()];
    let rows = tx.query(sql, values).await?;
    let row = rows.first().map(Row).ok_or_else(|| corrupt("tenant: it has no journal"))?;
    let head: i64 = row.get("head")?;
    Ok(Place { position: Position(head - open.len()), time: row.time("previous_time")? })
}

fn push_accepted(to: &mut Vec<Value>, tenant: TenantKey, time: Timestamp, new: &NewDelivery) {
    to.extend([
        tenant.0.into(),
        new.position.0.into(),
        new.event_key.0.into(),
        new.target.webhook_key.0.into(),
        time.micros().into(),
    ]);
}

fn push_delivery(to: &mut Vec<Value>, tenant: TenantKey, new: &NewDelivery) {
    to.extend([
        new.event_key.0.into(),
        new.target.webhook_key.0.into(),
        tenant.0.into(),
        new.event.ingest_time.micros().into(),
        new.position.0.into(),
        new.target.sla_due_time.map(Timestamp::micros).into(),
        new.target.order.map(|order| order.0).into(),
    ]);
}

fn push_change(
    to: &mut Vec<Value>,
    tenant: TenantKey,
    at: Position,
    time: Timestamp,
    entry: &Entry,
) {
    let optional = |time: Option<Timestamp>| Value::from(time.map(Timestamp::micros));
    let DeliveryState { status, attempt_count, due_time, start_time, end_time, .. } = entry.state;
    let last = entry.state.last.as_ref();
    let error = last.filter(|last| !last.error.is_empty()).map(|last| last.error.clone());
    to.extend([
        tenant.0.into(),
        at.0.into(),
        entry.event_key.0.into(),
        entry.webhook_key.0.into(),
        entry.kind.number().into(),
        time.micros().into(),
        status.number().into(),
        i64::from(attempt_count).into(),
        optional(due_time),
        optional(start_time),
        optional(end_time),
        optional(entry.state.sla_breach_time),
        last.map(|last| last.outcome.number()).into(),
        last.map(|last| i32::from(last.http_status)).into(),
        last.map(|last| micros(last.time_taken)).into(),
        error.into(),
    ]);
}
