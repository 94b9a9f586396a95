//! Connections to a PostgreSQL server.

use std::{io::ErrorKind, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        ConnectOptions, Connection, Error,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};

use crate::store::database_url::Usage;

/// Connections that write, in turn: while one is given back after a transaction, which
/// takes a moment, the next transaction begins on the other.
const WRITERS: u32 = 2;
/// Connections for what nodes have to do with each other.
const NODES: u32 = 3;
/// A transaction in which nothing happens for so long belongs to a node that is gone or
/// stopped: it must not hold up the others for longer than the lease of that node.
const IDLE_IN_TRANSACTION: &str = "4000";
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;
/// A connection that was idle for so long is tried before it is used: the server may have
/// been restarted meanwhile.
const TRY_AFTER: Duration = Duration::from_millis(100);
/// How long a connection may take to be given back.
const RELEASE: Duration = Duration::from_secs(2);
/// Connections of a pool that open at once: so many are asked for something as a node starts.
const AT_ONCE: u32 = 3;
/// How long a call waits for a connection at most.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Has the schema alone until its connection is closed.
const LOCK_SCHEMA: &str = "SELECT pg_advisory_lock(hashtext('tidings schema'))";

pub(super) fn writer(options: &PgConnectOptions, usage: Usage) -> DatabaseConnection {
    let options = options.clone().options([
        // A commit that was acknowledged is on disk, whatever is the server's default.
        ("synchronous_commit", "on"),
        // Statements find their rows by keys, however many arrays bring: they are planned
        // once, and not for the table as small as it is at the start.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        // A bitmap is of all that an index finds, however few of it are asked for.
        ("enable_bitmapscan", "off"),
    ]);
    pool(WRITERS, usage.timeout).connect(limited(options, usage.timeout))
}

pub(super) fn readers(options: &PgConnectOptions, usage: Usage) -> DatabaseConnection {
    let options = options.clone().options([
        ("default_transaction_read_only", "on"),
        // All queries walk along an index and stop at a limit. Where the planner trusts its
        // estimates more than the limit, it reads a webhook's whole log for one page of it.
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("max_parallel_workers_per_gather", "0"),
    ]);
    let count = usage.connections.saturating_sub(WRITERS).max(1);
    pool(count, usage.timeout).connect(limited(options, usage.timeout))
}

/// One to listen, one to tell, one for the lease: none of them waits for anything else.
pub(super) fn nodes(options: &PgConnectOptions, usage: Usage) -> DatabaseConnection {
    pool(NODES, usage.timeout).connect(limited(options.clone(), usage.timeout))
}

/// One connection that opens when it is needed.
pub(super) fn single(options: &PgConnectOptions, usage: Usage) -> DatabaseConnection {
    pool(1, usage.timeout).connect(options.clone())
}

/// One connection that has the schema alone, however long others have it before. Its
/// statements have no limit: a change of the schema takes what it takes.
pub(super) async fn alone(options: &PgConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let alone = pool(1, ACQUIRE).connect(options.clone());
    tokio::try_join!(answers(options), alone.execute_unprepared(LOCK_SCHEMA))?;
    Ok(alone)
}

/// Says what is wrong with the server, where a pool would try until its time is over.
async fn answers(options: &PgConnectOptions) -> Result<(), DbErr> {
    let first = options.connect().await.map_err(failed)?;
    first.close().await.map_err(failed)
}

/// With the server's limits on what a connection does.
fn limited(options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    let timeout = timeout.as_millis().to_string();
    options.options([
        ("statement_timeout", &timeout),
        ("idle_in_transaction_session_timeout", &IDLE_IN_TRANSACTION.to_owned()),
        // Compiling them takes longer than our statements do.
        ("jit", &"off".to_owned()),
    ])
}

struct Pool(PgPoolOptions);

fn pool(connections: u32, timeout: Duration) -> Pool {
    let options = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(connections.min(AT_ONCE))
        .acquire_timeout(timeout.min(ACQUIRE))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // The driver waits for a connection that is given back, which may be for ever.
        .after_release(|connection, _| {
            Box::pin(async move {
                let gone = |_| Error::Io(ErrorKind::TimedOut.into());
                tokio::time::timeout(RELEASE, connection.ping()).await.map_err(gone)??;
                Ok(true)
            })
        })
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for >= TRY_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    Pool(options)
}

impl Pool {
    /// Connections open when they are needed. Through the driver itself: what sea-orm makes of a URL it shows in its traces.
    fn connect(self, options: PgConnectOptions) -> DatabaseConnection {
        let options = options.statement_cache_capacity(STATEMENTS).disable_statement_logging();
        self.0.connect_lazy_with(options).into()
    }
}

fn failed(error: Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
