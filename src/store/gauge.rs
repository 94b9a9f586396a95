//! What measurements ask of a database itself: what a commit takes, and how many there were.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, Statement, Value,
    sqlx::{self, ConnectOptions, postgres::PgConnection},
};

use super::{
    connect,
    database_url::{DatabaseUrl, Place},
    query,
    rows::Row,
};

/// Where the index of a write-ahead log counts the transactions that were committed to it
/// (`iChange` in <https://www.sqlite.org/walformat.html>): four bytes in the machine's order.
const CHANGES: std::ops::Range<usize> = 8..12;

/// Commits of one row, synced as a publish is, to a table of their own.
pub struct SyncedCommits {
    connection: Connection,
    shown: String,
    last: i64,
}

enum Connection {
    /// As the writer has it.
    File(DatabaseConnection),
    /// Without a pool, which tries a connection after each use.
    Server(Box<PgConnection>),
}

impl SyncedCommits {
    /// Connects to an empty database as the writer does, and makes the table.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, String> {
        let shown = url.to_string();
        let failed = |e: &dyn fmt::Display| format!("cannot open {shown}: {e}");
        let connection = match &url.place {
            Place::File(_) => Connection::File(connect::schema(url).await.map_err(|e| failed(&e))?),
            Place::Server(options) => {
                let options = options.clone().options([("synchronous_commit", "on")]);
                Connection::Server(Box::new(options.connect().await.map_err(|e| failed(&e))?))
            }
        };
        let mut commits = Self { connection, shown, last: 0 };
        commits.execute("CREATE TABLE synced_commits (number bigint PRIMARY KEY)", []).await?;
        Ok(commits)
    }

    /// Commits one row.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn commit(&mut self) -> Result<(), String> {
        self.last += 1;
        self.execute("INSERT INTO synced_commits (number) VALUES ($1)", [self.last]).await
    }

    async fn execute<const N: usize>(
        &mut self,
        sql: &'static str,
        values: [i64; N],
    ) -> Result<(), String> {
        let failed = |e: &dyn fmt::Display| format!("cannot write to {}: {e}", self.shown);
        match &mut self.connection {
            Connection::File(connection) => {
                let backend = connection.get_database_backend();
                let statement =
                    Statement::from_sql_and_values(backend, sql, values.map(Value::from));
                connection.execute_raw(statement).await.map(drop).map_err(|e| failed(&e))
            }
            Connection::Server(connection) => {
                let query =
                    values.into_iter().fold(sqlx::query(sql), |query, value| query.bind(value));
                query.execute(&mut **connection).await.map(drop).map_err(|e| failed(&e))
            }
        }
    }
}

/// Counts the transactions that write to a database that is being served.
pub enum CommitCounter {
    /// The index of a file's write-ahead log: who serves the file keeps the count there.
    File(PathBuf),
    /// A server, which numbers transactions that write, whichever of its databases they write to.
    Server(DatabaseConnection, DatabaseUrl),
}

impl CommitCounter {
    /// Of that database.
    pub fn new(url: &DatabaseUrl) -> Self {
        match &url.place {
            Place::File(path) => Self::File(connect::log_index(path)),
            Place::Server(options) => {
                Self::Server(connect::single(options, url.usage), url.clone())
            }
        }
    }

    /// How many there were so far, counted from anywhere.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn count(&self) -> Result<u64, String> {
        match self {
            Self::File(index) => changes(index),
            Self::Server(connection, url) => {
                next_transaction(connection).await.map_err(|e| failed("read", url, &e))
            }
        }
    }
}

fn failed(what: &str, url: &DatabaseUrl, error: &DbErr) -> String {
    format!("cannot {what} {url}: {error}")
}

fn changes(index: &Path) -> Result<u64, String> {
    let shown = index.display();
    let bytes = fs::read(index).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let bytes = bytes.get(CHANGES).and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(|bytes| u32::from_ne_bytes(bytes).into())
        .ok_or_else(|| format!("{shown} is too short"))
}

/// The number that the next transaction gets which writes.
async fn next_transaction(on: &DatabaseConnection) -> Result<u64, DbErr> {
    let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next";
    let rows = query(on, sql, []).await?;
    let row = rows.first().ok_or_else(|| DbErr::RecordNotFound(sql.to_owned()))?;
    Ok(Row(row).get::<i64>("next")?.unsigned_abs())
}
