//! A connection to an SQLite file whose statements run where they are called. The driver has
//! a thread for each connection, and each statement is a turn to it and back: on a machine
//! that is busy these turns take longer than the statements. The writer, which has a thread
//! of its own, does without.

use std::{
    borrow::Cow,
    cell::Cell,
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::Mutex;
use rusqlite::{
    CachedStatement, Connection, Error, Row, ffi,
    types::{ToSqlOutput, ValueRef},
};
use sea_orm::{
    DbErr, RuntimeErr, SqlxError, Value,
    sqlx::error::{DatabaseError, ErrorKind},
};

use super::sql::NumbersAndBytes;

thread_local! {
    /// Pages in the write-ahead log after the last commit of this thread: whoever commits is
    /// told by a function that knows nothing else.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

/// See the module.
#[derive(Clone)]
pub(super) struct Direct(Arc<Shared>);

struct Shared {
    connection: Mutex<Connection>,
    log_pages: AtomicU32,
}

/// A transaction on it. Dropped without [`Self::commit`], it is rolled back.
pub(super) struct DirectTransaction(Arc<Shared>);

impl Direct {
    /// Takes over a connection, which nothing else uses.
    pub(super) fn new(connection: Connection) -> Self {
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages.unsigned_abs());
            Ok(())
        }));
        let connection = Mutex::new(connection);
        Self(Arc::new(Shared { connection, log_pages: AtomicU32::new(0) }))
    }

    /// Pages in the write-ahead log after the last commit.
    pub(super) fn log_pages(&self) -> u32 {
        self.0.log_pages.load(Ordering::Relaxed)
    }

    /// Begins a transaction; there is one at a time.
    pub(super) fn begin(&self) -> Result<DirectTransaction, DbErr> {
        self.0.connection.lock().execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        Ok(DirectTransaction(Arc::clone(&self.0)))
    }
}

impl DirectTransaction {
    /// Commits. Where that fails, nothing was written.
    pub(super) fn commit(self) -> Result<(), DbErr> {
        self.0.connection.lock().execute_batch("COMMIT").map_err(failed)?;
        self.0.log_pages.store(LOG_PAGES.get(), Ordering::Relaxed);
        Ok(())
    }

    /// Another number after each transaction that somebody else has committed.
    pub(super) fn data_version(&self) -> Result<i64, DbErr> {
        let versions = self.numbers::<1>("PRAGMA data_version", &[])?;
        Ok(versions.first().map_or(0, |[version]| *version))
    }

    /// Runs a statement for each row, whose values stand one after the other. Returns the
    /// number of rows that were changed.
    pub(super) fn run_each(&self, sql: &str, rows: &[Value], width: usize) -> Result<u64, DbErr> {
        let connection = self.0.connection.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut changed = 0;
        for row in rows.chunks_exact(width) {
            for (at, value) in (1..).zip(row) {
                bind(&mut statement, at, value)?;
            }
            changed += statement.raw_execute().map_err(failed)? as u64;
        }
        Ok(changed)
    }

    /// Executes one statement. Returns the number of rows that were changed.
    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DbErr> {
        let connection = self.0.connection.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        bind_numbered(&mut statement, values)?;
        Ok(statement.raw_execute().map_err(failed)? as u64)
    }

    /// Queries rows of so many numbers.
    pub(super) fn numbers<const N: usize>(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<[i64; N]>, DbErr> {
        self.rows(sql, values, numbers)
    }

    /// Queries rows of so many numbers and, after them, bytes; none where these are NULL.
    pub(super) fn numbers_and_bytes<const N: usize>(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<NumbersAndBytes<N>>, DbErr> {
        self.rows(sql, values, |row| {
            let bytes: Option<Vec<u8>> = row.get(N)?;
            Ok((numbers(row)?, bytes.unwrap_or_default()))
        })
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, DbErr> {
        let connection = self.0.connection.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        bind_numbered(&mut statement, values)?;
        let (mut rows, mut found) = (statement.raw_query(), Vec::new());
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(read(row).map_err(failed)?);
        }
        Ok(found)
    }
}

impl Drop for DirectTransaction {
    fn drop(&mut self) {
        let connection = self.0.connection.lock();
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction was not rolled back");
        }
    }
}

fn numbers<const N: usize>(row: &Row<'_>) -> Result<[i64; N], Error> {
    let mut numbers = [0; N];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = row.get(at)?;
    }
    Ok(numbers)
}

