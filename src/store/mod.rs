//! The store: the only place that knows the database. One writer that shares
//! commits, readers beside it. Every function takes the tenant or a key that was
//! found through it; row models do not leave.

mod announcements;
mod api_keys;
mod breach;
mod bulk;
mod chunk;
mod cluster;
mod config;
mod connect;
mod database_url;
mod dialect;
mod direct;
mod diverted;
mod event_types;
mod events;
mod expansions;
mod failure;
mod gauge;
mod heads;
mod hints;
mod idempotency;
mod identity;
mod ingested;
mod job_batch;
mod jobs;
mod journal;
mod lanes;
mod log;
mod log_page;
mod migration;
mod notices;
#[cfg(test)]
mod query_plan;
mod requeue;
mod retention;
mod rows;
mod secrets;
mod sql;
mod standings;
mod stats;
mod tenant_settings;
mod tenants;
mod throw_away;
mod timed;
mod webhooks;
mod writer;

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, QueryResult, Statement, TransactionTrait, Value,
};
use tokio::sync::{mpsc, oneshot};

pub use self::{
    api_keys::ApiKeyCursor,
    breach::Breached,
    cluster::{Lease, NodeKey},
    config::ConfigChanges,
    database_url::DatabaseUrl,
    diverted::DivertedScan,
    events::{EventCursor, EventScan, EventTarget},
    gauge::{CommitCounter, SyncedCommits},
    hints::{Hint, Hints},
    idempotency::{Answered, Key as IdempotencyKey},
    job_batch::Advanced,
    jobs::{NewJob, RunningJob},
    journal::{JournalBounds, JournalPage},
    lanes::{Known, LaneBacklog, StoredDelivery},
    log_page::{LogCursor, LogRange, LogScan},
    notices::Notice,
    requeue::Requeued,
    retention::Pruned,
    secrets::{ResealCursor, SecretKeys},
    stats::Stats,
    tenants::{Tenant, TenantState},
    webhooks::NewWebhook,
    writer::{Arrival, Commit, NewDelivery, NewEvent, Published, Settlement, Target},
};
use self::{
    connect::Lock,
    dialect::Dialect,
    heads::Heads,
    hints::Announcer,
    timed::Timed,
    writer::{Audience, WriteTx, Writer},
};
use crate::domain::{
    error::Error,
    id::{Position, TenantKey},
    token::DatabaseId,
};

/// Commits that may wait for the engine before the writer waits for it.
const ACCEPTED_COMMITS: usize = 1_024;

/// How often a read is tried whose connection is lost: that of a server that was restarted.
const READ_TRIES: usize = 3;

/// A handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: Timed<DatabaseConnection>,
    /// Absent where this process is the only node.
    nodes: Option<DatabaseConnection>,
    announcer: Announcer,
    writer: Writer,
    heads: Heads,
    database_id: DatabaseId,
    secret_keys: SecretKeys,
    session_key: [u8; 32],
    /// Absent where another process may serve the same database.
    _lock: Option<Arc<Lock>>,
}

impl Store {
    /// Opens the database and brings its schema up to date; takes the lock that keeps other
    /// servers off a file. Also gives the stream of accepted deliveries, which the engine
    /// must read.
    ///
    /// # Errors
    ///
    /// In words for an operator: what could not be opened, locked or migrated, or which
    /// key is missing that its secrets are encrypted with.
    pub async fn open(
        url: &DatabaseUrl,
        secret_keys: SecretKeys,
    ) -> Result<(Self, mpsc::Receiver<Vec<Commit>>), String> {
        let lock = connect::lock(url)?;
        Self::connect(url, secret_keys, lock, true).await
    }

