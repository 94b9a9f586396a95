//! The end of a transaction: only here do changes of deliveries get their positions in the
//! journal. Everything that needs none was written before, so where many write at once a
//! journal's head is locked for a moment only, and commits follow each other in the order
//! of its positions.

use std::{collections::BTreeMap, sync::LazyLock};

use sea_orm::{DbErr, Value};

use super::{
    arrival::{Arrival, Commit, NewDelivery},
    times::{ADD_TIMES, Sums},
    transaction::WriteTx,
};
use crate::{
    domain::{
        delivery::{ChangeKind, DeliveryState},
        id::{EventKey, Position, TenantKey, WebhookKey},
        time::Timestamp,
    },
    store::{
        bulk::{
            Bulk,
            Kind::{Bytes, Number, OptionalNumber},
        },
        chunk::Chunks,
        dialect::Dialect,
        failure::{Failure, corrupt},
        rows::Row,
    },
};

/// A change of a delivery, on its way into the journal.
#[derive(Clone, Debug, PartialEq)]
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

/// The newest entry of a journal, and those up to it that do not fill a row yet.
#[derive(Default)]
pub(super) struct Place {
    position: Position,
    time: Timestamp,
    rest: Vec<u8>,
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

static INSERT_CHUNKS: Bulk = Bulk::insert(
    "journal",
    &[
        ("tenant_key", Number),
        ("last_position", Number),
        ("not_before", Number),
        ("entries", Bytes),
    ],
);

static RAISE_HEADS: Bulk = Bulk::update(
    "UPDATE journal_heads SET head = new.head, previous_time = journal_heads.head_time,
       head_time = new.head_time, rest = new.rest
     FROM new WHERE journal_heads.tenant_key = new.tenant_key",
    &[("tenant_key", Number), ("head", Number), ("head_time", Number), ("rest", Bytes)],
);

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
#[derive(Default)]
pub(super) struct Placed {
    /// What the engine is to hear of it.
    pub(super) commits: Vec<Commit>,
    /// What the transaction is known by, where there is a server.
    pub(super) mark: Option<Mark>,
}

/// What a server knows a transaction by.
pub(super) struct Mark {
    /// The server's name of it. One that was not committed when the server crashed may be
    /// forgotten, and its name be given to another one.
    pub(super) transaction: String,
    /// A row of the journal that it wrote, and no other.
    pub(super) tenant: TenantKey,
    pub(super) last: Position,
    pub(super) entries: Value,
}

/// Writes all that is open, and adds to the sums of delivery times.
pub(super) async fn place(
    tx: &mut WriteTx,
    open: BTreeMap<TenantKey, Open>,
    times: Sums,
) -> Result<Placed, Failure> {
    match tx.dialect() {
        Dialect::Sqlite => place_one_by_one(tx, open, times).await,
        Dialect::Postgres => place_at_once(tx, open, times).await,
    }
}

/// Rows to be written.
#[derive(Default)]
struct Rows {
    deliveries: Vec<Value>,
    chunks: Vec<Value>,
}

impl Rows {
    /// Adds those of a tenant, which begin after `place`; gives the entries, too, that do not
    /// fill a row of the journal.
    fn add(&mut self, tenant: TenantKey, open: Open, mut place: Place) -> (Commit, Chunks) {
        let first = Position(place.position.0 + 1);
        let mut chunks = Chunks::after(std::mem::take(&mut place.rest));
        let mut push = |mut entry: Entry| {
            (_, entry.time) = place.next(entry.time);
            if let Some(bytes) = chunks.push(&entry) {
                push_chunk(&mut self.chunks, tenant, place.position, bytes);
            }
            place.position
        };
        let mut arrivals = Vec::with_capacity(open.accepted.len());
        for mut new in open.accepted {
            new.position = push(accepted(&new));
            push_delivery(&mut self.deliveries, tenant, &new);
            arrivals.push(Arrival::New(new));
        }
        for entry in open.changes {
            push(entry);
        }
        (Commit { tenant, first, last: place.position, arrivals }, chunks)
    }

    /// Adds a row of the journal, if there is one, of the last entries of a commit.
    fn add_last(&mut self, of: &Commit, row: Option<Vec<u8>>) {
        if let Some(bytes) = row {
            push_chunk(&mut self.chunks, of.tenant, of.last, bytes);
        }
    }
}

/// In a file, a journal's row goes to a page of its own tenant's, all of which is written: a
/// row for what one transaction has of a tenant, where it has little, costs more than the
/// delivery. So what does not fill a row stays with the head.
async fn place_one_by_one(
    tx: &mut WriteTx,
    open: BTreeMap<TenantKey, Open>,
    times: Sums,
) -> Result<Placed, Failure> {
    read_places(tx, &open).await?;
    let (mut rows, mut placed) = (Rows::default(), Placed::default());
    let mut raised = Vec::with_capacity(RAISE_HEADS.width() * open.len());
    for (tenant, open) in open {
        let place = tx.known.places.remove(&tenant).ok_or_else(no_journal)?;
        let time = open.newest().max(place.time);
        let (commit, chunks) = rows.add(tenant, open, place);
        let (row, rest) = chunks.keep();
        rows.add_last(&commit, row);
        raised.extend([tenant.0, commit.last.0, time.micros()].map(Value::from));
        raised.push(rest.clone().into());
        tx.known.places.insert(tenant, Place { position: commit.last, time, rest });
        placed.commits.push(commit);
    }
    RAISE_HEADS.run(tx.sql(), raised).await?;
    INSERT_DELIVERIES.run(tx.sql(), rows.deliveries).await?;
    INSERT_CHUNKS.run(tx.sql(), rows.chunks).await?;
    ADD_TIMES.run(tx.sql(), times.rows()).await?;
    Ok(placed)
}

/// Reads where these journals end, if that is not known. Nobody else writes; an UPDATE that
/// returns what it wrote would keep it in a table first.
async fn read_places(tx: &mut WriteTx, of: &BTreeMap<TenantKey, Open>) -> Result<(), Failure> {
    let unknown = |tenant: &&TenantKey| !tx.known.places.contains_key(tenant);
    let unknown: Vec<_> = of.keys().filter(unknown).map(|tenant| tenant.0).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT tenant_key, head, head_time, rest
         FROM {} CROSS JOIN journal_heads ON tenant_key = given.value",
        tx.dialect().listed("$1", "given")
    );
    let heads = tx.sql().numbers_and_bytes(&sql, vec![tx.dialect().list(unknown)]).await?;
    let place = |([tenant, head, time], rest): ([i64; 3], Vec<u8>)| {
        let (position, time) = (Position(head), Timestamp::from_micros(time));
        (TenantKey(tenant), Place { position, time, rest })
    };
    tx.known.places.extend(heads.into_iter().map(place));
    Ok(())
}

