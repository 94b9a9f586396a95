//! A delivery in memory, and what is shared by all deliveries of one event.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::KeyMap;
use crate::{
    domain::{
        body::Recipe,
        delivery::DeliveryState,
        event::Event,
        id::{EventKey, Position, TenantId},
        notification::{EventIdentity, event_headers},
        order::OrderKey,
        time::Timestamp,
    },
    store::{NewDelivery, StoredDelivery},
};

/// Bytes of a delivery beside its payload: itself, its place in the lane, its event.
const OVERHEAD: usize = 768;
/// Names of events beside those that lanes hold, roughly: a few are not worth looking for.
const LEAST: usize = 256;

/// An event on its way out. A body is built by the first attempt that needs it, once
/// for all webhooks of that recipe.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) event: Arc<Event>,
    shown: OnceLock<Shown>,
    plain: OnceLock<Bytes>,
    /// The other bodies; few, as webhooks of one event seldom differ much.
    special: Mutex<Vec<(Arc<Recipe>, Bytes)>>,
}

/// What all attempts say of an event.
#[derive(Debug)]
struct Shown {
    event_id: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Outgoing {
    pub(super) fn new(event: Arc<Event>) -> Arc<Self> {
        let (shown, plain) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { event, shown, plain, special: Mutex::default() })
    }

    fn shown(&self) -> &Shown {
        self.shown.get_or_init(|| {
            let event_id = self.event.event_id.to_string();
            let headers = event_headers(&self.identity(&event_id)).into_iter();
            // They are visible ASCII by construction.
            let header = |(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
            };
            let headers = headers.filter_map(header).collect();
            Shown { event_id, headers }
        })
    }

    fn identity<'a>(&'a self, event_id: &'a str) -> EventIdentity<'a> {
        let Event { event_name, ref_id, request_id, .. } = &*self.event;
        EventIdentity { event_id, event_name, ref_id, request_id }
    }

    /// What identifies the event.
    pub(super) fn id(&self) -> EventIdentity<'_> {
        self.identity(&self.shown().event_id)
    }

    /// The headers that tell of it.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.shown().headers
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

/// The events that lanes hold, so that those of many webhooks are there once. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Outgoings(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    by_key: KeyMap<EventKey, Weak<Outgoing>>,
    /// How many there may be until those that nobody holds any more are looked for.
    most: usize,
}

impl Outgoings {
    /// The event of that key, where a lane holds it.
    pub(super) fn event(&self, key: EventKey) -> Option<Arc<Event>> {
        let held = self.0.lock().by_key.get(&key).and_then(Weak::upgrade);
        held.map(|outgoing| Arc::clone(&outgoing.event))
    }

    /// An event on its way out: as lanes hold it, where one does.
    pub(super) fn share(&self, key: EventKey, event: Arc<Event>) -> Arc<Outgoing> {
        let mut held = self.0.lock();
        if let Some(outgoing) = held.by_key.get(&key).and_then(Weak::upgrade) {
            return outgoing;
        }
        let outgoing = Outgoing::new(event);
        held.by_key.insert(key, Arc::downgrade(&outgoing));
        if held.by_key.len() > held.most {
            held.by_key.retain(|_, outgoing| outgoing.strong_count() > 0);
            held.most = 2 * held.by_key.len() + LEAST;
        }
        outgoing
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

    pub(super) fn loaded(stored: StoredDelivery, outgoings: &Outgoings) -> Self {
        Self {
            event_key: stored.event_key,
            position: stored.position,
            outgoing: outgoings.share(stored.event_key, stored.event),
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
