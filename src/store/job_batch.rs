//! The work of jobs, a batch at a time: deliveries, what is kept of their diversion, and the
//! job's own progress change in one transaction.

use std::collections::HashMap;

use sea_orm::Value;

use super::{
    DivertedScan, Store, WriteTx,
    bulk::{
        Bulk,
        Kind::{Number, OptionalNumber, Text},
    },
    diverted::keys,
    failure::Failure,
    jobs::{BEGINNING, RunningJob, json},
    rows::Row,
    secrets::SecretKeys,
    webhooks,
    writer::Entry,
};
use crate::domain::{
    actor::Actor,
    delivery::{ChangeKind, DeliveryStatus},
    diverted::{DivertedAt, DivertedState, JobKind, Selection},
    error::Result,
    id::{EventKey, Position, TenantKey, WebhookKey},
    order::OrderKey,
    time::Timestamp,
};

/// Diverted events that one batch looks at, however few of them are selected.
const SCAN: usize = 1_000;

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Diverted events that were replayed or discarded.
    pub done: usize,
    /// Whether the job has ended.
    pub ended: bool,
}

static UPDATE_DELIVERIES: Bulk = Bulk::update(
    "UPDATE deliveries SET status = new.status,
        end_time = CASE WHEN new.status = 5 THEN deliveries.end_time END,
        position = COALESCE(new.position, deliveries.position),
        requeue_time = new.requeue_time, due_time = NULL, sla_due_time = NULL,
        divert_reason = NULL
     FROM new
     WHERE deliveries.event_key = new.event_key AND deliveries.webhook_key = new.webhook_key",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("status", Number),
        ("position", OptionalNumber),
        ("requeue_time", OptionalNumber),
    ],
);

static KEEP_RESOLUTIONS: Bulk = Bulk::insert(
    "resolutions",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("tenant_key", Number),
        ("divert_time", Number),
        ("reason", Number),
        ("attempt_count", Number),
        ("state", Number),
        ("resolve_time", Number),
        ("actor", Text),
        ("job_key", OptionalNumber),
    ],
)
.on_conflict(
    "ON CONFLICT (event_key, webhook_key) DO UPDATE SET divert_time = excluded.divert_time,
     reason = excluded.reason, attempt_count = excluded.attempt_count, state = excluded.state,
     resolve_time = excluded.resolve_time, actor = excluded.actor, job_key = excluded.job_key",
);

/// How a diverted event was settled by somebody.
pub(super) struct Resolution {
    pub(super) event: EventKey,
    pub(super) webhook: WebhookKey,
    pub(super) divert_time: Option<Timestamp>,
    pub(super) reason: i32,
    pub(super) attempt_count: u32,
}

impl Store {
    /// Does up to `limit` diverted events of a job.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`: nothing was done.
    pub async fn advance_job(
        &self,
        job: &RunningJob,
        now: Timestamp,
        limit: usize,
    ) -> Result<Advanced> {
        let (chosen, cursor, ended) = self.choose(job, limit).await?;
        Ok(self.do_batch(job, &chosen, cursor, ended, now).await?)
    }

    /// The next diverted events of a job, up to where it has looked then, and whether
    /// nothing comes after that.
    async fn choose(
        &self,
        job: &RunningJob,
        limit: usize,
    ) -> Result<(Vec<DivertedAt>, DivertedAt, bool)> {
        let conditions = match &job.selection {
            Selection::Listed(all) => {
                let left = all.iter().copied().filter(|at| *at > job.cursor);
                let chosen: Vec<_> = left.take(limit).collect();
                let cursor = chosen.last().copied().unwrap_or(job.cursor);
                return Ok((chosen, cursor, all.last().is_none_or(|last| *last <= cursor)));
            }
            Selection::Where(conditions) => conditions,
        };
        let made = job.attribution.create_time;
        let until = conditions.end.map_or(made, |end| end.min(made));
        let mut after = job.cursor;
        if let Some(start) = conditions.start.filter(|start| *start > after.divert_time) {
            after = DivertedAt { divert_time: start, ..DivertedAt::default() };
        }
        let scan = DivertedScan { resolved: false, after, until, limit: SCAN };
        let found = self.scan_diverted(job.tenant, scan).await?;
        let (mut chosen, mut cursor) = (Vec::new(), job.cursor);
        for label in &found {
            if chosen.len() == limit {
                return Ok((chosen, cursor, false));
            }
            cursor = label.at;
            if conditions.take(label) {
                chosen.push(label.at);
            }
        }
        Ok((chosen, cursor, found.len() < SCAN))
    }