/// Has rows locked after the heads of journals, by every transaction.
const AFTER_HEADS: &str = "WHERE (SELECT COUNT(*) FROM raised) > 0";

/// One statement for PostgreSQL. Journals are locked in the order of their keys, so that no
/// two transactions wait for each other, and for no longer than this and the commit. Rows
/// come with places that are counted from the head; what it was is added here.
static PLACE: LazyLock<String> = LazyLock::new(|| {
    let join = "JOIN raised USING (tenant_key)";
    let reads = |column: &str| match column {
        "position" => Some("raised.before + given.position"),
        "last_position" => Some("raised.before + given.last_position"),
        "not_before" => Some("raised.previous_time"),
        _ => None,
    };
    let of_chunks = 4 + INSERT_DELIVERIES.width();
    let of_times = of_chunks + INSERT_CHUNKS.width();
    format!(
        "WITH new AS (
           SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
             AS new(tenant_key, entries, newest)),
         locked AS (
           SELECT h.tenant_key FROM journal_heads h JOIN new USING (tenant_key)
           ORDER BY h.tenant_key FOR UPDATE OF h),
         raised AS (
           UPDATE journal_heads h SET head = h.head + new.entries,
             previous_time = h.head_time, head_time = GREATEST(h.head_time, new.newest)
           FROM new JOIN locked USING (tenant_key) WHERE h.tenant_key = new.tenant_key
           RETURNING h.tenant_key, h.head - new.entries AS before, h.previous_time),
         deliveries AS ({}),
         chunks AS ({}),
         times AS ({})
         SELECT tenant_key, before, pg_current_xact_id()::text AS transaction FROM raised",
        INSERT_DELIVERIES.part(4, join, reads),
        INSERT_CHUNKS.part(of_chunks, join, reads),
        ADD_TIMES.part(of_times, AFTER_HEADS, |_| None),
    )
});

async fn place_at_once(
    tx: &WriteTx,
    open: BTreeMap<TenantKey, Open>,
    times: Sums,
) -> Result<Placed, Failure> {
    let list = |numbers: Vec<i64>| tx.dialect().list(numbers);
    let mut values = vec![
        list(open.keys().map(|tenant| tenant.0).collect()),
        list(open.values().map(Open::len).collect()),
        list(open.values().map(|open| open.newest().micros()).collect()),
    ];
    let (mut rows, mut placed) = (Rows::default(), Placed::default());
    for (tenant, open) in open {
        let (commit, chunks) = rows.add(tenant, open, Place::default());
        rows.add_last(&commit, chunks.rest());
        placed.commits.push(commit);
    }
    values.extend(INSERT_DELIVERIES.arrays(rows.deliveries)?);
    let entries = rows.chunks.last().cloned();
    values.extend(INSERT_CHUNKS.arrays(rows.chunks)?);
    values.extend(ADD_TIMES.arrays(times.rows())?);
    let (mut before, mut transaction) = (BTreeMap::new(), None);
    for row in tx.query(&PLACE, values).await?.iter().map(Row) {
        before.insert(TenantKey(row.get("tenant_key")?), row.get::<i64>("before")?);
        transaction = Some(row.get("transaction")?);
    }
    for commit in &mut placed.commits {
        let before = before.get(&commit.tenant).ok_or_else(no_journal)?;
        commit.first.0 += before;
        commit.last.0 += before;
        for arrival in &mut commit.arrivals {
            if let Arrival::New(new) = arrival {
                new.position.0 += before;
            }
        }
    }
    // The last row is that of the last commit, and goes up to its end.
    let of = placed.commits.last().zip(entries).zip(transaction);
    placed.mark = of.map(|((commit, entries), transaction)| Mark {
        transaction,
        tenant: commit.tenant,
        last: commit.last,
        entries,
    });
    Ok(placed)
}

fn no_journal() -> DbErr {
    corrupt("tenant: it has no journal")
}

fn accepted(new: &NewDelivery) -> Entry {
    Entry {
        event_key: new.event_key,
        webhook_key: new.target.webhook_key,
        kind: ChangeKind::Accepted,
        time: new.event.ingest_time,
        state: DeliveryState::ACCEPTED,
    }
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

/// A row of the journal. What none of its entries is earlier than the statement knows, where
/// that matters.
fn push_chunk(to: &mut Vec<Value>, tenant: TenantKey, last: Position, entries: Vec<u8>) {
    to.extend([tenant.0.into(), last.0.into(), 0i64.into(), entries.into()]);
}
