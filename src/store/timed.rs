//! Statements whose answer is not waited for without end: a server limits the time of a
//! statement itself, but nobody tells that the network is gone.

use std::{future::Future, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};

/// A connection, and how long each of its statements is waited for; without limit where
/// the database is a file.
#[derive(Clone)]
pub(super) struct Timed<C> {
    pub(super) connection: C,
    pub(super) limit: Option<Duration>,
}

/// Waits no longer than `limit` for a database.
pub(super) async fn within<T, E: From<DbErr>>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(limit) = limit else { return work.await };
    let no_answer = || RuntimeErr::Internal(format!("no answer within {limit:?}"));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(DbErr::Conn(no_answer()).into()))
}

#[async_trait::async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Timed<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        within(self.limit, self.connection.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        within(self.limit, self.connection.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        within(self.limit, self.connection.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        within(self.limit, self.connection.query_all_raw(statement)).await
    }
}
