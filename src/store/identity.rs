//! Which database this is: resume tokens name it. After a backup was restored, positions of
//! its journals come to stand for other changes than before, so it needs another name.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, TransactionTrait};

use super::{Store, cluster::NOW, connect, database_url::DatabaseUrl, query};

impl Store {
    /// Gives a database that was restored from a backup a new id. Its schema is up to date.
    ///
    /// # Errors
    ///
    /// In words for an operator; also where a server serves it, which would go on under the
    /// old id.
    pub async fn rename(url: &DatabaseUrl) -> Result<(), String> {
        let _lock = connect::lock(url)?;
        let failed = |e: DbErr| format!("cannot give {url} a new id: {e}");
        let schema = connect::schema(url).await.map_err(failed)?;
        let writer = connect::writer(url, &schema);
        let renamed = rename(&writer).await.map_err(failed)?;
        writer.close().await.map_err(failed)?;
        renamed.then_some(()).ok_or_else(|| format!("{url} is being served: stop the servers"))
    }
}

/// Does it, unless a node is alive; says whether it did.
async fn rename(writer: &DatabaseConnection) -> Result<bool, DbErr> {
    let tx = writer.begin().await?;
    // A file has no nodes, but the lock beside it.
    if writer.get_database_backend() == DbBackend::Postgres {
        let served = format!("SELECT 1 FROM nodes WHERE lease_end > {NOW}");
        if !query(&tx, &served, []).await?.is_empty() {
            return Ok(false);
        }
    }
    let sql = format!("UPDATE database_identity SET database_id = {}", new_id());
    tx.execute_unprepared(&sql).await?;
    tx.commit().await?;
    Ok(true)
}

/// A name that no other database has: 63 random bits.
pub(super) fn new_id() -> i64 {
    i64::from_be_bytes(rand::random()) & i64::MAX
}
