//! The first schema.
//!
//! Times are microseconds since the epoch, UTC; durations microseconds. Numbers
//! of enums are the contract's. Payloads, lists and maps are JSON text.

mod log;

use sea_orm_migration::prelude::*;

use super::words::Words;
use crate::{domain::shard::Shards, store::identity::new_id};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Tables and indexes, in the order of their making.
fn statements(words: &Words) -> Vec<String> {
    let Words { key, serial, uuid, bytes, clustered, bytewise, roomy, own, .. } = words;
    let mut statements = vec![
        // One row: which database this is. A restored backup gets a new id. With
        // session_key all nodes sign session tokens: 32 bytes in hex, sealed where there is a key.
        "CREATE TABLE database_identity (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            database_id BIGINT NOT NULL,
            session_key TEXT NOT NULL
        )"
        .to_owned(),
        // The keys that secrets may be encrypted with, by id; '' stands for none. All
        // of them are needed to open the database. No rows: it never had a key.
        format!(
            "CREATE TABLE secret_keys (
            key_id TEXT {bytewise} PRIMARY KEY,
            canary TEXT NOT NULL
        )"
        ),
        format!(
            "CREATE TABLE tenants (
            tenant_key {serial},
            tenant_id TEXT {bytewise} NOT NULL UNIQUE,
            config_version BIGINT NOT NULL DEFAULT 0,
            last_webhook_number INTEGER NOT NULL DEFAULT 0,
            create_time BIGINT NOT NULL,
            settings TEXT NOT NULL DEFAULT '{{}}',
            version BIGINT NOT NULL DEFAULT 1,
            attribution TEXT
        )"
        ),
        // head is the position of a tenant's newest journal entry and head_time when that
        // was written, previous_time what head_time was before it was last raised; floor is
        // the position of the newest entry that retention removed. rest is the entries up to
        // head that do not fill a row of the journal yet, in a file. Apart from the tenants,
        // because every commit raises it.
        format!(
            "CREATE TABLE journal_heads (
            tenant_key {key},
            head BIGINT NOT NULL DEFAULT 0,
            head_time BIGINT NOT NULL DEFAULT 0,
            previous_time BIGINT NOT NULL DEFAULT 0,
            floor BIGINT NOT NULL DEFAULT 0,
            rest {bytes},
            CHECK (0 <= floor AND floor <= head)
        ) {roomy}"
        ),
        // A node that serves the database, until its lease is over: by the database's clock,
        // in microseconds.
        format!("CREATE TABLE nodes (node_key {serial}, lease_end BIGINT NOT NULL)"),
        // The lanes, in shards; each belongs to the node that it names, where there is one.
        "CREATE TABLE shards (shard SMALLINT PRIMARY KEY, node_key BIGINT)".to_owned(),
        format!("INSERT INTO shards (shard) VALUES {}", all_shards()),
        // realm is a tenant's id, or * for all tenants. Of a token only the hash is
        // stored, in hex.
        format!(
            "CREATE TABLE api_keys (
            api_key_key {serial},
            api_key_id TEXT {bytewise} NOT NULL UNIQUE,
            realm TEXT {bytewise} NOT NULL,
            token_hash TEXT {bytewise} NOT NULL UNIQUE,
            actor TEXT NOT NULL,
            permissions INTEGER NOT NULL CHECK (permissions > 0),
            create_time BIGINT NOT NULL,
            expire_time BIGINT,
            revoke_time BIGINT
        )"
        ),
        "CREATE INDEX api_keys_realm ON api_keys (realm, api_key_key)".to_owned(),
        "CREATE INDEX api_keys_usable ON api_keys (realm) WHERE revoke_time IS NULL".to_owned(),
        format!(
            "CREATE TABLE webhooks (
            webhook_key {serial},
            tenant_key BIGINT NOT NULL,
            webhook_id TEXT {bytewise} NOT NULL UNIQUE,
            number INTEGER NOT NULL,
            name TEXT {bytewise} NOT NULL,
            consumer_group_id {uuid} NOT NULL,
            spec TEXT NOT NULL,
            hears_states BOOLEAN NOT NULL,
            suspension TEXT,
            holds TEXT NOT NULL,
            attribution TEXT NOT NULL,
            version BIGINT NOT NULL,
            config_version BIGINT NOT NULL,
            delete_time BIGINT,
            UNIQUE (tenant_key, number)
        )"
        ),
        // Those whose event names cover what is told of other webhooks' states.
        "CREATE INDEX webhooks_hearing ON webhooks (tenant_key)
            WHERE hears_states AND delete_time IS NULL"
            .to_owned(),
        "CREATE UNIQUE INDEX webhooks_name ON webhooks (tenant_key, name)
            WHERE delete_time IS NULL"
            .to_owned(),
        "CREATE INDEX webhooks_changed ON webhooks (tenant_key, config_version)".to_owned(),
        // The headers that a webhook had from a version on, sensitive ones masked:
        // what the log shows of an attempt.
        format!(
            "CREATE TABLE webhook_headers (
            webhook_key BIGINT NOT NULL,
            since_version BIGINT NOT NULL,
            headers TEXT NOT NULL,
            PRIMARY KEY (webhook_key, since_version)
        ) {clustered}"
        ),
        // Custom event types, and what a tenant changed of standard ones.
        format!(
            "CREATE TABLE event_types (
            tenant_key BIGINT NOT NULL,
            event_name TEXT {bytewise} NOT NULL,
            origin INTEGER NOT NULL CHECK (origin IN (1, 2)),
            active BOOLEAN NOT NULL,
            description TEXT NOT NULL,
            schema_json TEXT NOT NULL,
            enforcement INTEGER NOT NULL CHECK (enforcement BETWEEN 1 AND 3),
            attribution TEXT NOT NULL,
            version BIGINT NOT NULL,
            config_version BIGINT NOT NULL,
            delete_time BIGINT,
            PRIMARY KEY (tenant_key, event_name)
        ) {clustered}"
        ),
        "CREATE INDEX event_types_changed ON event_types (tenant_key, config_version)".to_owned(),
        format!(
            "CREATE TABLE idempotency_keys (
            tenant_key BIGINT NOT NULL,
            operation TEXT {bytewise} NOT NULL,
            idempotency_key TEXT {bytewise} NOT NULL,
            request_digest TEXT NOT NULL,
            answer TEXT NOT NULL,
            create_time BIGINT NOT NULL,
            PRIMARY KEY (tenant_key, operation, idempotency_key)
        ) {clustered}"
        ),
        "CREATE INDEX idempotency_keys_age ON idempotency_keys (create_time)".to_owned(),
    ];
    statements.extend(log::statements(words));
    statements.extend(own.iter().map(|&own| own.to_owned()));
    statements
}

