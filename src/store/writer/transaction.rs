//! A write transaction: it holds the writer until it ends.

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc};

use super::publish::{self, Arrival, Commit, NewEvent};
use crate::{
    domain::{
        delivery::{ChangeKind, DeliveryState},
        id::{EventKey, Position, TenantKey, WebhookKey},
        order::OrderKey,
        time::{Timestamp, micros},
    },
    store::{
        bulk::Bulk,
        failure::{Failure, corrupt},
        heads::Heads,
    },
};

/// What only the holder of the writer may touch.
pub(super) struct WriterState {
    pub(super) connection: DatabaseConnection,
    pub(super) heads: Heads,
    pub(super) next_event_key: i64,
    /// What each commit brought.
    pub(super) accepted: mpsc::Sender<Vec<Commit>>,
    /// Wakes who makes deliveries that were left for later.
    pub(super) expansions: Arc<Notify>,
}

/// An open write transaction. Dropped without [`Self::commit`], it is rolled back.
pub(in crate::store) struct WriteTx {
    tx: DatabaseTransaction,
    pub(super) state: OwnedMutexGuard<WriterState>,
    heads: BTreeMap<TenantKey, TenantHead>,
    arrivals: BTreeMap<TenantKey, Vec<Arrival>>,
    /// Whether deliveries were left for later.
    pub(super) deferred: bool,
}

/// A tenant's row as far as the hot path needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TenantHead {
    pub(super) config_version: i64,
    /// Whether deliveries of earlier events are left for later.
    pub(super) expanding: bool,
    position: Position,
    time: Timestamp,
    /// Where it was when the transaction began.
    before: Position,
}

impl TenantHead {
    fn is_raised(&self) -> bool {
        self.position > self.before
    }

    /// Makes room for one more entry.
    fn advance(&mut self, time: Timestamp) {
        self.position.0 += 1;
        self.time = self.time.max(time);
    }
}

/// A change of a delivery, on its way into the journal.
#[derive(Clone, Debug)]
pub(in crate::store) struct Entry {
    pub(in crate::store) event_key: EventKey,
    pub(in crate::store) webhook_key: WebhookKey,
    pub(in crate::store) kind: ChangeKind,
    pub(in crate::store) time: Timestamp,
    pub(in crate::store) state: DeliveryState,
}

