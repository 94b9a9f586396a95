//! Keys of events are known before their insertion, so that deliveries can be written with
//! them at once.

use sea_orm::ConnectionTrait;

use crate::store::{query, rows::Row};

/// Where new keys come from.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum EventKeys {
    /// The one writer counts; this is the next one.
    Counted(i64),
    /// The database counts, for all nodes.
    Sequence,
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
