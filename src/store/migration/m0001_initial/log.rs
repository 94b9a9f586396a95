//! Events, their deliveries, and what is known of these.

use crate::store::migration::words::Words;

/// Tables and indexes, in the order of their making.
pub(super) fn statements(words: &Words) -> Vec<String> {
    let Words { key, serial, uuid, bytes, clustered, bytewise, roomy, .. } = words;
    vec![
        // The payload comes last, so that the other columns are read without it. Ids begin with
        // the time where the server makes them: those of all tenants go to the end of their index.
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
            UNIQUE (event_id, tenant_key),
            CHECK (length(event_name) BETWEEN 1 AND 255)
        )"
        ),
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
            status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5),
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
            CHECK (due_time IS NULL OR status BETWEEN 1 AND 3),
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
            webhook_key {key},
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
            state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
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
        // Append-only: each change of a delivery, with the delivery as it was then. A row
        // holds consecutive entries; none of them counts as earlier than not_before. In a file
        // rows stand in the order of their writing: they are too large to be kept in another.
        format!(
            "CREATE TABLE journal (
            tenant_key BIGINT NOT NULL,
            last_position BIGINT NOT NULL,
            not_before BIGINT NOT NULL,
            entries {bytes} NOT NULL,
            PRIMARY KEY (tenant_key, last_position)
        )"
        ),
    ]
}
