//! A write transaction: it holds the writer until it ends.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc};

use super::{
    arrival::{Arrival, Commit, NewDelivery},
    place::{self, Open},
    publish::{self, NewEvent},
};
use crate::{
    domain::{
        id::{Position, TenantKey, WebhookKey},
        order::OrderKey,
    },
    store::{
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
    tenants: BTreeMap<TenantKey, TenantRow>,
    /// What is still to get its place in the journal.
    open: BTreeMap<TenantKey, Open>,
    /// What was appended to the journals.
    commits: BTreeMap<TenantKey, Commit>,
    /// Whether deliveries were left for later.
    pub(super) deferred: bool,
}

/// A tenant's row as far as the hot path needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TenantRow {
    pub(super) config_version: i64,
    /// Whether deliveries of earlier events are left for later.
    pub(super) expanding: bool,
}

impl WriteTx {
    /// Waits for the writer and begins.
    pub(super) async fn begin(state: Arc<Mutex<WriterState>>) -> Result<Self, Failure> {
        let state = state.lock_owned().await;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = state.connection.begin_with_options(options).await?;
        Ok(Self {
            tx,
            state,
            tenants: BTreeMap::new(),
            open: BTreeMap::new(),
            commits: BTreeMap::new(),
            deferred: false,
        })
    }

    /// The transaction itself, for statements of any kind.
    pub(in crate::store) fn sql(&self) -> &DatabaseTransaction {
        &self.tx
    }

    /// Tells the engine once it is committed that a delivery was put back into its lane, at
    /// a position that was just appended.
    pub(in crate::store) fn put_back(
        &mut self,
        tenant: TenantKey,
        webhook_key: WebhookKey,
        position: Position,
        order: Option<OrderKey>,
    ) {
        if let Some(commit) = self.commits.get_mut(&tenant) {
            commit.arrivals.push(Arrival::Stored { webhook_key, position, order });
        }
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

    /// Reads a tenant's row, once per transaction.
    pub(super) async fn tenant(&mut self, tenant: TenantKey) -> Result<&mut TenantRow, Failure> {
        if !self.tenants.contains_key(&tenant) {
            let sql = "SELECT config_version, EXISTS (
                         SELECT 1 FROM expansions x WHERE x.tenant_key = t.tenant_key) AS expanding
                       FROM tenants t WHERE t.tenant_key = $1";
            let rows = self.query(sql, [tenant.0.into()]).await?;
            let row = rows.first().ok_or_else(|| corrupt("tenant: it has no row"))?;
            let row = TenantRow {
                config_version: row.try_get("", "config_version")?,
                expanding: row.try_get("", "expanding")?,
            };
            self.tenants.insert(tenant, row);
        }
        Ok(self.tenants.get_mut(&tenant).ok_or_else(|| corrupt("tenant"))?)
    }

    /// Adds changes of deliveries to a tenant's journal. They get their positions at the
    /// end of the transaction.
    pub(in crate::store) fn note(
        &mut self,
        tenant: TenantKey,
        entries: impl IntoIterator<Item = place::Entry>,
    ) {
        self.open.entry(tenant).or_default().changes.extend(entries);
    }

    /// Adds new deliveries, whose rows are written at the end of the transaction, with their
    /// positions; then the engine hears of them.
    pub(super) fn accept(
        &mut self,
        tenant: TenantKey,
        deliveries: impl IntoIterator<Item = NewDelivery>,
    ) {
        self.open.entry(tenant).or_default().accepted.extend(deliveries);
    }

    /// Appends changes to a tenant's journal now; returns the position of the first. To be
    /// done last: nothing is to follow but what needs these positions.
    pub(in crate::store) async fn append(
        &mut self,
        tenant: TenantKey,
        entries: &[place::Entry],
    ) -> Result<Position, Failure> {
        self.note(tenant, entries.iter().cloned());
        self.place().await?;
        let head = self.commits.get(&tenant).map(|commit| commit.last).unwrap_or_default();
        Ok(Position(head.0 + 1 - entries.len() as i64))
    }

    async fn place(&mut self) -> Result<(), Failure> {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|_, open| !open.is_empty());
        for commit in place::place(self, open).await? {
            match self.commits.entry(commit.tenant) {
                Entry::Vacant(none) => drop(none.insert(commit)),
                // The head is this transaction's until it ends, so it goes right on.
                Entry::Occupied(mut before) => {
                    let before = before.get_mut();
                    before.last = commit.last;
                    before.arrivals.extend(commit.arrivals);
                }
            }
        }
        Ok(())
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
        self.place().await?;
        fail::fail_point!("before-commit", |_| std::process::abort());
        self.tx.commit().await?;
        fail::fail_point!("after-commit", |_| std::process::abort());
        for commit in self.commits.values() {
            self.state.heads.raise(commit.tenant, commit.last);
        }
        if self.deferred {
            self.state.expansions.notify_one();
        }
        if !self.commits.is_empty() {
            // Still holding the writer: the engine sees commits in their order. A
            // closed channel means that the engine has stopped; recovery reads the rest.
            let _ = self.state.accepted.send(self.commits.into_values().collect()).await;
        }
        Ok(())
    }
}
