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
        bulk::{
            Bulk,
            Kind::{Number, OptionalNumber, OptionalText},
        },
        dialect::Dialect,
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
    /// The place before what is open, of which the journal's row knows already.
    fn before(open: &Open, head: &Row<'_>) -> Result<Self, Failure> {
        let position = Position(head.get::<i64>("head")? - open.len());
        Ok(Self { position, time: head.time("previous_time")? })
    }

    /// Takes the next position. Times never go back within a journal, whatever the clock
    /// does.
    fn next(&mut self, time: Timestamp) -> (Position, Timestamp) {
        self.position.0 += 1;
        self.time = self.time.max(time);
        (self.position, self.time)
    }
}

static INSERT_CHANGES: Bulk = Bulk::insert(
    "journal",
    &[
        ("tenant_key", Number),
        ("position", Number),
        ("event_key", Number),
        ("webhook_key", Number),
        ("kind", Number),
        ("change_time", Number),
        ("status", Number),
        ("attempt_count", Number),
        ("due_time", OptionalNumber),
        ("start_time", OptionalNumber),
        ("end_time", OptionalNumber),
        ("sla_breach_time", OptionalNumber),
        ("outcome", OptionalNumber),
        ("http_status", OptionalNumber),
        ("time_taken", OptionalNumber),
        ("error_text", OptionalText),
    ],
);

// As in `ChangeKind::Accepted` and `DeliveryState::ACCEPTED`: half of all entries, and
// nothing but keys and a time in them differs.
static INSERT_ACCEPTED: Bulk = Bulk::insert(
    "journal",
    &[
        ("tenant_key", Number),
        ("position", Number),
        ("event_key", Number),
        ("webhook_key", Number),
        ("change_time", Number),
    ],
)
.with("kind, status, attempt_count", "1, 1, 0");

// As in `DeliveryState::ACCEPTED`.
static INSERT_DELIVERIES: Bulk = Bulk::insert(
    "deliveries",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("tenant_key", Number),
        ("ingest_time", Number),
        ("position", Number),
        ("sla_due_time", OptionalNumber),
        ("order_key", OptionalNumber),
    ],
)
.with("status, attempt_count", "1, 0");

/// What was placed.
pub(super) struct Placed {
    /// What the engine is to hear of it.
    pub(super) commits: Vec<Commit>,
    /// The server's name of the transaction, where there is a server.
    pub(super) transaction: Option<String>,
}

/// Writes all that is open.
pub(super) async fn place(
    tx: &WriteTx,
    open: BTreeMap<TenantKey, Open>,
) -> Result<Placed, Failure> {
    let (mut places, transaction) = match tx.dialect() {
        Dialect::Sqlite => (raise_each(tx, &open).await?, None),
        Dialect::Postgres => raise_all(tx, &open).await?,
    };
    let mut commits = Vec::with_capacity(open.len());
    let (mut accepted, mut changes, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, open) in open {
        let place = places.get_mut(&tenant).ok_or_else(|| corrupt("tenant: it has no journal"))?;
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
    Ok(Placed { commits, transaction })
}

/// Makes room for what is open after the newest entries of the journals, one after the
/// other.
async fn raise_each(
    tx: &WriteTx,
    open: &BTreeMap<TenantKey, Open>,
) -> Result<BTreeMap<TenantKey, Place>, Failure> {
    let sql = "UPDATE journal_heads SET head = head + $1, previous_time = head_time,
                 head_time = MAX(head_time, $2)
               WHERE tenant_key = $3 RETURNING head, previous_time";
    let mut places = BTreeMap::new();
    for (tenant, open) in open {
        let values = [open.len().into(), open.newest().micros().into(), tenant.0.into()];
        let rows = tx.query(sql, values).await?;
        let row = rows.first().map(Row).ok_or_else(|| corrupt("tenant: it has no journal"))?;
        places.insert(*tenant, Place::before(open, &row)?);
    }
    Ok(places)
}

/// The same at once. The journals are locked in the order of their keys, so that no two
/// transactions wait for each other. From here on until the commit nothing waits.
async fn raise_all(
    tx: &WriteTx,
    open: &BTreeMap<TenantKey, Open>,
) -> Result<(BTreeMap<TenantKey, Place>, Option<String>), Failure> {
    let sql = "WITH new AS (
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
                   AS new(tenant_key, entries, newest)),
               locked AS (
                 SELECT h.tenant_key FROM journal_heads h JOIN new USING (tenant_key)
                 ORDER BY h.tenant_key FOR UPDATE OF h)
               UPDATE journal_heads h SET head = h.head + new.entries,
                 previous_time = h.head_time, head_time = GREATEST(h.head_time, new.newest)
               FROM new JOIN locked USING (tenant_key) WHERE h.tenant_key = new.tenant_key
               RETURNING h.tenant_key, h.head, h.previous_time,
                 pg_current_xact_id()::text AS transaction";
    let list = |numbers: Vec<i64>| tx.dialect().list(numbers);
    let values = [
        list(open.keys().map(|tenant| tenant.0).collect()),
        list(open.values().map(Open::len).collect()),
        list(open.values().map(|open| open.newest().micros()).collect()),
    ];
    let (mut places, mut transaction) = (BTreeMap::new(), None);
    for row in tx.query(sql, values).await?.iter().map(Row) {
        let tenant = TenantKey(row.get("tenant_key")?);
        let Some(open) = open.get(&tenant) else { continue };
        places.insert(tenant, Place::before(open, &row)?);
        transaction = Some(row.get("transaction")?);
    }
    Ok((places, transaction))
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