static INSERT_JOURNAL: Bulk = Bulk::new(
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

impl WriteTx {
    /// Waits for the writer and begins.
    pub(super) async fn begin(state: Arc<Mutex<WriterState>>) -> Result<Self, Failure> {
        let state = state.lock_owned().await;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = state.connection.begin_with_options(options).await?;
        Ok(Self { tx, state, heads: BTreeMap::new(), arrivals: BTreeMap::new(), deferred: false })
    }

    /// The transaction itself, for statements of any kind.
    pub(in crate::store) fn sql(&self) -> &DatabaseTransaction {
        &self.tx
    }

    /// Tells the engine once it is committed that a delivery was put back into its lane.
    pub(in crate::store) fn put_back(
        &mut self,
        tenant: TenantKey,
        webhook_key: WebhookKey,
        position: Position,
        order: Option<OrderKey>,
    ) {
        self.arrive(tenant, Arrival::Stored { webhook_key, position, order });
    }

    /// Tells the engine once it is committed what came to wait, in the order of the journal.
    pub(super) fn arrive(&mut self, tenant: TenantKey, arrival: Arrival) {
        self.arrivals.entry(tenant).or_default().push(arrival);
    }

    /// Executes one statement.
    pub(in crate::store) async fn execute<V>(
        &self,
        sql: &str,
        values: V,
    ) -> Result<ExecResult, DbErr>
    where
        V: IntoIterator<Item = Value>,
    {
        let backend = self.tx.get_database_backend();
        self.tx.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await
    }

    /// Queries rows.
    pub(in crate::store) async fn query<V>(
        &self,
        sql: &str,
        values: V,
    ) -> Result<Vec<QueryResult>, DbErr>
    where
        V: IntoIterator<Item = Value>,
    {
        let backend = self.tx.get_database_backend();
        self.tx.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await
    }

    /// Reads a tenant's head, once per transaction.
    pub(super) async fn head(&mut self, tenant: TenantKey) -> Result<&mut TenantHead, Failure> {
        if !self.heads.contains_key(&tenant) {
            let sql = "SELECT config_version, head, head_time, EXISTS (
                         SELECT 1 FROM expansions x WHERE x.tenant_key = t.tenant_key) AS expanding
                       FROM tenants t WHERE t.tenant_key = $1";
            let rows = self.query(sql, [tenant.0.into()]).await?;
            let row = rows.first().ok_or_else(|| corrupt("tenant: it has no row"))?;
            let position = Position(row.try_get("", "head")?);
            let head = TenantHead {
                config_version: row.try_get("", "config_version")?,
                expanding: row.try_get("", "expanding")?,
                position,
                before: position,
                time: Timestamp::from_micros(row.try_get("", "head_time")?),
            };
            self.heads.insert(tenant, head);
        }
        Ok(self.heads.get_mut(&tenant).ok_or_else(|| corrupt("tenant"))?)
    }

    /// Appends changes to a tenant's journal; returns the position of the first.
    /// Times never go back within a journal, whatever the clock does.
    pub(in crate::store) async fn append(
        &mut self,
        tenant: TenantKey,
        entries: &[Entry],
    ) -> Result<Position, Failure> {
        let head = self.head(tenant).await?;
        let first = Position(head.position.0 + 1);
        let mut values = Vec::with_capacity(entries.len() * 16);
        for entry in entries {
            head.advance(entry.time);
            push_entry(&mut values, tenant, head.position, head.time, entry);
        }
        INSERT_JOURNAL.run(&self.tx, values).await?;
        Ok(first)
    }

    /// Appends that deliveries of new events were accepted, as [`Self::append`] would.
    pub(super) async fn append_accepted(
        &mut self,
        tenant: TenantKey,
        accepted: impl ExactSizeIterator<Item = (EventKey, WebhookKey, Timestamp)>,
    ) -> Result<Position, Failure> {
        let head = self.head(tenant).await?;
        let first = Position(head.position.0 + 1);
        let mut values = Vec::with_capacity(accepted.len() * 5);
        for (event_key, webhook_key, time) in accepted {
            head.advance(time);
            values.extend([
                tenant.0.into(),
                head.position.0.into(),
                event_key.0.into(),
                webhook_key.0.into(),
                head.time.micros().into(),
            ]);
        }
        INSERT_ACCEPTED.run(&self.tx, values).await?;
        Ok(first)
    }

    /// Writes an event of the service's own with its deliveries, which are handed to the
    /// engine after the commit like any others.
    pub(in crate::store) async fn publish(
        &mut self,
        tenant: TenantKey,
        event: &NewEvent,
    ) -> Result<(), Failure> {
        publish::insert(self, &[(tenant, event)]).await.map(drop)
    }

    /// Ends the transaction. Once this returns `Ok`, everything is synced to disk,
    /// who waits for the journal is woken, and the engine has the new deliveries.
    pub(in crate::store) async fn commit(mut self) -> Result<(), Failure> {
        let heads = std::mem::take(&mut self.heads);
        for (tenant, head) in heads.iter().filter(|(_, head)| head.is_raised()) {
            let sql = "UPDATE tenants SET head = $1, head_time = $2 WHERE tenant_key = $3";
            let values = [head.position.0.into(), head.time.micros().into(), tenant.0.into()];
            self.execute(sql, values).await?;
        }
        fail::fail_point!("before-commit", |_| std::process::abort());
        self.tx.commit().await?;
        fail::fail_point!("after-commit", |_| std::process::abort());
        for (tenant, head) in heads.iter().filter(|(_, head)| head.is_raised()) {
            self.state.heads.raise(*tenant, head.position);
        }
        if self.deferred {
            self.state.expansions.notify_one();
        }
        let raised = heads.into_iter().filter(|(_, head)| head.is_raised());
        let commits: Vec<_> = raised
            .map(|(tenant, head)| Commit {
                tenant,
                first: Position(head.before.0 + 1),
                last: head.position,
                arrivals: self.arrivals.remove(&tenant).unwrap_or_default(),
            })
            .collect();
        if !commits.is_empty() {
            // Still holding the writer: the engine sees commits in their order. A
            // closed channel means that the engine has stopped; recovery reads the rest.
            let _ = self.state.accepted.send(commits).await;
        }
        Ok(())
    }
}

fn push_entry(
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
