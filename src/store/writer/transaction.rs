//! A write transaction: it holds this node's writer until it ends. Other nodes may write at
//! the same time: what a transaction reads to decide on, it locks.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::{Arc, atomic::Ordering},
};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, QueryResult, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, Value,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot},
    task::JoinError,
};

use super::{
    arrival::{Arrival, NewDelivery},
    doubt::Doubt,
    filing::Filing,
    known::Known,
    news::{News, Told},
    place::{self, Mark, Open},
    publish::{self, NewEvent},
    syncer::{Synced, Then},
    times::Sums,
};
use crate::{
    domain::{
        id::{Position, TenantKey, WebhookKey},
        order::OrderKey,
    },
    store::{
        dialect::Dialect,
        direct::Direct,
        failure::{Failure, is_passing},
        query,
        sql::Sql,
        timed::{Timed, within},
    },
};

/// What only the holder of the writer may touch.
pub(super) struct WriterState {
    pub(super) connection: Timed<DatabaseConnection>,
    /// Where the database is a file.
    pub(super) file: Option<FileState>,
    /// The last commit, where it is not known whether it was done.
    pub(super) doubt: Option<Doubt>,
    pub(super) told: Told,
}

/// What goes with a file.
pub(super) struct FileState {
    /// For the writer itself.
    pub(super) direct: Direct,
    /// As of the last commit.
    pub(super) filing: Filing,
    /// As of the last transaction of the writer's own.
    pub(super) known: Known,
}

/// An open write transaction. Dropped without [`Self::commit`], it is rolled back.
pub(in crate::store) struct WriteTx {
    tx: Sql,
    pub(super) state: OwnedMutexGuard<WriterState>,
    pub(super) known: Known,
    /// Keys that were taken for events, and are not used yet.
    pub(super) event_keys: VecDeque<i64>,
    /// Of a file, as of what was written.
    pub(super) filing: Option<Filing>,
    /// What is still to be added to the sums of delivery times; each of it is in `open`, too.
    pub(super) times: Sums,
    /// What is still to get its place in the journal.
    open: BTreeMap<TenantKey, Open>,
    pub(super) news: News,
    /// What the server knows it by, where its outcome may come into doubt.
    mark: Option<Mark>,
}

/// What may be locked by its number, apart from rows. It ends with the transaction.
#[derive(Clone, Copy)]
pub(in crate::store) enum Lock {
    /// A tenant's configuration: who publishes shares it, who changes it has it alone.
    Config = 1,
    /// The number of jobs that a tenant runs.
    Jobs = 2,
    /// The number of keys of a realm.
    ApiKeys = 3,
}

impl WriteTx {
    /// Begins the writer's own transaction, on the writer's own thread: where the database is
    /// a file, statements run right there.
    pub(super) async fn begin_here(state: Arc<Mutex<WriterState>>) -> Result<Self, Failure> {
        let mut state = state.lock_owned().await;
        let Some(file) = &mut state.file else { return Self::begin_on(state).await };
        let tx = file.direct.begin()?;
        let mut known = std::mem::take(&mut file.known);
        known.refresh(tx.data_version()?);
        Ok(Self { known, ..Self::on(Sql::Direct(tx), state) })
    }

    /// Waits for the writer and begins.
    pub(super) async fn begin(state: Arc<Mutex<WriterState>>) -> Result<Self, Failure> {
        Self::begin_on(state.lock_owned().await).await
    }

    /// First it becomes clear what was in doubt.
    async fn begin_on(mut state: OwnedMutexGuard<WriterState>) -> Result<Self, Failure> {
        if state.doubt.is_some() {
            state = clear_up(state).await?;
        }
        let tx = match begin(&state.connection).await {
            // The server was restarted meanwhile.
            Err(error) if is_passing(&error) => begin(&state.connection).await?,
            begun => begun?,
        };
        Ok(Self::on(Sql::Driver(tx), state))
    }

    fn on(tx: Sql, state: OwnedMutexGuard<WriterState>) -> Self {
        Self {
            tx,
            filing: state.file.as_ref().map(|file| file.filing),
            state,
            known: Known::default(),
            event_keys: VecDeque::new(),
            times: Sums::default(),
            open: BTreeMap::new(),
            news: News::default(),
            mark: None,
        }
    }

    /// The transaction itself, for statements of any kind.
    pub(in crate::store) fn sql(&self) -> &Sql {
        &self.tx
    }

    /// Which database it writes to.
    pub(in crate::store) fn dialect(&self) -> Dialect {
        self.tx.backend().into()
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
        if let Some(commit) = self.news.commits.get_mut(&tenant) {
            commit.arrivals.push(Arrival::Stored { webhook_key, position, order });
        }
    }

    /// Executes one statement. Returns the number of rows that were changed.
    pub(in crate::store) async fn execute<V>(&self, sql: &str, values: V) -> Result<u64, DbErr>
    where
        V: IntoIterator<Item = Value>,
    {
        self.tx.execute(sql, values.into_iter().collect()).await
    }

    /// Queries rows of any kind; not what the writer's own transactions do.
    pub(in crate::store) async fn query<V>(
        &self,
        sql: &str,
        values: V,
    ) -> Result<Vec<QueryResult>, DbErr>
    where
        V: IntoIterator<Item = Value>,
    {
        query(self.tx.driver()?, sql, values).await
    }

    /// Queries rows of so many numbers.
    pub(in crate::store) async fn numbers<const N: usize, V>(
        &self,
        sql: &str,
        values: V,
    ) -> Result<Vec<[i64; N]>, DbErr>
    where
        V: IntoIterator<Item = Value>,
    {
        self.tx.numbers(sql, values.into_iter().collect()).await
    }

