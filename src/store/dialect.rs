//! What SQLite and PostgreSQL say differently, one word at a time. Whole statements that
//! differ stand beside each other in the one function that needs them.

use sea_orm::{DbBackend, Value, sea_query::ArrayType};

/// Which of the two a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl From<DbBackend> for Dialect {
    fn from(backend: DbBackend) -> Self {
        if backend == DbBackend::Postgres { Self::Postgres } else { Self::Sqlite }
    }
}

impl Dialect {
    /// Locks the rows that a query of a write transaction finds, of this table, until it
    /// ends. SQLite has one writer, and so locks nothing.
    pub(super) fn locking(self, table: &str) -> String {
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => format!("FOR UPDATE OF {table}"),
        }
    }

    /// As [`Self::locking`], for rows that may be left to whoever has locked them.
    pub(super) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// The greatest of some values, none of which is NULL.
    pub(super) fn greatest(self) -> &'static str {
        match self {
            Self::Sqlite => "MAX",
            Self::Postgres => "GREATEST",
        }
    }

    /// A join whose left side is read first. PostgreSQL knows its tables' sizes.
    pub(super) fn ordered_join(self) -> &'static str {
        match self {
            Self::Sqlite => "CROSS JOIN",
            Self::Postgres => "JOIN",
        }
    }

    /// Whether `column` is one of the numbers of a parameter that [`Self::list`] made. However
    /// many these are, the statement is the same.
    pub(super) fn is_in(self, column: &str, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each({parameter}))"),
            Self::Postgres => format!("{column} = ANY({parameter})"),
        }
    }

    /// The numbers of a parameter that [`Self::list`] made as a table with a column `value`.
    pub(super) fn listed(self, parameter: &str, table: &str) -> String {
        match self {
            Self::Sqlite => format!("json_each({parameter}) AS {table}"),
            Self::Postgres => format!("unnest({parameter}) AS {table}(value)"),
        }
    }

    /// Numbers as one parameter.
    pub(super) fn list(self, numbers: impl IntoIterator<Item = i64>) -> Value {
        match self {
            Self::Sqlite => {
                let numbers: Vec<_> = numbers.into_iter().map(|n| n.to_string()).collect();
                format!("[{}]", numbers.join(",")).into()
            }
            Self::Postgres => {
                let numbers = numbers.into_iter().map(Value::from).collect();
                Value::Array(ArrayType::BigInt, Some(Box::new(numbers)))
            }
        }
    }
}
