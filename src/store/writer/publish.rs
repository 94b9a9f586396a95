//! Publishing: events, one delivery per matching webhook, and their journal
//! entries, in one transaction; of very many, the first ones (see `expansion`).

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use sea_orm::Value;
use tokio::sync::oneshot;

use super::{
    admission::Admitted,
    arrival::NewDelivery,
    expansion::{self, OF_EVENT, OF_TENANT},
    transaction::WriteTx,
};
use crate::{
    domain::{
        enrichment::Blocks,
        error::Error,
        event::Event,
        id::{EventKey, Position, TenantKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{
        bulk::{
            Bulk,
            Kind::{Number, OptionalNumber, OptionalText, Text, Uuid},
        },
        dialect::Dialect,
        failure::Failure,
    },
};

/// An event to be stored, with the webhooks that want it.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event.
    pub event: Arc<Event>,
    /// The webhooks, in key order.
    pub targets: Vec<Target>,
}

/// A webhook that wants an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The webhook.
    pub webhook_key: WebhookKey,
    /// When its SLA ends.
    pub sla_due_time: Option<Timestamp>,
    /// The deliveries that this one waits for.
    pub order: Option<OrderKey>,
}

/// What became of a unit of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// Everything is on disk. Per event: whether it is new; an event of the id of
    /// an older one is not.
    Stored(Vec<bool>),
    /// Nothing was done: webhooks or event types have changed since they were matched.
    StaleConfig,
}

pub(in crate::store) struct PublishUnit {
    pub(super) tenant_key: TenantKey,
    pub(super) config_version: i64,
    pub(super) events: Vec<NewEvent>,
    pub(super) reply: oneshot::Sender<Result<Published, Error>>,
    /// Its room among what waits, of the tenant's and of all; it ends with the unit, though
    /// the caller may have gone before.
    pub(super) _room: Admitted,
}

impl PublishUnit {
    /// Events and deliveries that it writes, roughly.
    pub(super) fn rows(&self) -> usize {
        let deliveries: usize = self.events.iter().map(|new| new.targets.len().min(OF_EVENT)).sum();
        self.events.len() + deliveries.min(OF_TENANT)
    }
}

static INSERT_EVENTS: Bulk = Bulk::insert(
    "events",
    &[
        ("event_key", Number),
        ("tenant_key", Number),
        ("event_id", Uuid),
        ("event_name", Text),
        ("ref_id", Text),
        ("request_id", Text),
        ("ingest_time", Number),
        ("occur_time", OptionalNumber),
        ("ordering_key", OptionalText),
        ("attributes", OptionalText),
        ("enrichments", OptionalText),
        ("payload", Text),
    ],
)
.on_conflict("ON CONFLICT (event_id, tenant_key) DO NOTHING");

/// Writes all units, whose tenants are held and were read; says for each what became of it.
pub(super) async fn apply(
    tx: &mut WriteTx,
    units: &[PublishUnit],
) -> Result<Vec<Published>, Failure> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let mut fresh = Vec::with_capacity(units.len());
    for unit in units {
        fresh.push(tx.tenant(unit.tenant_key).await?.config_version == unit.config_version);
    }
    let writing = || units.iter().zip(&fresh).filter(|(_, fresh)| **fresh).map(|(unit, _)| unit);
    let events = writing().flat_map(|unit| unit.events.iter().map(move |e| (unit.tenant_key, e)));
    let mut new = insert(tx, &events.collect::<Vec<_>>()).await?.into_iter();
    let mut outcomes = Vec::with_capacity(units.len());
    for (unit, fresh) in units.iter().zip(&fresh) {
        outcomes.push(if *fresh {
            Published::Stored(new.by_ref().take(unit.events.len()).collect())
        } else {
            Published::StaleConfig
        });
    }
    Ok(outcomes)
}

/// Writes events and their deliveries; says of each event whether it is new.
pub(super) async fn insert(
    tx: &mut WriteTx,
    events: &[(TenantKey, &NewEvent)],
) -> Result<Vec<bool>, Failure> {
    let keys = tx.event_keys(events.len()).await?;
    let inserted = INSERT_EVENTS.run(tx.sql(), rows(tx.dialect(), &keys, events)).await?;
    // An event whose id was there before is skipped by the database. That is rare,
    // so which ones is asked only when the numbers differ.
    let stored =
        if inserted == keys.len() as u64 { None } else { Some(stored_keys(tx, &keys).await?) };
    if let Some(filing) = &mut tx.filing {
        events.iter().for_each(|(_, new)| filing.note_event(&new.event));
    }
    let is_new = |key: &i64| stored.as_ref().is_none_or(|keys| keys.contains(key));
    let new = keys.iter().copied().zip(events.iter().copied()).filter(|(key, _)| is_new(key));
    accept_deliveries(tx, new.collect()).await?;
    Ok(keys.iter().map(is_new).collect())
}

