//! Which database this is. Resume tokens name it, and so does nothing else that must hold
//! after a backup was restored: from there on, positions of the journal stand for other
//! changes than before.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};

use super::{Store, cluster::NOW, connect, database_url::DatabaseUrl, query};

impl Store {
    /// Gives a database that was restored from a backup a new id. It has its schema.
    ///
    /// # Errors
    ///
    /// In words for an operator; also where a server serves it, which would go on under the
    /// old id.
    pub async fn rename(url: &DatabaseUrl) -> Result<(), String> {
        let _lock = connect::lock(url)?;
        let failed = |e: DbErr| format!("cannot give {url} a new id: {e}");
        let writer = connect::writer(url).await.map_err(failed)?;
        let renamed = rename(&writer).await.map_err(failed)?;
        writer.close().await.map_err(failed)?;
        renamed.then_some(()).ok_or_else(|| format!("{url} is being served: stop the servers"))
    }
}

/// Does it, unless a node is alive; says whether it did.
async fn rename(writer: &DatabaseConnection) -> Result<bool, DbErr> {
    let tx = writer.begin().await?;
    // A file has no nodes, but the lock beside it.
    let served = format!("SELECT 1 FROM nodes WHERE lease_end > {NOW}");
    if is_server(writer) && !query(&tx, &served, []).await?.is_empty() {
        return Ok(false);
    }
    let sql = format!("UPDATE database_identity SET database_id = {}", new_id());
    tx.execute_unprepared(&sql).await?;
    tx.commit().await?;
    Ok(true)
}

fn is_server(on: &DatabaseConnection) -> bool {
    on.get_database_backend() == sea_orm::DbBackend::Postgres
}

/// A name that no other database has: 63 random bits.
pub(super) fn new_id() -> i64 {
    i64::from_be_bytes(rand::random()) & i64::MAX
}
