use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Lanes that always have a job; lane 1000 * t + n is the n-th one of tenant t.
struct Busy {
    turns: Turns,
    in_flight: HashMap<i64, usize>,
    connections: usize,
}

impl Busy {
    fn new(limit: usize) -> Self {
        Self { turns: Turns::new(limit), in_flight: HashMap::new(), connections: 10 }
    }

    fn add(&mut self, tenant: i64, lanes: i64) {
        for lane in 1_000 * tenant..1_000 * tenant + lanes {
            self.turns.wait(WebhookKey(lane), TenantKey(tenant));
        }
    }

    /// Gives all the slots that can be given now; gives them as lanes.
    fn run(&mut self) -> Vec<i64> {
        let mut given = Vec::new();
        while let Some(WebhookKey(lane)) = self.turns.next() {
            let tenant = TenantKey(lane / 1_000);
            self.turns.started(WebhookKey(lane), tenant);
            let in_flight = self.in_flight.entry(lane).or_default();
            *in_flight += 1;
            if *in_flight < self.connections {
                self.turns.wait(WebhookKey(lane), tenant);
            }
            given.push(lane);
        }
        given
    }

    fn end(&mut self, lane: i64) {
        self.turns.ended(WebhookKey(lane));
        *self.in_flight.get_mut(&lane).expect("it runs") -= 1;
        self.turns.wait(WebhookKey(lane), TenantKey(lane / 1_000));
    }

    fn of(&self, tenant: i64) -> usize {
        let lanes = self.in_flight.iter().filter(|(lane, _)| *lane / 1_000 == tenant);
        lanes.map(|(_, in_flight)| in_flight).sum()
    }
}

#[test]
fn five_hundred_dead_lanes_leave_slots_to_others_of_their_tenant_and_to_other_tenants() {
    let mut busy = Busy::new(4_096);
    busy.add(1, 500);
    busy.run();
    assert!(busy.of(1) > 1_500, "a tenant alone may use much: {}", busy.of(1));
    let lanes: Vec<usize> = busy.in_flight.values().copied().collect();
    let spread = lanes.iter().max().zip(lanes.iter().min()).map(|(most, least)| most - least);
    assert!(spread <= Some(1), "all lanes have as many, but for one");

    // Nothing ends any more.
    busy.add(2, 1);
    assert_eq!(busy.run(), vec![2_000; 10]);
    busy.turns.wait(WebhookKey(1_999), TenantKey(1));
    assert_eq!(busy.run(), [1_999], "and no more than one");
}

#[test]
fn slots_that_are_freed_go_to_who_has_the_least() {
    let mut busy = Busy::new(64);
    busy.connections = 64;
    busy.add(1, 1);
    busy.run();
    busy.add(2, 1);
    busy.add(3, 1);
    busy.run();
    let before = busy.of(1);
    assert!(busy.of(2) < before && busy.of(3) < before);
    // The first one's attempts end, one by one: it gets none of its slots back until all
    // have as many.
    while busy.of(1) > busy.of(2) + 1 {
        busy.end(1_000);
        assert!(!busy.run().contains(&1_000) || busy.of(1) <= busy.of(2) + 1);
    }
    assert!(busy.of(1).abs_diff(busy.of(2)) <= 1 && busy.of(1).abs_diff(busy.of(3)) <= 2);
}

#[test]
fn a_tenant_with_a_thousand_lanes_has_at_most_half_as_much_again_as_one_with_one() {
    let mut busy = Busy::new(16);
    busy.connections = 16;
    busy.add(1, 1_000);
    busy.add(2, 1);
    busy.run();
    let mut turns = HashMap::<i64, usize>::new();
    for _ in 0..1_000 {
        // Every attempt takes as long.
        let running: Vec<i64> = busy
            .in_flight
            .iter()
            .flat_map(|(lane, count)| std::iter::repeat_n(*lane, *count))
            .collect();
        running.into_iter().for_each(|lane| busy.end(lane));
        for lane in busy.run() {
            *turns.entry(lane / 1_000).or_default() += 1;
        }
    }
    assert!(2 * turns[&1] <= 3 * turns[&2], "{turns:?}");
}

#[test]
fn nothing_is_remembered_of_who_has_nothing_to_do() {
    let mut busy = Busy::new(100);
    for lane in 0..50 {
        let (key, tenant) = (WebhookKey(lane), TenantKey(lane % 3));
        busy.turns.wait(key, tenant);
        busy.turns.wait(key, tenant);
    }
    while let Some(key) = busy.turns.next() {
        busy.turns.started(key, TenantKey(key.0 % 3));
        busy.turns.ended(key);
    }
    let Turns { lanes, tenants, waiting, fresh, in_flight, .. } = busy.turns;
    assert_eq!((lanes.len(), tenants.len(), waiting.len(), fresh.len()), (0, 0, 0, 0));
    assert_eq!(in_flight, 0);
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        tenant: i64,
        lanes: i64,
    },
    Run,
    /// One of those in flight ends.
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..20i64, 1..30i64).prop_map(|(tenant, lanes)| Step::Add { tenant, lanes }),
        Just(Step::Run),
        any::<usize>().prop_map(Step::End),
    ]
}

proptest! {
    #[test]
    fn whatever_came_before_a_tenant_with_nothing_in_flight_gets_a_slot(
        limit in 1..300usize,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut busy = Busy::new(limit);
        for step in steps {
            match step {
                Step::Add { tenant, lanes } => busy.add(tenant, lanes),
                Step::Run => drop(busy.run()),
                Step::End(which) => {
                    let running = busy.in_flight.iter().filter(|(_, count)| **count > 0);
                    let mut lanes: Vec<i64> = running.map(|(lane, _)| *lane).collect();
                    lanes.sort_unstable();
                    if !lanes.is_empty() {
                        busy.end(lanes[which % lanes.len()]);
                    }
                }
            }
            prop_assert!(busy.turns.in_flight() <= limit);
            prop_assert_eq!(busy.turns.in_flight(), busy.in_flight.values().sum::<usize>());
            for tenant in 1..20 {
                let share = limit * FRESH / (FRESH + 1) + 1;
                prop_assert!(busy.of(tenant) <= share, "no tenant has nearly all");
            }
        }
        busy.run();
        // As many newcomers as slots are kept, of which tenants that hold no more than one
        // have taken some.
        let single = (1..20).filter(|tenant| busy.of(*tenant) == 1).count();
        for newcomer in 0..(limit / KEPT).max(1).saturating_sub(single) as i64 {
            let lane = 1_000 * (100 + newcomer);
            busy.add(100 + newcomer, 1);
            prop_assert!(busy.run().contains(&lane));
        }
    }
}
