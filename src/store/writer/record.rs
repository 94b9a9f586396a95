//! Recording: the outcome of an attempt, the delivery's new state and the journal
//! entry, in one transaction.

use std::sync::Arc;

use sea_orm::Value;

use super::{doubt::Verdict, place::Entry, transaction::WriteTx};
use crate::{
    domain::{
        alert::Alert,
        delivery::{Attempt, AttemptOutcome, ChangeKind, DeliveryState, DivertReason},
        error::Error,
        failure_handling::Standing,
        id::{EventKey, TenantKey, WebhookKey},
        time::{Timestamp, micros},
    },
    store::{
        NodeKey,
        bulk::{
            Bulk,
            Kind::{Number, OptionalNumber, OptionalText, Text},
        },
        failure::Failure,
        notices, standings,
    },
};

/// What became of a delivery: after an attempt, or without one where it was given up.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its tenant.
    pub tenant_key: TenantKey,
    /// Its event.
    pub event_key: EventKey,
    /// Its webhook.
    pub webhook_key: WebhookKey,
    /// Attempts that were recorded before this one; if the row says otherwise,
    /// somebody else was faster, and this record is void.
    pub attempts_before: u32,
    /// The attempt.
    pub attempt: Option<Attempt>,
    /// The delivery after it.
    pub state: DeliveryState,
    /// Why it was diverted, where it was.
    pub divert_reason: Option<DivertReason>,
    /// What its webhook's alert URL is sent, where it is exhausted.
    pub alert: Option<Alert>,
    /// Where this is its first success: when its event was ingested.
    pub delivered_from: Option<Timestamp>,
    /// What the journal says happened.
    pub kind: ChangeKind,
    /// When it is recorded.
    pub time: Timestamp,
    /// What its lane's next owner is to know, where that changed.
    pub standing: Option<Standing>,
}

/// Called when outcomes are recorded, or are not; by the writer, which waits meanwhile.
pub(in crate::store) type Reply = Box<dyn FnOnce(Result<(), Error>) + Send + Sync>;

pub(in crate::store) struct RecordUnit {
    /// Under whose lease the attempts were made.
    pub(super) node: NodeKey,
    pub(super) settlements: Arc<Vec<Settlement>>,
    pub(super) reply: Reply,
    /// Where it was written, but it is not known whether that was committed.
    pub(super) doubt: Option<Verdict>,
}

static UPDATE_DELIVERIES: Bulk = Bulk::update(
    "UPDATE deliveries SET
        status = new.status, attempt_count = new.attempt_count, due_time = new.due_time,
        sla_breach_time = new.sla_breach_time, start_time = new.start_time,
        end_time = new.end_time, attempt_start_time = new.attempt_start_time,
        outcome = new.outcome, http_status = new.http_status, time_taken = new.time_taken,
        error_text = new.error_text, body_excerpt = new.body_excerpt,
        webhook_version = new.webhook_version, divert_reason = new.divert_reason
     FROM new
     WHERE deliveries.event_key = new.event_key AND deliveries.webhook_key = new.webhook_key
       AND deliveries.attempt_count = new.attempts_before",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("attempts_before", Number),
        ("status", Number),
        ("attempt_count", Number),
        ("due_time", OptionalNumber),
        ("sla_breach_time", OptionalNumber),
        ("start_time", OptionalNumber),
        ("end_time", OptionalNumber),
        ("attempt_start_time", OptionalNumber),
        ("outcome", OptionalNumber),
        ("http_status", OptionalNumber),
        ("time_taken", OptionalNumber),
        ("error_text", OptionalText),
        ("body_excerpt", OptionalText),
        ("webhook_version", OptionalNumber),
        ("divert_reason", OptionalNumber),
    ],
);

static INSERT_ATTEMPTS: Bulk = Bulk::insert(
    "attempts",
    &[
        ("event_key", Number),
        ("webhook_key", Number),
        ("attempt_number", Number),
        ("start_time", Number),
        ("end_time", Number),
        ("outcome", Number),
        ("http_status", Number),
        ("time_taken", Number),
        ("error_text", Text),
        ("body_excerpt", Text),
        ("webhook_version", Number),
    ],
)
.on_conflict("ON CONFLICT (event_key, webhook_key, attempt_number) DO NOTHING");

