//! What can go wrong in the store, and what the layers above hear of it.

use sea_orm::{
    DbErr, RuntimeErr, SqlErr, SqlxError,
    sqlx::{error::DatabaseError, postgres::PgDatabaseError},
};

use super::writer::Verdict;
use crate::domain::error::{Error, Reason};

/// A failed store operation.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database does not answer, is full, locked or gone: the same call may
    /// work later, and nothing was done.
    Unavailable(DbErr),
    /// The connection was lost in the commit: it may have been done or not, which the
    /// verdict will say, where there is one.
    InDoubt(DbErr, Option<Verdict>),
    /// The database refuses the data: the same call fails again.
    Data(DbErr),
    /// The request does not fit what is stored; the caller is told so.
    Refused(Error),
    /// The node has lost its lease: others decide about its lanes.
    Fenced,
}

impl Failure {
    /// Of a commit.
    pub(super) fn commit(error: DbErr, verdict: Option<Verdict>) -> Self {
        if is_refusal(&error) { error.into() } else { Self::InDoubt(error, verdict) }
    }

    /// Whether the same transaction may well work at once.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(error) if is_passing(error))
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        if is_data_error(&error) { Self::Data(error) } else { Self::Unavailable(error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(error) | Failure::InDoubt(error, _) => {
                tracing::error!(%error, "the database does not answer");
                Self::store_unavailable()
            }
            Failure::Data(error) => Self::new(Reason::Internal, error.to_string()),
            Failure::Refused(error) => error,
            Failure::Fenced => {
                tracing::warn!("the lease is lost: nothing is recorded under it");
                Self::store_unavailable()
            }
        }
    }
}

/// A row that the store itself cannot read: a fault of ours or a damaged file.
pub(super) fn corrupt(what: &str) -> DbErr {
    DbErr::Type(format!("unreadable {what}"))
}

/// Whether the data is at fault rather than the database: constraints, types, sizes.
fn is_data_error(error: &DbErr) -> bool {
    if matches!(
        error.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_))
    ) {
        return true;
    }
    match sqlx_error(error) {
        Some(SqlxError::Database(e)) => is_data_code(&**e),
        Some(SqlxError::Encode(_) | SqlxError::Decode(_) | SqlxError::ColumnDecode { .. }) => true,
        Some(_) => false,
        None => matches!(error, DbErr::Type(_) | DbErr::TryIntoErr { .. } | DbErr::Json(_)),
    }
}

fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => Some(e),
        _ => None,
    }
}

/// SQLite's primary codes 18 (too big), 19 (constraint), 20 (mismatch), 25 (range);
/// PostgreSQL's classes 21 (cardinality), 22 (data), 23 (constraint), 54 (limit).
fn is_data_code(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    if is_postgres(error) {
        return ["21", "22", "23", "54"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18 | 19 | 20 | 25))
}

fn is_postgres(error: &dyn DatabaseError) -> bool {
    error.as_error().is::<PgDatabaseError>()
}

/// Whether the same transaction may well work at once: it met another one (40001, 40P01),
/// or its connection was lost, which a new one replaces. Only where it did not come to the
/// commit. Time that was waited for a connection is not waited again.
pub(super) fn is_passing(error: &DbErr) -> bool {
    match sqlx_error(error) {
        Some(SqlxError::Database(e)) => {
            is_postgres(&**e)
                && e.code().is_some_and(|code| {
                    let meeting = matches!(&*code, "40001" | "40P01");
                    meeting || code.starts_with("08") || matches!(&*code, "57P01" | "57P02")
                })
        }
        Some(SqlxError::Io(_) | SqlxError::Protocol(_) | SqlxError::Tls(_)) => true,
        _ => false,
    }
}

/// Whether it is known that a transaction whose commit failed so was not committed: the
/// database says so itself.
pub(super) fn is_refusal(error: &DbErr) -> bool {
    matches!(sqlx_error(error), Some(SqlxError::Database(e))
        if e.code().is_none_or(|code| !code.starts_with("57P") && !code.starts_with("08")))
}

/// Whether the server has not given that name to a transaction, or has forgotten it in a
/// crash: PostgreSQL's 22023 (invalid parameter value), "in the future".
pub(super) fn is_unknown_transaction(error: &DbErr) -> bool {
    matches!(sqlx_error(error), Some(SqlxError::Database(e)) if e.code().is_some_and(|code| code == "22023"))
}

/// Whether a unique constraint over this column refused the data.
pub(super) fn is_duplicate(error: &DbErr, column: &str) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(text)) if text.contains(column))
}