    /// Opens the database beside a server that may be serving it: for single changes,
    /// which that server finds. Nothing can be published.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn open_beside(url: &DatabaseUrl, secret_keys: SecretKeys) -> Result<Self, String> {
        // Whoever serves a file has brought its schema up to date.
        let lock = connect::lock(url);
        let migrate = lock.is_ok();
        let (store, _) = Self::connect(url, secret_keys, lock.ok().flatten(), migrate).await?;
        Ok(Self { _lock: None, ..store })
    }

    async fn connect(
        url: &DatabaseUrl,
        secret_keys: SecretKeys,
        lock: Option<Lock>,
        migrate: bool,
    ) -> Result<(Self, mpsc::Receiver<Vec<Commit>>), String> {
        let failed = |what: &str, error: DbErr| format!("cannot {what} {url}: {error}");
        let schema = connect::schema(url).await.map_err(|e| failed("open", e))?;
        // They connect while the schema is made.
        let writer = connect::writer(url, &schema);
        let readers = connect::readers(url).await.map_err(|e| failed("open", e))?;
        let nodes = connect::nodes(url);
        connect::prepare(url, schema, &secret_keys, migrate).await?;
        let limit = url.patience();
        let readers = Timed { connection: readers, limit };
        let of_file = connect::of_file(url).await.map_err(|e| failed("open", e))?;

        let sql = "SELECT database_id, session_key FROM database_identity";
        let row = query(&readers, sql, []).await.map_err(|e| failed("read", e))?;
        let row = row.first().ok_or_else(|| format!("{url} has no identity"))?;
        let id: i64 = row.try_get("", "database_id").map_err(|e| failed("read", e))?;
        let session_key: String = row.try_get("", "session_key").map_err(|e| failed("read", e))?;
        let opened = secret_keys.open(&secrets::Place::session_key(), session_key);
        let session_key = opened.map_err(|e| failed("read", e))?;
        let session_key =
            read_key(&session_key).ok_or_else(|| format!("{url} has no session key"))?;

        let announcer = Announcer::start(nodes.clone());
        let (accepted, deliveries) = mpsc::channel(ACCEPTED_COMMITS);
        let heads = Heads::default();
        let writer = Writer::start(
            Timed { connection: writer, limit },
            of_file,
            Audience::new(heads.clone(), accepted, announcer.clone()),
        );
        let writer = writer.await.map_err(|e| failed("open", e))?;
        let database_id = DatabaseId(id.unsigned_abs());
        let _lock = lock.map(Arc::new);
        let store = Self {
            readers,
            nodes,
            announcer,
            writer,
            heads,
            database_id,
            secret_keys,
            session_key,
            _lock,
        };
        Ok((store, deliveries))
    }

    /// Brings the schema of a database up to date, and its secrets under the current
    /// key, and closes it again.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn migrate(url: &DatabaseUrl, secret_keys: &SecretKeys) -> Result<(), String> {
        let _lock = connect::lock(url)?;
        let schema = connect::schema(url).await.map_err(|e| format!("cannot open {url}: {e}"))?;
        let writer = connect::writer(url, &schema);
        connect::prepare(url, schema, secret_keys, true).await?;
        let failed = |e: DbErr| format!("cannot encrypt the secrets of {url}: {e}");
        let mut next = Some(ResealCursor::default());
        while let Some(at) = next {
            let tx = writer.begin().await.map_err(failed)?;
            next = secrets::page(&tx, secret_keys, at).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
        }
        writer::empty_log(&writer).await.map_err(failed)?;
        writer.close().await.map_err(|e| format!("cannot close {url}: {e}"))
    }

    /// Which database this is.
    pub fn database_id(&self) -> DatabaseId {
        self.database_id
    }

    /// The id of the key that secrets are encrypted with; none where they are not.
    pub fn secret_key_id(&self) -> Option<&str> {
        self.secret_keys.current_id()
    }

    /// The key that all nodes sign session tokens with.
    pub fn session_key(&self) -> &[u8; 32] {
        &self.session_key
    }

    /// Watches a tenant's journal: a change says that there may be new entries.
    /// Register before reading.
    pub fn watch_head(&self, tenant: TenantKey) -> tokio::sync::watch::Receiver<Position> {
        self.heads.watch(tenant)
    }

    /// Publishes events of one tenant, all or none, unless the tenant's
    /// configuration has moved on from `config_version`.
    ///
    /// # Errors
    ///
    /// `OVERLOADED` where too much waits already, `STORE_UNAVAILABLE`, or `INTERNAL`
    /// where the database refuses these events; nothing was stored then.
    pub async fn publish(
        &self,
        tenant_key: TenantKey,
        config_version: i64,
        events: Vec<NewEvent>,
    ) -> Result<Published, Error> {
        self.writer.publish(tenant_key, config_version, events).await
    }

    /// Notes how many deliveries came lately and wait for their first attempt: publishes leave
    /// the more turns of the CPU to others.
    pub fn note_waiting(&self, deliveries: usize) {
        self.writer.note_waiting(deliveries);
    }

    /// Records outcomes of attempts, all or none.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`: nothing was recorded; the same call may work later, unless the
    /// node has lost its lease.
    pub async fn record(
        &self,
        node: NodeKey,
        settlements: Arc<Vec<Settlement>>,
    ) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.record_then(node, settlements, |recorded| {
            let _ = reply.send(recorded);
        });
        answer.await.unwrap_or_else(|_| Err(Error::draining()))
    }

    /// As [`Self::record`], but the caller does not wait: `then` is called, and is to be
    /// short, for everybody else's answers wait for it.
    pub fn record_then(
        &self,
        node: NodeKey,
        settlements: Arc<Vec<Settlement>>,
        then: impl FnOnce(Result<(), Error>) + Send + Sync + 'static,
    ) {
        self.writer.record(node, settlements, Box::new(then));
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        self.query("SELECT 1", []).await.is_ok()
    }

    /// Which database is read.
    fn dialect(&self) -> Dialect {
        self.readers.get_database_backend().into()
    }

    async fn begin(&self) -> Result<WriteTx, failure::Failure> {
        self.writer.begin().await
    }

    async fn query<V>(&self, sql: &str, values: V) -> Result<Vec<QueryResult>, failure::Failure>
    where
        V: IntoIterator<Item = Value>,
    {
        let values: Vec<Value> = values.into_iter().collect();
        let mut tries = READ_TRIES;
        let rows = loop {
            match query(&self.readers, sql, values.clone()).await {
                Err(error) if tries > 1 && failure::is_passing(&error) => tries -= 1,
                done => break done?,
            }
        };
        // Nobody is shown what a crash might take back.
        self.writer.catch_up().await;
        Ok(rows)
    }
}

fn read_key(hex: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(key)
}

async fn query<V>(
    on: &impl ConnectionTrait,
    sql: &str,
    values: V,
) -> Result<Vec<QueryResult>, DbErr>
where
    V: IntoIterator<Item = Value>,
{
    let statement = Statement::from_sql_and_values(on.get_database_backend(), sql, values);
    on.query_all_raw(statement).await
}
