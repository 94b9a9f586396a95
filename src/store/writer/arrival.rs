//! What the engine hears of commits.

use std::sync::Arc;

use super::publish::Target;
use crate::{
    domain::{
        event::Event,
        id::{EventKey, Position, TenantKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::lanes::StoredDelivery,
};

/// A part of a tenant's journal that this process has committed.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Whose journal it is.
    pub tenant: TenantKey,
    /// Its first entry.
    pub first: Position,
    /// Its last entry.
    pub last: Position,
    /// What came to wait in lanes by it, in order.
    pub arrivals: Vec<Arrival>,
}

/// What came to wait in a lane by a commit. Lanes hear of all of it, in the order of the
/// journal.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A new delivery.
    New(NewDelivery),
    /// A delivery that another process has committed, or this one before it was asked.
    Read {
        /// Its webhook.
        webhook_key: WebhookKey,
        /// The delivery.
        delivery: StoredDelivery,
    },
    /// A delivery that another process has put back by hand: it is due at a time of its own.
    Due {
        /// Its webhook.
        webhook_key: WebhookKey,
        /// The journal's entry.
        position: Position,
        /// When it is due.
        time: Timestamp,
        /// The deliveries that it waits for.
        order: Option<OrderKey>,
    },
    /// A delivery that was put back: it is read from the database when its turn comes.
    Stored {
        /// Its webhook.
        webhook_key: WebhookKey,
        /// Its place in the lane.
        position: Position,
        /// The deliveries that it waits for.
        order: Option<OrderKey>,
    },
}

impl Arrival {
    /// Its place in the journal, and in the lane.
    pub fn position(&self) -> Position {
        match self {
            Self::New(new) => new.position,
            Self::Read { delivery, .. } => delivery.position,
            Self::Due { position, .. } | Self::Stored { position, .. } => *position,
        }
    }
}

/// A delivery that was just committed, as the engine takes it over.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Its webhook, and what that wants of it.
    pub target: Target,
    /// Its place in the lane.
    pub position: Position,
    /// Key of its event.
    pub event_key: EventKey,
    /// Its event.
    pub event: Arc<Event>,
}
