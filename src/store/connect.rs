//! Opening the database file: one writer connection, some readers, one process.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

/// Readers beside the writer. Their transactions last one page.
const READERS: u32 = 4;
/// How long SQLite waits for a lock: only a checkpoint or a foreign process
/// (`tidings keys`, a backup) ever holds one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: bulk statements come in a few sizes.
const STATEMENTS: usize = 256;
/// Page cache of a connection, KiB.
const WRITER_CACHE_KIB: u32 = 16 * 1024;
const READER_CACHE_KIB: u32 = 2 * 1024;

/// Which database, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    path: PathBuf,
}

impl std::str::FromStr for DatabaseUrl {
    type Err = String;

    /// `sqlite:PATH`, as in `sqlite:tidings.db` or `sqlite:///var/lib/tidings.db`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
            .ok_or("must be sqlite:PATH")?;
        if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') {
            return Err("must name a file, as in sqlite:tidings.db".to_owned());
        }
        Ok(Self { path: path.into() })
    }
}

impl DatabaseUrl {
    /// Of a database file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the lock that keeps a second process from serving the same file. It is
/// held as long as the file is open, so a killed process leaves none behind.
pub(super) fn lock(url: &DatabaseUrl) -> Result<File, String> {
    let mut path = url.path.clone().into_os_string();
    path.push("-lock");
    let shown = Path::new(&path).display();
    let file = File::create(&path).map_err(|e| format!("cannot create {shown}: {e}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another process serves {} already", url.path.display()))
        }
        Err(TryLockError::Error(e)) => Err(format!("cannot lock {shown}: {e}")),
    }
}

/// Opens the writer connection, making the file where there is none.
pub(super) async fn writer(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    connect(url, 1, WRITER_CACHE_KIB, false).await
}

/// Opens the readers.
pub(super) async fn readers(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    connect(url, READERS, READER_CACHE_KIB, true).await
}

/// Opens the connection that checkpoints the log beside the writer.
pub(super) async fn checkpointer(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    connect(url, 1, READER_CACHE_KIB, false).await
}

async fn connect(
    url: &DatabaseUrl,
    connections: u32,
    cache_kib: u32,
    read_only: bool,
) -> Result<DatabaseConnection, DbErr> {
    let path = url.path.clone();
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
                .foreign_keys(false)
                // Negative: KiB instead of pages.
                .pragma("cache_size", format!("-{cache_kib}"))
                .pragma("temp_store", "memory")
                // What is deleted or replaced does not stay behind in its page.
                .pragma("secure_delete", "fast");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file() {
        let path = |url: &str| url.parse::<DatabaseUrl>().map(|url| url.path);
        assert_eq!(path("sqlite:tidings.db"), Ok("tidings.db".into()));
        assert_eq!(path("sqlite:///var/lib/t.db"), Ok("/var/lib/t.db".into()));
        for bad in
            ["", "tidings.db", "sqlite:", "sqlite::memory:", "postgres://h/d", "sqlite:a?mode=ro"]
        {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
