//! The first schema.
//!
//! Times are microseconds since the epoch, UTC; durations microseconds. Numbers
//! of enums are the contract's. Payloads, lists and maps are JSON text.

use sea_orm_migration::prelude::*;

use super::words::Words;
use crate::{domain::shard::Shards, store::identity::new_id};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Tables and indexes, in the order of their making.
fn statements(words: &Words) -> Vec<String> {
    let Words { key, serial, uuid, clustered, bytewise, roomy, own } = words;
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
        // the position of the newest entry that retention removed. Apart from the tenants,
        // because every commit raises it.
        format!(
            "CREATE TABLE journal_heads (
            tenant_key BIGINT PRIMARY KEY,
            head BIGINT NOT NULL DEFAULT 0,
            head_time BIGINT NOT NULL DEFAULT 0,
            previous_time BIGINT NOT NULL DEFAULT 0,
            floor BIGINT NOT NULL DEFAULT 0,
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
            enforcement INTEGER NOT NULL CHECK (enforcement IN (1, 2, 3)),
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
        // The payload comes last, so that the other columns are read without it.
        format!(
            "CREATE TABLE events (
            event_key {key},
            tenant_key BIGINT NOT NULL,
            event_id {uuid} NOT NULL,
            event_name TEXT {bytewise} NOT NULL,
            ref_id TEXT {bytewise} NOT NULL,
            request_id TEXT {bytewise} NOT NULL,
            ingest_time BIGINT NOT NULL,
            occur_time BIGINT,
            ordering_key TEXT,
            attributes TEXT,
            enrichments TEXT,
            payload TEXT NOT NULL,
            UNIQUE (tenant_key, event_id),
            CHECK (length(event_name) BETWEEN 1 AND 255)
        )"
        ),
        "CREATE INDEX events_ingested ON events (tenant_key, ingest_time, event_key)".to_owned(),
        "CREATE INDEX events_ref ON events (tenant_key, ref_id, ingest_time, event_key)
            WHERE ref_id <> ''"
            .to_owned(),
        "CREATE INDEX events_request ON events (tenant_key, request_id, ingest_time, event_key)
            WHERE request_id <> ''"
            .to_owned(),
        // position is the journal entry that put the delivery in its lane: the
        // order of the lane. due_time is set where an attempt is due at a time of
        // its own: a retry, or one asked for by hand. Deliveries of one webhook and
        // order_key wait for each other. requeue_time is set by a replay: from then on
        // its age counts.
        format!(
            "CREATE TABLE deliveries (
            event_key BIGINT NOT NULL,
            webhook_key BIGINT NOT NULL,
            tenant_key BIGINT NOT NULL,
            ingest_time BIGINT NOT NULL,
            position BIGINT NOT NULL,
            order_key BIGINT,
            status INTEGER NOT NULL CHECK (status IN (1, 2, 3, 4, 5)),
            attempt_count BIGINT NOT NULL,
            due_time BIGINT,
            sla_due_time BIGINT,
            sla_breach_time BIGINT,
            start_time BIGINT,
            end_time BIGINT,
            attempt_start_time BIGINT,
            outcome INTEGER CHECK (outcome BETWEEN 1 AND 7),
            http_status INTEGER,
            time_taken BIGINT,
            error_text TEXT,
            body_excerpt TEXT,
            webhook_version BIGINT,
            divert_reason INTEGER,
            requeue_time BIGINT,
            PRIMARY KEY (event_key, webhook_key),
            CHECK ((end_time IS NULL) = (status IN (1, 2))),
            CHECK (status <> 2 OR due_time IS NOT NULL),
            CHECK (due_time IS NULL OR status IN (1, 2, 3)),
            CHECK ((divert_reason IS NULL) = (status <> 4))
        ) {clustered}"
        ),
        // The last columns of these are for statistics, which count what waits and what is
        // due by the time of its ingestion, without looking into the table; and for SLAs,
        // which pass over what is late already.
        "CREATE INDEX deliveries_waiting ON deliveries
            (webhook_key, position, order_key, ingest_time, status, due_time, sla_breach_time)
            WHERE status = 1 AND due_time IS NULL"
            .to_owned(),
        "CREATE INDEX deliveries_due ON deliveries (webhook_key, due_time, ingest_time, status)
            WHERE due_time IS NOT NULL"
            .to_owned(),
        // What is retried while its SLA runs.
        "CREATE INDEX deliveries_sla ON deliveries (webhook_key, sla_due_time)
            WHERE due_time IS NOT NULL AND end_time IS NULL AND sla_due_time IS NOT NULL
            AND sla_breach_time IS NULL"
            .to_owned(),
        // What is left of a key, in order; and the keys whose first delivery has a
        // time of its own.
        "CREATE INDEX deliveries_ordered ON deliveries (webhook_key, order_key, position)
            WHERE order_key IS NOT NULL AND end_time IS NULL"
            .to_owned(),
        "CREATE INDEX deliveries_held ON deliveries (webhook_key, order_key)
            WHERE order_key IS NOT NULL AND due_time IS NOT NULL"
            .to_owned(),
        "CREATE INDEX deliveries_ingested ON deliveries (webhook_key, ingest_time, event_key)"
            .to_owned(),
        "CREATE INDEX deliveries_diverted ON deliveries
            (tenant_key, end_time, event_key, webhook_key) WHERE divert_reason IS NOT NULL"
            .to_owned(),
        // What is few, and is counted row by row.
        "CREATE INDEX deliveries_failed ON deliveries (webhook_key, ingest_time, status)
            WHERE status IN (4, 5)"
            .to_owned(),
        "CREATE INDEX deliveries_breached ON deliveries
            (webhook_key, ingest_time, sla_breach_time) WHERE sla_breach_time IS NOT NULL"
            .to_owned(),
        // First successes by the window of their ingestion and the class of the time
        // that they took: what statistics add up.
        format!(
            "CREATE TABLE delivery_times (
            webhook_key BIGINT NOT NULL,
            window_start BIGINT NOT NULL,
            class INTEGER NOT NULL,
            deliveries BIGINT NOT NULL,
            micros BIGINT NOT NULL,
            PRIMARY KEY (webhook_key, window_start, class)
        ) {clustered}"
        ),
        // What the attempts at a webhook say about its destination, since the first failure
        // or pause: whoever owns its lane next goes on from there.
        format!(
            "CREATE TABLE standings (
            webhook_key BIGINT NOT NULL PRIMARY KEY,
            failures BIGINT NOT NULL,
            first_start BIGINT NOT NULL,
            last_end BIGINT NOT NULL,
            paused_until BIGINT NOT NULL
        ) {roomy}"
        ),
        // Diverted events that were replayed or discarded, the last time that they were.
        format!(
            "CREATE TABLE resolutions (
            event_key BIGINT NOT NULL,
            webhook_key BIGINT NOT NULL,
            tenant_key BIGINT NOT NULL,
            divert_time BIGINT NOT NULL,
            reason INTEGER NOT NULL,
            attempt_count BIGINT NOT NULL,
            state INTEGER NOT NULL CHECK (state IN (2, 3)),
            resolve_time BIGINT NOT NULL,
            actor TEXT NOT NULL,
            job_key BIGINT,
            PRIMARY KEY (event_key, webhook_key)
        ) {clustered}"
        ),
        "CREATE INDEX resolutions_diverted ON resolutions
            (tenant_key, divert_time, event_key, webhook_key)"
            .to_owned(),
        // The cursor is the last diverted event that the job has looked at.
        format!(
            "CREATE TABLE jobs (
            job_key {serial},
            tenant_key BIGINT NOT NULL,
            job_id {uuid} NOT NULL UNIQUE,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
            state INTEGER NOT NULL CHECK (state IN (1, 2, 3)),
            selection TEXT NOT NULL,
            max_per_second DOUBLE PRECISION NOT NULL,
            selected_count BIGINT NOT NULL,
            done_count BIGINT NOT NULL DEFAULT 0,
            skipped_count BIGINT NOT NULL DEFAULT 0,
            cursor TEXT,
            attribution TEXT NOT NULL,
            create_time BIGINT NOT NULL,
            end_time BIGINT,
            CHECK ((end_time IS NULL) = (state = 1))
        )"
        ),
        "CREATE INDEX jobs_of_tenant ON jobs (tenant_key, job_key)".to_owned(),
        "CREATE INDEX jobs_running ON jobs (job_key) WHERE end_time IS NULL".to_owned(),
        "CREATE INDEX jobs_ended ON jobs (tenant_key, end_time) WHERE end_time IS NOT NULL"
            .to_owned(),
        // Deliveries of an event that are made later, because they are very many: a part
        // goes when its deliveries are made. targets is a list of [webhook_key,
        // sla_due_time, order_key].
        format!(
            "CREATE TABLE expansions (
            tenant_key BIGINT NOT NULL,
            event_key BIGINT NOT NULL,
            part BIGINT NOT NULL,
            target_count INTEGER NOT NULL CHECK (target_count > 0),
            targets TEXT NOT NULL,
            PRIMARY KEY (tenant_key, event_key, part)
        ) {clustered}"
        ),
        // Attempts of deliveries that did not succeed at the first one: that one's
        // attempt is in the delivery's own row.
        format!(
            "CREATE TABLE attempts (
            event_key BIGINT NOT NULL,
            webhook_key BIGINT NOT NULL,
            attempt_number BIGINT NOT NULL,
            start_time BIGINT NOT NULL,
            end_time BIGINT NOT NULL,
            outcome INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 7),
            http_status INTEGER NOT NULL,
            time_taken BIGINT NOT NULL,
            error_text TEXT NOT NULL,
            body_excerpt TEXT NOT NULL,
            webhook_version BIGINT NOT NULL,
            PRIMARY KEY (event_key, webhook_key, attempt_number)
        ) {clustered}"
        ),
        // What is still to be sent to people: e-mails (kind 1), which are tried again at
        // due_time, and alerts (kind 2), which are sent once.
        format!(
            "CREATE TABLE notices (
            notice_key {serial},
            webhook_key BIGINT NOT NULL,
            kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
            address TEXT NOT NULL,
            subject TEXT NOT NULL,
            content TEXT NOT NULL,
            create_time BIGINT NOT NULL,
            due_time BIGINT NOT NULL,
            attempt_count BIGINT NOT NULL DEFAULT 0
        )"
        ),
        "CREATE INDEX notices_mail ON notices (due_time, notice_key) WHERE kind = 1".to_owned(),
        "CREATE INDEX notices_alert ON notices (webhook_key, notice_key) WHERE kind = 2".to_owned(),
        // Append-only: each change of a delivery, with the delivery as it was then.
        format!(
            "CREATE TABLE journal (
            tenant_key BIGINT NOT NULL,
            position BIGINT NOT NULL,
            event_key BIGINT NOT NULL,
            webhook_key BIGINT NOT NULL,
            kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
            change_time BIGINT NOT NULL,
            status INTEGER NOT NULL,
            attempt_count BIGINT NOT NULL,
            due_time BIGINT,
            start_time BIGINT,
            end_time BIGINT,
            sla_breach_time BIGINT,
            outcome INTEGER,
            http_status INTEGER,
            time_taken BIGINT,
            error_text TEXT,
            PRIMARY KEY (tenant_key, position)
        ) {clustered}"
        ),
    ];
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
