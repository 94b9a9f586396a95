//! What the statements of a write transaction run on: the driver, or, where the writer of a
//! file has a thread of its own, right there.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, Value,
};

use super::{
    direct::DirectTransaction,
    query,
    timed::{Timed, within},
};

/// See the module. Dropped without [`Self::commit`], it is rolled back.
pub(super) enum Sql {
    Driver(Timed<DatabaseTransaction>),
    Direct(DirectTransaction),
}

/// A row of so many numbers, and bytes.
pub(super) type NumbersAndBytes<const N: usize> = ([i64; N], Vec<u8>);

impl Sql {
    /// Which database it is.
    pub(super) fn backend(&self) -> DbBackend {
        match self {
            Self::Driver(on) => on.get_database_backend(),
            Self::Direct(_) => DbBackend::Sqlite,
        }
    }

    /// The driver, for rows of any kind. The writer's own transactions on a file are without
    /// one: they read numbers only.
    pub(super) fn driver(&self) -> Result<&Timed<DatabaseTransaction>, DbErr> {
        match self {
            Self::Driver(on) => Ok(on),
            Self::Direct(_) => Err(DbErr::Custom("a transaction without a driver".to_owned())),
        }
    }

    /// Executes one statement. Returns the number of rows that were changed.
    pub(super) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<u64, DbErr> {
        match self {
            Self::Driver(on) => {
                let backend = on.get_database_backend();
                let statement = Statement::from_sql_and_values(backend, sql, values);
                Ok(on.execute_raw(statement).await?.rows_affected())
            }
            Self::Direct(on) => on.execute(sql, &values),
        }
    }

    /// Queries rows of so many numbers.
    pub(super) async fn numbers<const N: usize>(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<[i64; N]>, DbErr> {
        let on = match self {
            Self::Driver(on) => on,
            Self::Direct(on) => return on.numbers(sql, &values),
        };
        query(on, sql, values).await?.iter().map(numbers).collect()
    }

    /// Queries rows of so many numbers and, after them, bytes; none where these are NULL.
    pub(super) async fn numbers_and_bytes<const N: usize>(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<NumbersAndBytes<N>>, DbErr> {
        let on = match self {
            Self::Driver(on) => on,
            Self::Direct(on) => return on.numbers_and_bytes(sql, &values),
        };
        let row = |row: &QueryResult| {
            let bytes: Option<Vec<u8>> = row.try_get_by_index(N)?;
            Ok((numbers(row)?, bytes.unwrap_or_default()))
        };
        query(on, sql, values).await?.iter().map(row).collect()
    }

    /// Commits.
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Driver(Timed { connection, limit }) => within(limit, connection.commit()).await,
            Self::Direct(transaction) => transaction.commit(),
        }
    }
}

fn numbers<const N: usize>(row: &QueryResult) -> Result<[i64; N], DbErr> {
    let mut numbers = [0; N];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = row.try_get_by_index(at)?;
    }
    Ok(numbers)
}