/// Writes all settlements of all units, whose nodes are held.
pub(super) async fn apply(tx: &mut WriteTx, units: &[RecordUnit]) -> Result<(), Failure> {
    // What turned out to be committed is not written again.
    let units = units.iter().filter(|unit| !unit.doubt.as_ref().is_some_and(Verdict::committed));
    let mut all: Vec<&Settlement> = units.flat_map(|unit| unit.settlements.iter()).collect();
    let values = all.iter().flat_map(|settlement| update_values(settlement)).collect();
    let updated = UPDATE_DELIVERIES.run(tx.sql(), values).await?;
    if updated != all.len() as u64 {
        all = current(tx, all).await?;
    }
    let attempts = all.iter().filter_map(|s| Some((s, s.attempt.as_ref().filter(|a| has_row(a))?)));
    let values: Vec<Value> = attempts.flat_map(|(s, attempt)| attempt_values(s, attempt)).collect();
    if !values.is_empty() {
        INSERT_ATTEMPTS.run(tx.sql(), values).await?;
    }
    for s in &all {
        if let Some(alert) = &s.alert {
            notices::insert_alert(tx, s.webhook_key, alert, s.time).await?;
        }
    }
    tx.times.add(&all);
    standings::store(tx, &all).await?;
    for s in all {
        let entry = Entry {
            event_key: s.event_key,
            webhook_key: s.webhook_key,
            kind: s.kind,
            time: s.time,
            state: s.state.clone(),
        };
        tx.note(s.tenant_key, [entry]);
    }
    Ok(())
}

/// A delivery's own row is the record of an attempt that succeeded at once; every
/// other attempt has a row of its own.
fn has_row(attempt: &Attempt) -> bool {
    attempt.number > 1 || attempt.summary.outcome != AttemptOutcome::Success
}

/// Leaves out what somebody else settled, or retention removed, meanwhile: those
/// whose row is not the one just written.
async fn current<'a>(
    tx: &WriteTx,
    all: Vec<&'a Settlement>,
) -> Result<Vec<&'a Settlement>, Failure> {
    let sql = "SELECT event_key FROM deliveries WHERE event_key = $1 AND webhook_key = $2
               AND attempt_count = $3 AND status = $4
               AND COALESCE(attempt_start_time, 0) = $5";
    let mut written = Vec::with_capacity(all.len());
    for s in all {
        let start = s.attempt.as_ref().map_or(0, |a| a.start_time.micros());
        let values = [
            s.event_key.0.into(),
            s.webhook_key.0.into(),
            i64::from(s.state.attempt_count).into(),
            s.state.status.number().into(),
            start.into(),
        ];
        if tx.numbers::<1, _>(sql, values).await?.is_empty() {
            tracing::warn!(
                event = s.event_key.0,
                webhook = s.webhook_key.0,
                "a late record is void"
            );
        } else {
            written.push(s);
        }
    }
    Ok(written)
}

fn update_values(s: &Settlement) -> [Value; 17] {
    let optional = |time: Option<Timestamp>| Value::from(time.map(Timestamp::micros));
    let state = &s.state;
    let last = state.last.as_ref();
    let attempt = s.attempt.as_ref();
    [
        s.event_key.0.into(),
        s.webhook_key.0.into(),
        i64::from(s.attempts_before).into(),
        state.status.number().into(),
        i64::from(state.attempt_count).into(),
        optional(state.due_time),
        optional(state.sla_breach_time),
        optional(state.start_time),
        optional(state.end_time),
        optional(attempt.map(|a| a.start_time)),
        last.map(|l| l.outcome.number()).into(),
        last.map(|l| i32::from(l.http_status)).into(),
        last.map(|l| micros(l.time_taken)).into(),
        last.filter(|l| !l.error.is_empty()).map(|l| l.error.clone()).into(),
        attempt.filter(|a| !a.body_excerpt.is_empty()).map(|a| a.body_excerpt.clone()).into(),
        attempt.map(|a| a.webhook_version).into(),
        s.divert_reason.map(|r| r.number()).into(),
    ]
}

fn attempt_values(s: &Settlement, attempt: &Attempt) -> [Value; 11] {
    [
        s.event_key.0.into(),
        s.webhook_key.0.into(),
        i64::from(attempt.number).into(),
        attempt.start_time.micros().into(),
        attempt.end_time.micros().into(),
        attempt.summary.outcome.number().into(),
        i32::from(attempt.summary.http_status).into(),
        micros(attempt.summary.time_taken).into(),
        attempt.summary.error.as_str().into(),
        attempt.body_excerpt.as_str().into(),
        attempt.webhook_version.into(),
    ]
}