/// The rows of events. Where several nodes write, in the order of their ids: so no two of
/// them wait for each other on the same ones.
fn rows(dialect: Dialect, keys: &[i64], events: &[(TenantKey, &NewEvent)]) -> Vec<Value> {
    let mut order: Vec<_> = keys.iter().zip(events).collect();
    if dialect == Dialect::Postgres {
        // Stable: of the same id the first one is written.
        order.sort_by_key(|(_, (tenant, new))| (*tenant, new.event.event_id.0));
    }
    let mut values = Vec::with_capacity(events.len() * 12);
    for (key, (tenant, new)) in order {
        push_event(&mut values, *key, *tenant, &new.event);
    }
    values
}

async fn stored_keys(tx: &WriteTx, keys: &[i64]) -> Result<HashSet<i64>, Failure> {
    let sql =
        format!("SELECT event_key FROM events WHERE {}", tx.dialect().is_in("event_key", "$1"));
    let rows = tx.numbers(&sql, [tx.dialect().list(keys.iter().copied())]).await?;
    Ok(rows.into_iter().map(|[key]| key).collect())
}

/// Makes the deliveries of new events, tenant by tenant, and their journal entries.
async fn accept_deliveries(
    tx: &mut WriteTx,
    mut events: Vec<(i64, (TenantKey, &NewEvent))>,
) -> Result<(), Failure> {
    // Stable: within a tenant the order of publishing stays.
    events.sort_by_key(|(_, (tenant, _))| *tenant);
    for tenant_events in events.chunk_by(|a, b| a.1.0 == b.1.0) {
        let Some((_, (tenant, _))) = tenant_events.first() else { continue };
        let mut behind = tx.tenant(*tenant).await?.expanding;
        let (mut room, mut accepted, mut deferred) = (OF_TENANT, Vec::new(), Vec::new());
        for (key, (_, new)) in tenant_events {
            let (now, later) = expansion::split(&new.targets, room, behind);
            room -= now.len();
            let event = Arc::clone(&new.event);
            accepted.push(Accepted { key: EventKey(*key), event, targets: now });
            if !later.is_empty() {
                behind = true;
                deferred.push((EventKey(*key), later));
            }
        }
        accept(tx, *tenant, &accepted);
        expansion::defer(tx, *tenant, &deferred).await?;
        tx.tenant(*tenant).await?.expanding = behind;
    }
    Ok(())
}

/// An event and the webhooks that get their deliveries now.
pub(in crate::store) struct Accepted<'a> {
    pub(in crate::store) key: EventKey,
    pub(in crate::store) event: Arc<Event>,
    pub(in crate::store) targets: Cow<'a, [Target]>,
}

/// Makes deliveries of a tenant's events, with their journal entries; the engine hears of
/// them.
pub(in crate::store) fn accept(tx: &mut WriteTx, tenant: TenantKey, events: &[Accepted<'_>]) {
    let deliveries = events.iter().flat_map(|Accepted { key, event, targets }| {
        targets.iter().map(|target| NewDelivery {
            target: *target,
            position: Position::default(),
            event_key: *key,
            event: Arc::clone(event),
        })
    });
    tx.accept(tenant, deliveries);
}

fn push_event(to: &mut Vec<Value>, key: i64, tenant: TenantKey, event: &Event) {
    let attributes = (!event.attributes.is_empty())
        .then(|| serde_json::to_string(&event.attributes).unwrap_or_default());
    to.extend([
        key.into(),
        tenant.0.into(),
        event.event_id.0.into(),
        event.event_name.as_str().into(),
        event.ref_id.as_str().into(),
        event.request_id.as_str().into(),
        event.ingest_time.micros().into(),
        event.occur_time.map(Timestamp::micros).into(),
        Some(event.ordering_key.as_str()).filter(|key| !key.is_empty()).into(),
        attributes.into(),
        event.enrichments.as_ref().map(Blocks::as_str).into(),
        (&*event.payload).into(),
    ]);
}
