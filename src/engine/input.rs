//! What the dispatcher hears.

use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};

use super::{loader::Loaded, ping::AskedPing, recorder::RecordedBatch, worker::Job};
use crate::{
    domain::{
        actor::Actor,
        error::Result,
        id::{EventKey, Position, TenantId, TenantKey, WebhookKey},
        shard::Shards,
        webhook::Webhook,
    },
    store::{Arrival, Breached, Lease, Requeued},
};

/// See the module.
pub(super) enum Input {
    Configured {
        tenant: TenantId,
        webhook: Arc<Webhook>,
    },
    Finished(Box<Job>),
    Recorded(RecordedBatch),
    Loaded(Loaded),
    Retry {
        lane: WebhookKey,
        event: EventKey,
        by: Actor,
        reply: oneshot::Sender<Result<Requeued>>,
    },
    /// A change by hand is done; nothing was changed where that failed.
    Requeued {
        lane: WebhookKey,
        event: EventKey,
        requeued: Option<Requeued>,
    },
    /// How far all journals go; the lanes do not know any of it at `first`.
    Heads {
        heads: Vec<(TenantKey, Position)>,
        first: bool,
    },
    /// Another node has written these entries.
    Hinted {
        tenant: TenantKey,
        first: Position,
        last: Position,
    },
    CaughtUp {
        tenant: TenantKey,
        arrivals: Vec<Arrival>,
        to: Position,
    },
    Leased {
        lease: Lease,
        until: Option<Instant>,
        given_back: Shards,
    },
    GiveUp(Shards),
    Diverted {
        lane: WebhookKey,
        result: Result<usize>,
    },
    Ping(AskedPing),
    PingEnded {
        lane: Option<WebhookKey>,
    },
    SlaChecked {
        lane: WebhookKey,
        result: Result<Breached>,
    },
    Drain {
        reply: oneshot::Sender<()>,
    },
}
