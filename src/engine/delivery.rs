//! A delivery in memory, and what is shared by all deliveries of one event.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    domain::{
        body::Recipe,
        delivery::DeliveryState,
        event::Event,
        id::{EventKey, Position, TenantId},
        order::OrderKey,
        time::Timestamp,
    },
    store::{NewDelivery, StoredDelivery},
};

/// Bytes of a delivery beside its payload: itself, its place in the lane, its event.
const OVERHEAD: usize = 768;

/// An event on its way out. A body is built by the first attempt that needs it, once
/// for all webhooks of that recipe.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    plain: OnceLock<Bytes>,
    /// The other bodies; few, as webhooks of one event seldom differ much.
    special: Mutex<Vec<(Arc<Recipe>, Bytes)>>,
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, plain: OnceLock::new(), special: Mutex::default() })
    }

    /// The body by that recipe.
    pub(super) fn body(&self, tenant: &TenantId, recipe: &Arc<Recipe>) -> Bytes {
        let build = || Bytes::from(recipe.body(tenant, &self.event));
        if recipe.is_plain() {
            return self.plain.get_or_init(build).clone();
        }
        // Building under the lock is short, and nothing is built twice.
        let mut built = self.special.lock();
        if let Some((_, body)) = built.iter().find(|(known, _)| known == recipe) {
            return body.clone();
        }
        let body = build();
        built.push((Arc::clone(recipe), body.clone()));
        body
    }
}

/// A delivery that its lane holds.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) event_key: EventKey,
    pub(super) position: Position,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) state: DeliveryState,
    pub(super) sla_due_time: Option<Timestamp>,
    /// The deliveries that it waits for.
    pub(super) order: Option<OrderKey>,
    /// When it was replayed, where it was.
    pub(super) requeue_time: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn accepted(new: &NewDelivery, outgoing: Arc<Outgoing>) -> Self {
        Self {
            event_key: new.event_key,
            position: new.position,
            outgoing,
            state: DeliveryState::ACCEPTED,
            sla_due_time: new.target.sla_due_time,
            order: new.target.order,
            requeue_time: None,
        }
    }

    pub(super) fn loaded(stored: StoredDelivery) -> Self {
        Self {
            event_key: stored.event_key,
            position: stored.position,
            outgoing: Outgoing::new(stored.event),
            state: stored.state,
            sla_due_time: stored.sla_due_time,
            order: stored.order,
            requeue_time: stored.requeue_time,
        }
    }

    /// From when its age counts: a replayed one begins anew.
    pub(super) fn age_from(&self) -> Timestamp {
        self.requeue_time.unwrap_or(self.outgoing.event.ingest_time)
    }

    /// What it costs in memory, roughly. An event for many webhooks is there once, but each
    /// of these may be the one that holds it.
    pub(super) fn bytes(&self) -> usize {
        self.outgoing.event.bytes() + OVERHEAD
    }
}