    async fn do_batch(
        &self,
        job: &RunningJob,
        chosen: &[DivertedAt],
        cursor: DivertedAt,
        ended: bool,
        now: Timestamp,
    ) -> std::result::Result<Advanced, Failure> {
        let mut tx = self.begin().await?;
        // So webhooks stay as they are.
        tx.hold([job.tenant], []).await?;
        let sql = format!(
            "SELECT cursor FROM jobs WHERE job_key = $1 AND end_time IS NULL {}",
            tx.dialect().locking("jobs")
        );
        let rows = tx.query(&sql, [job.key.into()]).await?;
        let Some(row) = rows.first().map(Row) else {
            // Cancelled meanwhile.
            return Ok(Advanced { ended: true, ..Advanced::default() });
        };
        if row.optional_json("cursor")?.unwrap_or(BEGINNING) != job.cursor {
            // Another node has done this batch.
            return Ok(Advanced::default());
        }
        let mut batch = Batch::default();
        batch.read(&tx, &self.secret_keys, job, chosen, now).await?;
        let Batch { entries, orders, resolutions, skipped } = batch;
        let advanced = Advanced { done: entries.len(), ended };
        if !resolutions.is_empty() {
            let by = (job.kind.outcome(), &job.attribution.created_by, Some(job.key));
            keep_resolutions(&tx, job.tenant, &resolutions, by, now).await?;
        }
        let greatest = tx.dialect().greatest();
        let sql = format!(
            "UPDATE jobs SET cursor = $1, done_count = done_count + $2,
                   skipped_count = skipped_count + $3,
                   selected_count = {greatest}(selected_count, done_count + skipped_count + $2 + $3),
                   state = $4, end_time = $5 WHERE job_key = $6"
        );
        let values = [
            json(&cursor)?.into(),
            (advanced.done as i64).into(),
            skipped.into(),
            if ended { 2 } else { 1 }.into(),
            ended.then_some(now.micros()).into(),
            job.key.into(),
        ];
        tx.execute(&sql, values).await?;
        if !entries.is_empty() {
            change(&mut tx, job, &entries, orders, now).await?;
        }
        tx.commit().await?;
        Ok(advanced)
    }
}

/// Changes the deliveries of a batch; what is replayed goes to the end of its lane.
async fn change(
    tx: &mut WriteTx,
    job: &RunningJob,
    entries: &[Entry],
    orders: Vec<Option<OrderKey>>,
    now: Timestamp,
) -> std::result::Result<(), Failure> {
    let first = tx.append(job.tenant, entries).await?;
    let replayed = job.kind == JobKind::Replay;
    let mut values: Vec<Value> = Vec::with_capacity(entries.len() * 5);
    for ((entry, order), position) in entries.iter().zip(orders).zip(first.0..) {
        values.extend([
            entry.event_key.0.into(),
            entry.webhook_key.0.into(),
            entry.state.status.number().into(),
            replayed.then_some(position).into(),
            replayed.then_some(now.micros()).into(),
        ]);
        if replayed {
            tx.put_back(job.tenant, entry.webhook_key, Position(position), order);
        }
    }
    UPDATE_DELIVERIES.run(tx.sql(), values).await?;
    Ok(())
}

/// What a batch writes.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    /// The deliveries that each of them waits for, once it is put back.
    orders: Vec<Option<OrderKey>>,
    resolutions: Vec<Resolution>,
    skipped: i64,
}

impl Batch {
    /// Looks at what was chosen as it is in the transaction. What the job has done
    /// already, and was diverted again since, is left alone.
    async fn read(
        &mut self,
        tx: &WriteTx,
        keys_of_secrets: &SecretKeys,
        job: &RunningJob,
        chosen: &[DivertedAt],
        now: Timestamp,
    ) -> std::result::Result<(), Failure> {
        if chosen.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT d.* FROM deliveries d LEFT JOIN resolutions r ON r.event_key = d.event_key
               AND r.webhook_key = d.webhook_key AND r.job_key = $1
             WHERE (d.event_key, d.webhook_key) IN (VALUES {}) AND d.divert_reason IS NOT NULL
               AND r.job_key IS NULL
             ORDER BY d.end_time, d.event_key, d.webhook_key {}",
            keys(chosen.iter().copied()),
            tx.dialect().locking("d")
        );
        let mut takes_events = HashMap::new();
        for row in tx.query(&sql, [job.key.into()]).await?.iter().map(Row) {
            let webhook = WebhookKey(row.get("webhook_key")?);
            if job.kind == JobKind::Replay {
                let takes = match takes_events.get(&webhook) {
                    Some(known) => *known,
                    None => webhooks::takes_events(tx, keys_of_secrets, webhook).await?,
                };
                takes_events.insert(webhook, takes);
                if !takes {
                    self.skipped += 1;
                    continue;
                }
            }
            let event = EventKey(row.get("event_key")?);
            let mut state = row.state()?;
            self.resolutions.push(Resolution {
                event,
                webhook,
                divert_time: state.end_time,
                reason: row.get("divert_reason")?,
                attempt_count: state.attempt_count,
            });
            let kind = match job.kind {
                JobKind::Replay => {
                    (state.status, state.end_time) = (DeliveryStatus::Pending, None);
                    ChangeKind::Requeued
                }
                JobKind::Discard => {
                    state.status = DeliveryStatus::Dropped;
                    ChangeKind::Settled
                }
            };
            self.orders.push(row.get::<Option<i64>>("order_key")?.map(OrderKey));
            let (event_key, webhook_key) = (event, webhook);
            self.entries.push(Entry { event_key, webhook_key, kind, time: now, state });
        }
        Ok(())
    }
}

/// Keeps that diverted events were replayed or discarded, by whom, and by which job.
pub(super) async fn keep_resolutions(
    tx: &WriteTx,
    tenant: TenantKey,
    resolutions: &[Resolution],
    (state, actor, job): (DivertedState, &Actor, Option<i64>),
    now: Timestamp,
) -> std::result::Result<(), Failure> {
    let actor = json(actor)?;
    let mut values: Vec<Value> = Vec::with_capacity(resolutions.len() * 10);
    for resolution in resolutions {
        values.extend([
            resolution.event.0.into(),
            resolution.webhook.0.into(),
            tenant.0.into(),
            resolution.divert_time.unwrap_or(now).micros().into(),
            resolution.reason.into(),
            i64::from(resolution.attempt_count).into(),
            state.number().into(),
            now.micros().into(),
            actor.as_str().into(),
            job.into(),
        ]);
    }
    KEEP_RESOLUTIONS.run(tx.sql(), values).await?;
    Ok(())
}