    /// Waits until no publish of the tenant is under way, and lets none begin before the end:
    /// its configuration is changed. To be done first.
    pub(in crate::store) async fn change(&self, tenant: TenantKey) -> Result<(), DbErr> {
        self.news.configured.store(true, Ordering::Relaxed);
        self.alone(Lock::Config, tenant.0).await
    }

    /// Keeps other transactions from what has this number until the end. Numbers far apart
    /// may be taken for the same one, which makes no difference but for the wait.
    pub(in crate::store) async fn alone(&self, what: Lock, number: i64) -> Result<(), DbErr> {
        if self.dialect() == Dialect::Postgres {
            let sql = "SELECT pg_advisory_xact_lock($1, ($2 & 2147483647)::integer)";
            self.execute(sql, [(what as i32).into(), number.into()]).await?;
        }
        Ok(())
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
        let head = self.news.commits.get(&tenant).map(|commit| commit.last).unwrap_or_default();
        Ok(Position(head.0 + 1 - entries.len() as i64))
    }

    async fn place(&mut self) -> Result<(), Failure> {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|_, open| !open.is_empty());
        if open.is_empty() {
            return Ok(());
        }
        let times = std::mem::take(&mut self.times);
        let placed = place::place(self, open, times).await?;
        if let Some(filing) = &mut self.filing {
            filing.note_deliveries(&self.tx, &placed.commits).await?;
        }
        for commit in placed.commits {
            match self.news.commits.entry(commit.tenant) {
                Entry::Vacant(none) => drop(none.insert(commit)),
                // The head is this transaction's until it ends, so it goes right on.
                Entry::Occupied(mut before) => {
                    let before = before.get_mut();
                    before.last = commit.last;
                    before.arrivals.extend(commit.arrivals);
                }
            }
        }
        self.mark = placed.mark;
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
    /// who waits for the journal is woken, and the engine has the new deliveries. A caller
    /// that goes away meanwhile changes nothing about that.
    pub(in crate::store) async fn commit(self) -> Result<(), Failure> {
        let committed = tokio::spawn(async move {
            let committed = self.commit_untold().await?;
            let (done, told) = oneshot::channel();
            let then = || {
                let _ = done.send(());
            };
            committed.tell(Synced::Now, Box::new(then)).await;
            // It is called in any case, but for the end of the process.
            let _ = told.await;
            Ok(())
        });
        let ended = |ended: JoinError| DbErr::Custom(ended.to_string());
        committed.await.unwrap_or_else(|e| Err(Failure::InDoubt(ended(e), None)))
    }

    /// Ends the transaction; nobody has heard of it yet, and it may not be synced.
    ///
    /// Where the connection is lost in the commit, it may have been done or not. The next
    /// transaction finds out, before anything else; whoever waits for the journal and the
    /// engine hear of it then.
    pub(super) async fn commit_untold(mut self) -> Result<Committed, Failure> {
        self.place().await?;
        if let Some(filing) = &mut self.filing {
            filing.file_much(&self.tx).await?;
        }
        fail::fail_point!("before-commit", |_| std::process::abort());
        let Self { tx, mut state, filing, known, news, mark, .. } = self;
        let synced = matches!(tx, Sql::Driver(_));
        state.told.begin();
        if let Err(error) = tx.commit().await {
            state.told.failed();
            // Most likely nothing was written, and this is as before. Were it wrong, every
            // later transaction would fail.
            let WriterState { connection, file, .. } = &mut *state;
            if let Some(file) = file
                && let Ok(filing) = Filing::read(connection).await
            {
                file.filing = filing;
            }
            // A hint does no harm where it is wrong.
            if news.deferred {
                state.told.audience.expansions.notify_one();
            }
            let doubt = mark.and_then(|mark| Doubt::after(&error, mark, news));
            let verdict = doubt.as_ref().map(|doubt| doubt.verdict.clone());
            state.doubt = doubt;
            return Err(Failure::commit(error, verdict));
        }
        if let (Some(file), Some(filing)) = (&mut state.file, filing) {
            file.filing = filing;
            if !synced {
                file.known = known;
            }
        }
        fail::fail_point!("after-commit", |_| std::process::abort());
        Ok(Committed { state, news, synced })
    }
}

/// A transaction that is committed, and holds the writer still: the engine is to see commits
/// in their order.
pub(super) struct Committed {
    state: OwnedMutexGuard<WriterState>,
    news: News,
    /// By the database itself.
    synced: bool,
}

impl Committed {
    /// Lets go of the writer. Once everything is synced to disk, everybody is told, and then
    /// `then` is called.
    pub(super) async fn tell(self, sync: Synced, then: Then) {
        let sync = if self.synced { Synced::Already } else { sync };
        self.state.told.tell(sync, self.news, then).await;
    }
}

/// Finds out what was in doubt and tells of it, also where the caller goes away meanwhile.
async fn clear_up(
    mut state: OwnedMutexGuard<WriterState>,
) -> Result<OwnedMutexGuard<WriterState>, Failure> {
    let cleared = tokio::spawn(async move {
        if let Some(doubt) = &state.doubt {
            let done = doubt.is_committed(&state.connection).await?;
            if let Some(doubt) = state.doubt.take().filter(|_| done) {
                state.told.tell(Synced::Already, doubt.news, Box::new(|| {})).await;
            }
        }
        Ok(state)
    });
    cleared.await.unwrap_or_else(|e| Err(DbErr::Custom(e.to_string()).into()))
}

async fn begin(on: &Timed<DatabaseConnection>) -> Result<Timed<DatabaseTransaction>, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let limit = on.limit;
    let connection = within(limit, on.connection.begin_with_options(options)).await?;
    Ok(Timed { connection, limit })
}