fn all_shards() -> String {
    let rows = Shards::ALL.iter().map(|shard| format!("({})", shard.0));
    rows.collect::<Vec<_>>().join(", ")
}

#[expect(elided_lifetimes_in_paths, reason = "async_trait needs the trait's own form")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On a file too, where each statement would be synced by itself, and a process that is
    /// killed between two of them would leave half a schema, which nothing completes.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in statements(Words::of(manager.get_database_backend())) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        let id = new_id();
        let session_key: [u8; 32] = rand::random();
        let session_key: String = session_key.iter().map(|byte| format!("{byte:02x}")).collect();
        let insert = format!("INSERT INTO database_identity VALUES (1, {id}, '{session_key}')");
        manager.get_connection().execute_unprepared(&insert).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use sea_orm::DbBackend;

    use super::*;

    /// Where a list in a CHECK has three values or more, SQLite makes a table of them for
    /// each row that is written.
    #[test]
    fn no_row_is_checked_by_a_table() {
        let connection = Connection::open_in_memory().expect("opens");
        for statement in statements(Words::of(DbBackend::Sqlite)) {
            connection.execute_batch(&statement).expect(&statement);
        }
        let strings = |sql: &str, column: usize| -> Vec<String> {
            let mut statement = connection.prepare(sql).expect(sql);
            let rows = statement.query_map([], |row| row.get(column)).expect("rows");
            rows.collect::<Result<_, _>>().expect("strings")
        };
        let tables = strings("SELECT name FROM sqlite_schema WHERE type = 'table'", 0);
        assert!(tables.iter().any(|table| table == "deliveries"));
        for table in tables {
            let steps = strings(&format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"), 1);
            assert!(!steps.contains(&"OpenEphemeral".to_owned()), "{table}");
        }
    }
}
