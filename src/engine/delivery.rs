//! A delivery in memory, and what is shared by all deliveries of one event.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    domain::{
        delivery::DeliveryState,
        event::Event,
        id::{EventKey, Position, TenantId},
        notification,
        time::Timestamp,
    },
    store::{NewDelivery, StoredDelivery},
};

/// An event on its way out. Its body is built by the first attempt that needs it.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    body: OnceLock<Bytes>,
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, body: OnceLock::new() })
    }

    /// The body of the v3 notification.
    pub(super) fn body(&self, tenant: &TenantId) -> Bytes {
        self.body.get_or_init(|| notification::event_body(tenant, &self.event).into()).clone()
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
}

impl Delivery {
    pub(super) fn accepted(new: &NewDelivery, outgoing: Arc<Outgoing>) -> Self {
        Self {
            event_key: new.event_key,
            position: new.position,
            outgoing,
            state: DeliveryState::ACCEPTED,
            sla_due_time: new.sla_due_time,
        }
    }

    pub(super) fn loaded(stored: StoredDelivery) -> Self {
        Self {
            event_key: stored.event_key,
            position: stored.position,
            outgoing: Outgoing::new(stored.event),
            state: stored.state,
            sla_due_time: stored.sla_due_time,
        }
    }

    /// What it costs in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.outgoing.event.payload.len() + 256
    }
}
