//! Lanes against a model of the database: whatever the order of commits, their
//! news, reads and attempts, each delivery is taken once, in order.

use proptest::prelude::*;

use super::{connections::SLOTS_PER_CONNECTION, *};
use crate::{
    domain::{
        actor::{Actor, Attribution},
        delivery::DeliveryState,
        event::Event,
        id::{EventId, TenantKey, WebhookId, WebhookKey},
        webhook::{Webhook, WebhookSpec},
    },
    engine::delivery::Outgoing,
};

#[path = "order_tests.rs"]
mod ordered;

const ROOM: usize = 4;
const PAGE: usize = 3;
const CONNECTIONS: usize = 2;

fn delivery(n: i64) -> Delivery {
    let id = EventId(uuid::Uuid::from_u128(n.unsigned_abs().into()));
    let event = Event::bare(id, Timestamp::default());
    Delivery {
        event_key: EventKey(n),
        position: Position(n),
        outgoing: Outgoing::new(Arc::new(event)),
        state: DeliveryState::ACCEPTED,
        sla_due_time: None,
        order: None,
        requeue_time: None,
    }
}

fn open_lane() -> Lane {
    let webhook = Webhook {
        key: WebhookKey(1),
        tenant_key: TenantKey(1),
        webhook_id: WebhookId::new(Timestamp::default(), [0; 8]),
        number: 1,
        consumer_group_id: uuid::Uuid::nil(),
        spec: WebhookSpec { max_allowed_connections: CONNECTIONS as u32, ..WebhookSpec::default() },
        suspension: None,
        holds: Vec::new(),
        version: 1,
        attribution: Attribution::new(Timestamp::default(), Actor::default()),
        delete_time: None,
    };
    let tenant = "t".parse().expect("a tenant id");
    let config = LaneConfig::new(tenant, Arc::new(webhook), std::time::Duration::from_secs(1));
    let mut lane = Lane::unread(true);
    lane.configure(Arc::new(config), Timestamp::default());
    lane
}

/// A lane, the rows that wait in the database, and what is under way between them.
struct Model {
    lane: Lane,
    committed: i64,
    rows: Vec<i64>,
    /// Commits that the lane has not been told of yet.
    news: VecDeque<i64>,
    /// A read under way: what it found, whether that was all.
    load: Option<(LoadStart, Vec<i64>, bool)>,
    /// Those that have no answer yet, and those that are to be recorded.
    open: VecDeque<(i64, usize)>,
    answered: VecDeque<(i64, usize)>,
    taken: Vec<i64>,
}

impl Model {
    fn room(&self) -> Room {
        Room { deliveries: ROOM.saturating_sub(self.lane.known_count()), bytes: 1 << 20 }
    }

    fn commit(&mut self) {
        self.committed += 1;
        self.rows.push(self.committed);
        self.news.push_back(self.committed);
    }

    fn tell(&mut self) {
        let room = self.room();
        if let Some(n) = self.news.pop_front() {
            self.lane.accept(delivery(n), room);
        }
    }

    fn begin_load(&mut self) {
        if self.load.is_some()
            || self.room().is_none()
            || !self.lane.wants_load(Timestamp::default())
        {
            return;
        }
        let start = self.lane.begin_load();
        self.lane.next_due = None;
        let limit = self.room().deliveries.clamp(1, PAGE);
        let after = self.rows.iter().copied().filter(|n| *n > start.cursor.0);
        let found: Vec<i64> = after.take(limit).collect();
        let complete = found.len() < limit;
        self.load = Some((start, found, complete));
    }

    fn end_load(&mut self) {
        let Some((start, found, complete)) = self.load.take() else { return };
        let end = complete.then_some(start.last_committed);
        let Some(left) = self.lane.end_load(start) else { return };
        self.lane.add_waiting(found.into_iter().map(delivery).collect(), &left, end);
    }

    fn attempt(&mut self) {
        if self.lane.can_run(Timestamp::default(), CONNECTIONS)
            && let Some(delivery) = self.lane.take(Timestamp::default())
        {
            self.taken.push(delivery.event_key.0);
            self.open.push_back((delivery.event_key.0, delivery.bytes()));
        }
    }

    fn answer(&mut self) {
        if let Some(attempted) = self.open.pop_front() {
            self.lane.free_connection();
            self.answered.push_back(attempted);
        }
    }

    fn record(&mut self) {
        if let Some((n, bytes)) = self.answered.pop_front() {
            self.rows.retain(|row| *row != n);
            self.lane.release(EventKey(n), bytes, None, None);
        }
    }
}

proptest! {
    #[test]
    fn each_delivery_is_taken_once_and_in_order(steps in prop::collection::vec(0u8..7, 0..400)) {
        let mut model = Model {
            lane: open_lane(),
            committed: 0,
            rows: Vec::new(),
            news: VecDeque::new(),
            load: None,
            open: VecDeque::new(),
            answered: VecDeque::new(),
            taken: Vec::new(),
        };
        let act = |model: &mut Model, step| match step {
            0 => model.commit(),
            1 => model.tell(),
            2 => model.begin_load(),
            3 => model.end_load(),
            4 => model.attempt(),
            5 => model.answer(),
            _ => model.record(),
        };
        for step in steps {
            act(&mut model, step);
            prop_assert!(model.lane.known_count() <= ROOM.max(1));
            prop_assert!(model.open.len() <= CONNECTIONS);
        }
        // Whatever was under way, going on without new commits ends with everything taken.
        for _ in 0..model.committed * 8 + 8 {
            for step in 1..7 {
                act(&mut model, step);
            }
        }
        prop_assert_eq!(&model.taken, &(1..=model.committed).collect::<Vec<_>>());
        prop_assert!(model.rows.is_empty());
        prop_assert_eq!((model.lane.known_count(), model.lane.bytes()), (0, 0));
    }
}

#[test]
fn connections_are_free_with_the_answer_and_slots_once_it_is_recorded() {
    let mut lane = open_lane();
    let start = lane.begin_load();
    let left = lane.end_load(start).expect("it is valid");
    lane.add_waiting((1..=50).map(delivery).collect(), &left, None);
    let take_all = |lane: &mut Lane| {
        let mut taken = Vec::new();
        while lane.can_run(Timestamp::default(), CONNECTIONS) {
            taken.extend(lane.take(Timestamp::default()));
        }
        taken
    };
    let mut unrecorded = take_all(&mut lane);
    assert_eq!(unrecorded.len(), CONNECTIONS);
    assert!(!lane.take_connection(), "none is left for a test");
    for _ in 1..SLOTS_PER_CONNECTION {
        (0..CONNECTIONS).for_each(|_| lane.free_connection());
        let next = take_all(&mut lane);
        assert_eq!(next.len(), CONNECTIONS, "answered, not recorded");
        unrecorded.extend(next);
    }
    (0..CONNECTIONS).for_each(|_| lane.free_connection());
    assert!(take_all(&mut lane).is_empty(), "the database does not answer");
    assert!(lane.take_connection(), "a test records nothing");
    let first = &unrecorded[0];
    lane.release(first.event_key, first.bytes(), None, None);
    assert!(take_all(&mut lane).is_empty(), "the test has a slot as well");
    lane.give_back_connection();
    assert_eq!(take_all(&mut lane).len(), 1);
}
