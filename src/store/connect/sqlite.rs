//! Connections to an SQLite file: one process, one writer, some readers.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::store::direct::Direct;

/// Readers beside the writer. Their transactions last one page.
const READERS: u32 = 4;
/// How long SQLite waits for a lock: only a checkpoint or a foreign process
/// (`tidings keys`, a backup) ever holds one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: bulk statements come in a few sizes.
const STATEMENTS: usize = 256;
/// And by the writer, whose statements are few.
const DIRECT_STATEMENTS: usize = 64;
/// What every connection is told.
const PRAGMAS: [(&str, &str); 3] = [
    // Its page cache; negative: KiB instead of pages.
    ("cache_size", "-2048"),
    ("temp_store", "memory"),
    // What is deleted or replaced does not stay behind in its page.
    ("secure_delete", "fast"),
];
/// A write-ahead log that grew longer than this is cut when it begins anew, bytes.
const LONG_LOG: i64 = 64 * 1024 * 1024;

/// Keeps other processes from serving the file. It is held as long as the file is open, so
/// a killed process leaves none behind.
pub(in crate::store) type Lock = File;

/// What the writer of a file has to itself.
pub(in crate::store) struct OfFile {
    /// What it writes with.
    pub(in crate::store) direct: Direct,
    /// Copies the write-ahead log back beside it.
    pub(in crate::store) checkpointer: DatabaseConnection,
    /// The write-ahead log.
    pub(in crate::store) log: PathBuf,
}

pub(super) fn lock(database: &Path) -> Result<Lock, String> {
    let path = beside(database, "-lock");
    let shown = path.display();
    let file = File::create(&path).map_err(|e| format!("cannot create {shown}: {e}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another process serves {} already", database.display()))
        }
        Err(TryLockError::Error(e)) => Err(format!("cannot lock {shown}: {e}")),
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

/// What is written beside the writer's own transactions.
pub(super) async fn writer(path: &Path) -> Result<DatabaseConnection, DbErr> {
    connect(path, 1, false).await
}

/// What the writer has to itself; the file is there, with its log.
pub(super) async fn of_file(path: &Path) -> Result<OfFile, DbErr> {
    let direct = direct(path).map_err(|error| DbErr::Custom(error.to_string()))?;
    let checkpointer = connect(path, 1, false).await?;
    // While it waits for a reader, the writer may wait for it.
    checkpointer.execute_unprepared("PRAGMA busy_timeout = 0").await?;
    Ok(OfFile { direct, checkpointer, log: beside(path, "-wal") })
}

fn direct(path: &Path) -> Result<Direct, rusqlite::Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(DIRECT_STATEMENTS);
    for (name, value) in PRAGMAS {
        connection.pragma_update(None, name, value)?;
    }
    // Its commits are synced by `writer::syncer`.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", LONG_LOG)?;
    Ok(Direct::new(connection))
}

pub(super) async fn readers(path: &Path) -> Result<DatabaseConnection, DbErr> {
    connect(path, READERS, true).await
}

/// The memory that processes share to find their way in the write-ahead log.
pub(super) fn log_index(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

async fn connect(
    path: &Path,
    connections: u32,
    read_only: bool,
) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite:");
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .filename(&path)
                .create_if_missing(!read_only)
                .read_only(read_only)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(STATEMENTS)
                .foreign_keys(false);
            let told = |options: SqliteConnectOptions, (name, value)| options.pragma(name, value);
            let options = PRAGMAS.into_iter().fold(options, told);
            if read_only {
                return options;
            }
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                // Checkpoints run on a connection of their own, off the commit path.
                .pragma("wal_autocheckpoint", "0")
        });
    Database::connect(options).await
}
