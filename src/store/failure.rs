//! What can go wrong in the store, and what the layers above hear of it.

use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError};

use crate::domain::error::{Error, Reason};

/// A failed store operation.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database does not answer, is full, locked or gone: the same call may
    /// work later, and nothing was done.
    Unavailable(DbErr),
    /// The database refuses the data: the same call fails again.
    Data(DbErr),
    /// The request does not fit what is stored; the caller is told so.
    Refused(Error),
    /// The node has lost its lease: others decide about its lanes.
    Fenced,
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
            Failure::Unavailable(error) => {
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

/// Whether the data is at fault rather than the database: constraints, types,
/// sizes. SQLite's primary codes 18 (too big), 19 (constraint), 20 (mismatch), 25
/// (range).
fn is_data_error(error: &DbErr) -> bool {
    if matches!(
        error.sql_err(),
        Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_))
    ) {
        return true;
    }
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(e)) | DbErr::Query(RuntimeErr::SqlxError(e)) => {
            match e.as_ref() {
                SqlxError::Database(e) => e
                    .code()
                    .and_then(|code| code.parse::<u32>().ok())
                    .is_some_and(|code| matches!(code & 0xff, 18 | 19 | 20 | 25)),
                SqlxError::Encode(_) | SqlxError::Decode(_) | SqlxError::ColumnDecode { .. } => {
                    true
                }
                _ => false,
            }
        }
        DbErr::Type(_) | DbErr::TryIntoErr { .. } | DbErr::Json(_) => true,
        _ => false,
    }
}

/// Whether a unique constraint over this column refused the data.
pub(super) fn is_duplicate(error: &DbErr, column: &str) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(text)) if text.contains(column))
}