/// Binds values to the parameters that have their numbers: `$2` is the second.
fn bind_numbered(statement: &mut CachedStatement<'_>, values: &[Value]) -> Result<(), DbErr> {
    for at in 1..=statement.parameter_count() {
        let number = statement.parameter_name(at).and_then(|name| name[1..].parse().ok());
        let value = values.get(number.unwrap_or(at) - 1);
        let value = value.ok_or_else(|| failed(Error::InvalidParameterCount(values.len(), at)))?;
        bind(statement, at, value)?;
    }
    Ok(())
}

fn bind(statement: &mut CachedStatement<'_>, at: usize, value: &Value) -> Result<(), DbErr> {
    let value = match value {
        Value::BigInt(Some(number)) => ValueRef::Integer(*number),
        Value::Int(Some(number)) => ValueRef::Integer(i64::from(*number)),
        Value::Bool(Some(whether)) => ValueRef::Integer(i64::from(*whether)),
        Value::String(Some(text)) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
        Value::Uuid(Some(id)) => ValueRef::Blob(id.as_bytes()),
        Value::BigInt(None)
        | Value::Int(None)
        | Value::Bool(None)
        | Value::String(None)
        | Value::Bytes(None)
        | Value::Uuid(None) => ValueRef::Null,
        other => return Err(DbErr::Type(format!("no parameter of this kind: {other:?}"))),
    };
    statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(value)).map_err(failed)
}

/// What SQLite says of a statement that failed, as the driver would say it.
#[derive(Debug)]
struct Refused {
    error: Error,
    text: String,
}

fn failed(error: Error) -> DbErr {
    let text = error.to_string();
    let refused = SqlxError::Database(Box::new(Refused { error, text }));
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(refused)))
}

impl Refused {
    fn extended_code(&self) -> Option<i32> {
        self.error.sqlite_error().map(|error| error.extended_code)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        &self.text
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.extended_code().map(|code| code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.extended_code() {
            Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                ErrorKind::UniqueViolation
            }
            Some(ffi::SQLITE_CONSTRAINT_CHECK) => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::failure::Failure;

    const READ: &str = "SELECT key, number FROM rows ORDER BY key";

    fn opened() -> Direct {
        let connection = Connection::open_in_memory().expect("opens");
        let sql = "CREATE TABLE rows (key INTEGER PRIMARY KEY, number INTEGER CHECK (number < 9))";
        connection.execute_batch(sql).expect("a table");
        Direct::new(connection)
    }

    fn insert(tx: &DirectTransaction, rows: &[i64]) -> Result<u64, DbErr> {
        let values: Vec<Value> = rows.iter().copied().map(Value::from).collect();
        tx.run_each("INSERT INTO rows VALUES (?, ?) ON CONFLICT DO NOTHING", &values, 2)
    }

    #[test]
    fn what_is_committed_is_read_by_the_next_and_what_is_dropped_is_not() {
        let direct = opened();
        let tx = direct.begin().expect("begins");
        assert_eq!(insert(&tx, &[1, 2, 3, 4, 1, 5]).expect("inserts"), 2, "one was there before");
        tx.commit().expect("commits");
        let tx = direct.begin().expect("begins");
        insert(&tx, &[7, 8]).expect("inserts");
        drop(tx);
        let tx = direct.begin().expect("begins");
        assert_eq!(tx.numbers::<2>(READ, &[]).expect("rows"), [[1, 2], [3, 4]]);
    }

    #[test]
    fn parameters_go_by_their_numbers() {
        let direct = opened();
        let tx = direct.begin().expect("begins");
        insert(&tx, &[1, 2, 3, 4]).expect("inserts");
        let sql = "UPDATE rows SET number = $2 + $2 WHERE key = $1";
        assert_eq!(tx.execute(sql, &[3i64.into(), 1i64.into()]).expect("updates"), 1);
        assert_eq!(tx.numbers::<2>(READ, &[]).expect("rows"), [[1, 2], [3, 2]]);
    }

    #[test]
    fn a_refused_row_is_the_fault_of_its_data_and_missing_values_are_none() {
        let direct = opened();
        let tx = direct.begin().expect("begins");
        let refused = insert(&tx, &[1, 9]).expect_err("the check");
        assert!(matches!(Failure::from(refused), Failure::Data(_)));
        let missing = tx.execute("DELETE FROM rows WHERE key = $2", &[1i64.into()]);
        assert!(matches!(missing.map_err(Failure::from), Err(Failure::Unavailable(_))));
    }
}
