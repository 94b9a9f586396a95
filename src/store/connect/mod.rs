//! Opening the database: what writes, one transaction at a time, and what reads beside it.

mod postgres;
mod sqlite;

use std::path::{Path, PathBuf};

use sea_orm::{DatabaseConnection, DbErr, sqlx::postgres::PgConnectOptions};
use sea_orm_migration::MigratorTrait;

use super::{
    database_url::{DatabaseUrl, Place, Usage},
    migration::Migrator,
    secrets::{self, SecretKeys},
};
pub(super) use sqlite::{Lock, OfFile};

/// Takes the lock that keeps a second process from serving the same file; nodes share a
/// server.
pub(super) fn lock(url: &DatabaseUrl) -> Result<Option<Lock>, String> {
    match &url.place {
        Place::File(path) => sqlite::lock(path).map(Some),
        Place::Server(_) => Ok(None),
    }
}

/// Opens what the schema is made with, making the file where there is none. On a server it has
/// the schema alone: nodes that start at once follow each other.
pub(super) async fn schema(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    match &url.place {
        Place::File(path) => sqlite::writer(path).await,
        Place::Server(options) => postgres::alone(options).await,
    }
}

/// Opens what writes beside what the schema is made with; of a file that is the same.
pub(super) fn writer(url: &DatabaseUrl, schema: &DatabaseConnection) -> DatabaseConnection {
    match &url.place {
        Place::File(_) => schema.clone(),
        Place::Server(options) => postgres::writer(options, url.usage),
    }
}

/// Opens what the writer of a file has to itself: a server is written to by the driver alone,
/// and keeps its write-ahead log bounded.
pub(super) async fn of_file(url: &DatabaseUrl) -> Result<Option<OfFile>, DbErr> {
    match &url.place {
        Place::File(path) => sqlite::of_file(path).await.map(Some),
        Place::Server(_) => Ok(None),
    }
}

/// Opens the connections that read.
pub(super) async fn readers(url: &DatabaseUrl) -> Result<DatabaseConnection, DbErr> {
    match &url.place {
        Place::File(path) => sqlite::readers(path).await,
        Place::Server(options) => Ok(postgres::readers(options, url.usage)),
    }
}

/// Opens the connections on which nodes hear of each other; a file has one node.
pub(super) fn nodes(url: &DatabaseUrl) -> Option<DatabaseConnection> {
    match &url.place {
        Place::File(_) => None,
        Place::Server(options) => Some(postgres::nodes(options, url.usage)),
    }
}

/// One connection beside those of a node: for what measurements ask and make.
pub(super) fn single(options: &PgConnectOptions, usage: Usage) -> DatabaseConnection {
    postgres::single(options, usage)
}

/// Where the index of a file's write-ahead log is.
pub(super) fn log_index(path: &Path) -> PathBuf {
    sqlite::log_index(path)
}

/// Brings the schema up to date where `migrate` is set, and checks that the keys open what the
/// database holds. Then others may have the schema.
pub(super) async fn prepare(
    url: &DatabaseUrl,
    schema: DatabaseConnection,
    keys: &SecretKeys,
    migrate: bool,
) -> Result<(), String> {
    if migrate {
        let migrated = Migrator::up(&schema, None).await;
        migrated.map_err(|error| format!("cannot migrate {url}: {error}"))?;
    }
    let admitted = secrets::admit(&schema, keys).await;
    admitted
        .map_err(|error| format!("cannot read the keys of {url}: {error}"))?
        .map_err(|why| format!("cannot open {url}: {why}"))?;
    match &url.place {
        Place::File(_) => Ok(()),
        // The lock goes with its connection.
        Place::Server(_) => schema.close().await.map_err(|e| format!("cannot open {url}: {e}")),
    }
}
