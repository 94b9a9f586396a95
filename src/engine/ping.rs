//! Pings: one request by hand to a webhook's destination, made as attempts are. Nothing
//! of it is stored, retried or counted, and it changes neither pace nor suspension. It
//! takes one of its lane's slots, so that the webhook's limit holds, but it waits for
//! no rate and no pause, and not for a webhook to be enabled or resumed.

use std::{collections::VecDeque, sync::Arc};

use http::{HeaderName, HeaderValue};
use tokio::sync::oneshot;

use super::{
    attempt::attempt,
    delivery::{Delivery, Outgoing},
    dispatcher::Dispatcher,
    input::Input,
    lane_config::LaneConfig,
};
use crate::{
    domain::{
        delivery::{Attempt, DeliveryState},
        error::{Error, Reason, Result},
        event::Event,
        id::{EventKey, Position, TenantId, WebhookKey},
        notification::TEST_HEADER,
        webhook::Webhook,
    },
    sender::Connection,
};

/// Pings under way at once, over all webhooks.
const AT_ONCE: usize = 64;
/// Pings that wait for a slot.
const WAITING: usize = 256;
/// And of these, for one webhook.
const WAITING_PER_WEBHOOK: usize = 8;

/// What is to be sent, and where.
pub struct Ping {
    /// Tenant of the webhook.
    pub tenant: TenantId,
    /// Whose destination gets it. One that is not stored has no lane to take a slot of.
    pub webhook: Arc<Webhook>,
    /// What the body is made of.
    pub event: Arc<Event>,
}

/// A ping that somebody waits for.
pub(super) struct AskedPing {
    pub(super) ping: Ping,
    pub(super) reply: oneshot::Sender<Result<Attempt>>,
}

impl AskedPing {
    fn lane(&self) -> Option<WebhookKey> {
        let webhook = &self.ping.webhook;
        webhook.is_stored().then_some(webhook.key)
    }

    fn answer(self, error: Error) {
        // A caller that went away meanwhile misses it.
        let _ = self.reply.send(Err(error));
    }
}

/// The pings that the dispatcher knows of.
#[derive(Default)]
pub(super) struct Pings {
    waiting: VecDeque<AskedPing>,
    running: usize,
}

/// Whether a ping can be made now.
enum Turn {
    /// Yes, to this webhook: its lane may know it better than who asked.
    Now(Arc<Webhook>),
    Later,
    Never,
}

impl Dispatcher {
    /// Queues a ping; it is made as soon as there is a slot, ahead of deliveries.
    pub(super) fn ping(&mut self, asked: AskedPing) {
        let waiting = &mut self.pings.waiting;
        waiting.retain(|asked| !asked.reply.is_closed());
        let lane = asked.lane();
        let of_webhook = waiting.iter().filter(|other| lane.is_some() && other.lane() == lane);
        if of_webhook.count() >= WAITING_PER_WEBHOOK || waiting.len() >= WAITING {
            asked.answer(Error::overloaded("too many tests wait for their turn"));
        } else {
            waiting.push_back(asked);
        }
    }

    /// Makes the pings that can be made.
    pub(super) fn start_pings(&mut self) {
        for _ in 0..self.pings.waiting.len() {
            let Some(asked) = self.pings.waiting.pop_front() else { return };
            if asked.reply.is_closed() {
                continue;
            }
            match self.turn(&asked) {
                Turn::Now(webhook) => self.start_ping(asked, webhook),
                Turn::Later => self.pings.waiting.push_back(asked),
                Turn::Never => asked.answer(Error::new(Reason::WebhookNotFound, "no such webhook")),
            }
        }
    }

    /// Takes the slots that a ping needs, where they are free.
    fn turn(&mut self, asked: &AskedPing) -> Turn {
        if self.pings.running >= AT_ONCE || self.turns.is_full() {
            return Turn::Later;
        }
        let Some(key) = asked.lane() else { return Turn::Now(Arc::clone(&asked.ping.webhook)) };
        let Some(lane) = self.lanes.get_mut(&key) else { return Turn::Later };
        let Some(config) = lane.config.clone() else { return Turn::Later };
        if config.webhook.delete_time.is_some() {
            return Turn::Never;
        }
        if lane.take_connection() { Turn::Now(Arc::clone(&config.webhook)) } else { Turn::Later }
    }

    fn start_ping(&mut self, asked: AskedPing, webhook: Arc<Webhook>) {
        self.turns.take_slot();
        self.pings.running += 1;
        let lane = asked.lane();
        let AskedPing { ping: Ping { tenant, webhook: _, event }, mut reply } = asked;
        let mut config = LaneConfig::new(tenant, webhook, self.default_timeout);
        let (name, value) = TEST_HEADER;
        config.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            // A connection of its own: a test tells whether one can be made.
            let mut connection = Connection::new(Arc::clone(&shared.sender));
            let delivery = delivery(event);
            let made = tokio::select! {
                attempted = attempt(&mut connection, &config, &delivery, 1, &*shared.clock) => {
                    Some(attempted.attempt)
                }
                // Nobody waits for it any more.
                () = reply.closed() => None,
            };
            // The slot is free once the connection is closed.
            drop(connection);
            let _ = shared.finished.send(Input::PingEnded { lane });
            if let Some(attempt) = made {
                let _ = reply.send(Ok(attempt));
            }
        });
    }

    pub(super) fn ping_ended(&mut self, lane: Option<WebhookKey>) {
        self.turns.free_slot();
        self.pings.running -= 1;
        if let Some(key) = lane {
            self.lane(key).give_back_connection();
            self.touch(key);
        }
    }
}

/// A delivery that is none: it has no row, no place in a lane and no SLA.
fn delivery(event: Arc<Event>) -> Delivery {
    Delivery {
        event_key: EventKey::default(),
        position: Position::default(),
        outgoing: Outgoing::new(event),
        state: DeliveryState::ACCEPTED,
        sla_due_time: None,
        requeue_time: None,
        order: None,
    }
}
