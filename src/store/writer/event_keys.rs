//! Keys of events are known before their insertion, so that deliveries can be written with
//! them at once.

use sea_orm::ConnectionTrait;

use crate::store::{failure::Failure, query, rows::Row, sql::Sql};

/// Where new keys come from.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum EventKeys {
    /// The one writer counts; this is the next one.
    Counted(i64),
    /// The database counts, for all nodes.
    Sequence,
}

impl EventKeys {
    /// Whether the database counts.
    pub(super) fn are_of_database(&self) -> bool {
        matches!(self, Self::Sequence)
    }

    /// Takes so many keys, rising.
    pub(super) async fn take(&mut self, tx: &Sql, count: usize) -> Result<Vec<i64>, Failure> {
        let count = count as i64;
        match self {
            Self::Counted(next) => {
                let first = *next;
                *next += count;
                Ok((first..*next).collect())
            }
            Self::Sequence if count == 0 => Ok(Vec::new()),
            Self::Sequence => {
                let sql = "SELECT nextval('event_keys') AS key FROM generate_series(1, $1)";
                let keys = tx.numbers(sql, vec![count.into()]).await?;
                Ok(keys.into_iter().map(|[key]| key).collect())
            }
        }
    }
}

/// Where the keys of this database come from.
pub(in crate::store) async fn event_keys(
    on: &impl ConnectionTrait,
) -> Result<EventKeys, sea_orm::DbErr> {
    if on.get_database_backend() == sea_orm::DbBackend::Postgres {
        return Ok(EventKeys::Sequence);
    }
    let rows = query(on, "SELECT COALESCE(MAX(event_key), 0) AS newest FROM events", []).await?;
    let newest = rows.first().map_or(Ok(0), |row| Row(row).get::<i64>("newest"))?;
    Ok(EventKeys::Counted(newest + 1))
}
