//! A webhook and its receiver, which fails at random and notes what comes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidings::grpc::proto::{
    CreateWebhookRequest, DeliveryOrder, RetryPolicy, Webhook,
    webhook_service_client::WebhookServiceClient,
};
use tokio::sync::Notify;
use tonic::transport::Channel;
use uuid::Uuid;

use super::publisher;
use crate::support::{
    api::{http, webhook},
    receiver::{Received, Receiver, Reply},
};

/// Requests that each webhook may have open at once; a FIFO has one.
const LIMIT: usize = 8;
/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// An attempt's time begins a little before the receiver sees its request.
const UNDER_WAY: Duration = Duration::from_millis(150);
/// A node that was stopped may find a request half sent when it goes on.
const WAKING: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Hook {
    pub(super) order: DeliveryOrder,
    pub(super) webhook_id: String,
    receiver: Receiver,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    attempts: Mutex<Vec<Attempt>>,
    /// Events that came with success.
    arrived: Mutex<HashSet<Uuid>>,
    success: Notify,
}

/// A request, when all of it was there.
struct Attempt {
    event: Uuid,
    at: Instant,
    succeeds: bool,
}

impl Hook {
    /// Makes one, on a node.
    pub(super) async fn create(on: &Channel, order: DeliveryOrder, seed: u64) -> Self {
        let seen = Arc::<Seen>::default();
        let noted = Arc::clone(&seen);
        let receiver = Receiver::with(move |received| noted.answer(received, seed)).await;
        let names: &[&str] = match order {
            DeliveryOrder::Fifo => &[publisher::FOR_ALL],
            _ => &["*"],
        };
        let mut made = webhook(order.as_str_name(), &receiver.url(), names);
        http(&mut made).timeout = Some(TIMEOUT.try_into().expect("a duration"));
        let made = Webhook {
            delivery_order: order.into(),
            max_allowed_connections: Some(LIMIT as i32),
            retry_policy: Some(RetryPolicy {
                max_retries: Some(1_000),
                initial_backoff: Some(Duration::from_millis(50).try_into().expect("a duration")),
                max_backoff: Some(Duration::from_millis(500).try_into().expect("a duration")),
                ..Default::default()
            }),
            ..made
        };
        let request = CreateWebhookRequest { webhook: Some(made), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(on.clone());
        let made = webhooks.create_webhook(request).await.expect("a webhook").into_inner();
        let webhook_id = made.webhook.expect("the webhook").webhook_id;
        Self { order, webhook_id, receiver, seen }
    }

    /// Whether an event is for it.
    pub(super) fn takes(&self, event: Uuid) -> bool {
        self.order != DeliveryOrder::Fifo || publisher::is_for_all(event)
    }

    /// How many events have come with success.
    pub(super) fn arrived(&self) -> usize {
        self.seen.arrived.lock().len()
    }

    /// Waits until so many events have come with success.
    pub(super) async fn successes(&self, count: usize) {
        self.until(|| self.arrived() >= count).await;
    }

    /// Waits until a request succeeds that comes after `time`.
    pub(super) async fn success_after(&self, time: Instant) {
        self.until(|| {
            let attempts = self.seen.attempts.lock();
            attempts.iter().rev().take_while(|it| it.at > time).any(|it| it.succeeds)
        })
        .await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let success = self.seen.success.notified();
            if is_so() {
                return;
            }
            success.await;
        }
    }

    /// It never had more requests open at once than it may, and several where it may: how many
    /// of them depends on the machine. A node that runs ends each in time; only one that is stopped leaves them
    /// open for longer, and those do not count any more.
    pub(super) fn assert_limit(&self, continued: &[Instant]) {
        let limit = if self.order == DeliveryOrder::Fifo { 1 } else { LIMIT };
        let spans = self.receiver.spans().into_iter();
        let mut spans: Vec<_> = spans.map(|it| it.start.into_std()..it.end.into_std()).collect();
        spans.sort_by_key(|span| span.start);
        let (mut open, mut most) = (Vec::new(), 0);
        for Range { start, end } in spans {
            open.retain(|before: &Range<Instant>| before.end > start);
            open.push(start..end.min(start + TIMEOUT - UNDER_WAY));
            most = most.max(open.len());
            let gone_on = continued.iter().filter(|time| **time <= start).max();
            assert!(
                open.len() <= limit,
                "{:?}: {limit} allowed, but {open:?}, {:?} after a node went on",
                self.order,
                gone_on.map(|time| start - *time),
            );
        }
        assert!(most >= limit.min(2), "{:?}: {most} at once", self.order);
    }

    /// Events succeeded in the order of the journal, and no attempt was made of one whose
    /// successor was attempted already, but by nodes that had just gone on.
    pub(super) fn assert_order(&self, accepted: &[Uuid], continued: &[Instant]) {
        if self.order == DeliveryOrder::Unordered {
            return;
        }
        let place: HashMap<Uuid, usize> = accepted.iter().copied().zip(0..).collect();
        let attempts = self.seen.attempts.lock();
        let mut succeeded: BTreeMap<String, (usize, HashSet<Uuid>)> = BTreeMap::new();
        let mut attempted: BTreeMap<String, usize> = BTreeMap::new();
        for Attempt { event, at, succeeds } in attempts.iter() {
            let (key, place) = (self.key(*event), place[event]);
            let (last, before) = succeeded.entry(key.clone()).or_default();
            if *succeeds && before.insert(*event) {
                assert!(*last <= place, "{:?}: {event} succeeds too late", self.order);
                *last = place;
            }
            if continued.iter().any(|time| (*time..*time + WAKING).contains(at)) {
                continue;
            }
            let last = attempted.entry(key).or_default();
            assert!(*last <= place, "{:?}: {event} is attempted too late", self.order);
            *last = place;
        }
    }

    /// What it keeps the order of.
    fn key(&self, event: Uuid) -> String {
        match self.order {
            DeliveryOrder::ByKey => publisher::ordering_key(event),
            _ => String::new(),
        }
    }
}

impl Seen {
    /// Notes a request and decides on its answer.
    fn answer(&self, received: &Received, seed: u64) -> Reply {
        let event = received.header("tidings-event-id").expect("an id").parse().expect("a UUID");
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(received.index as u64));
        let (reply, succeeds) = match chance.random_range(0..1_000) {
            0..50 => (Reply::status(503), false),
            50..60 => (Reply::reset(), false),
            60..64 => (Reply::never(), false),
            64..70 => (Reply::status(200).after(Duration::from_millis(300)), true),
            _ => (Reply::status(200).after(Duration::from_millis(chance.random_range(0..8))), true),
        };
        self.attempts.lock().push(Attempt { event, at: Instant::now(), succeeds });
        if succeeds {
            self.arrived.lock().insert(event);
            self.success.notify_waiters();
        }
        reply
    }
}
