//! Whose turn it is: shares the slots for attempts between tenants, and what a tenant
//! gets between its lanes.
//!
//! An attempt that was begun is never taken back, and a destination that does not answer
//! holds its slots until the attempts time out. So fairness is a matter of giving: who has
//! the least in flight is next, and of those that have as much, who waits longest. And
//! nobody gets so much that nothing is left:
//!
//! - A tenant gets another slot only while it has fewer in flight than are free: one alone
//!   gets about half of all, two about a third each.
//! - For a lane that has nothing in flight it is enough if its tenant has fewer than three
//!   times as many.
//! - One slot in eight does not count as free: they are kept for tenants that have nothing
//!   in flight.
//!
//! Nothing here takes longer the more lanes there are, but for the depth of a tree.

use std::collections::BTreeSet;

use super::KeyMap;
use crate::domain::id::{TenantKey, WebhookKey};

/// One slot in so many is kept back, and one at least.
const KEPT: usize = 8;
/// What a tenant may have in flight for each free slot, with lanes that had nothing.
const FRESH: usize = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    limit: usize,
    in_flight: usize,
    /// Rises with each turn that begins to wait.
    clock: u64,
    lanes: KeyMap<WebhookKey, LaneTurns>,
    tenants: KeyMap<TenantKey, TenantTurns>,
    /// Tenants with lanes that wait, who is next first.
    waiting: BTreeSet<(usize, u64, TenantKey)>,
    /// Those of them with a lane that waits and has nothing in flight.
    fresh: BTreeSet<(usize, u64, TenantKey)>,
}

#[derive(Debug)]
struct LaneTurns {
    tenant: TenantKey,
    in_flight: usize,
    /// Since when it waits, where it does.
    since: Option<u64>,
}

#[derive(Debug, Default)]
struct TenantTurns {
    in_flight: usize,
    since: u64,
    /// Lanes that wait, who is next first.
    waiting: BTreeSet<(usize, u64, WebhookKey)>,
}

impl Turns {
    /// Turns for at most `limit` attempts in flight.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            in_flight: 0,
            clock: 0,
            lanes: KeyMap::default(),
            tenants: KeyMap::default(),
            waiting: BTreeSet::new(),
            fresh: BTreeSet::new(),
        }
    }

    /// Attempts in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many lanes have attempts in flight or wait for their turn.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Whether all slots are taken.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight >= self.limit
    }

    /// Takes a slot for a request that is no delivery: nobody's share becomes smaller.
    pub(super) fn take_slot(&mut self) {
        self.in_flight += 1;
    }

    /// Frees such a slot.
    pub(super) fn free_slot(&mut self) {
        self.in_flight -= 1;
    }

    /// Lets a lane wait for its turn. One that waits already keeps its place.
    pub(super) fn wait(&mut self, key: WebhookKey, tenant: TenantKey) {
        let new = LaneTurns { tenant, in_flight: 0, since: None };
        let lane = self.lanes.entry(key).or_insert(new);
        if lane.since.is_some() {
            return;
        }
        self.clock += 1;
        lane.since = Some(self.clock);
        let (place, since) = ((lane.in_flight, self.clock, key), self.clock);
        self.change(tenant, |tenant| {
            if tenant.waiting.is_empty() {
                tenant.since = since;
            }
            tenant.waiting.insert(place);
        });
    }

    /// The lane whose turn it is, where one may have a slot. It waits no longer.
    pub(super) fn next(&mut self) -> Option<WebhookKey> {
        let kept = (self.limit / KEPT).max(1);
        let free = self.limit.saturating_sub(self.in_flight + kept);
        let any = self.waiting.first().filter(|(in_flight, ..)| {
            if *in_flight == 0 { !self.is_full() } else { *in_flight < free }
        });
        let fresh = || self.fresh.first().filter(|(in_flight, ..)| *in_flight < FRESH * free);
        let (_, _, tenant) = *any.or_else(fresh)?;
        let (_, _, key) = *self.tenants.get(&tenant)?.waiting.first()?;
        self.clock += 1;
        let since = self.clock;
        self.change(tenant, |tenant| {
            tenant.waiting.pop_first();
            tenant.since = since;
        });
        self.lane(key, |lane| lane.since = None);
        Some(key)
    }

    /// Notes that an attempt of a lane begins.
    pub(super) fn started(&mut self, key: WebhookKey, tenant: TenantKey) {
        self.in_flight += 1;
        self.lanes.entry(key).or_insert(LaneTurns { tenant, in_flight: 0, since: None });
        self.count(key, |in_flight| *in_flight += 1);
    }

    /// Notes that an attempt of a lane has ended and is recorded.
    pub(super) fn ended(&mut self, key: WebhookKey) {
        self.in_flight -= 1;
        self.count(key, |in_flight| *in_flight -= 1);
    }

    fn count(&mut self, key: WebhookKey, count: impl Fn(&mut usize)) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (tenant, since, before) = (lane.tenant, lane.since, lane.in_flight);
        self.lane(key, |lane| count(&mut lane.in_flight));
        self.change(tenant, |tenant| {
            count(&mut tenant.in_flight);
            if let Some(since) = since {
                let mut after = before;
                count(&mut after);
                tenant.waiting.remove(&(before, since, key));
                tenant.waiting.insert((after, since, key));
            }
        });
    }

    /// Changes a lane, and forgets it where there is nothing to know of it.
    fn lane(&mut self, key: WebhookKey, change: impl FnOnce(&mut LaneTurns)) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        change(lane);
        if lane.in_flight == 0 && lane.since.is_none() {
            self.lanes.remove(&key);
        }
    }

    /// Changes a tenant, gives it its place among the others, and forgets it where there is
    /// nothing to know of it.
    fn change(&mut self, key: TenantKey, change: impl FnOnce(&mut TenantTurns)) {
        let tenant = self.tenants.entry(key).or_default();
        let place = (tenant.in_flight, tenant.since, key);
        self.waiting.remove(&place);
        self.fresh.remove(&place);
        change(tenant);
        let place = (tenant.in_flight, tenant.since, key);
        match tenant.waiting.first() {
            Some((in_flight, ..)) => {
                self.waiting.insert(place);
                if *in_flight == 0 {
                    self.fresh.insert(place);
                }
            }
            None if tenant.in_flight == 0 => drop(self.tenants.remove(&key)),
            None => {}
        }
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
