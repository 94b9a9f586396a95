//! What waits for the writer, and what is written next: outcomes at once, then one unit
//! of each tenant after the other, so that nobody's flood delays the others by more than
//! a transaction or two.

use std::collections::{HashMap, VecDeque};

use super::{Batch, Unit, publish::PublishUnit, record::RecordUnit};
use crate::domain::id::TenantKey;

/// Most units in one transaction.
const UNITS: usize = 512;
/// Events and deliveries after which a transaction takes no more units.
const ROWS: usize = 4_096;

/// See the module.
#[derive(Default)]
pub(super) struct Waiting {
    records: Vec<RecordUnit>,
    publishes: HashMap<TenantKey, VecDeque<PublishUnit>>,
    /// Tenants that wait, who is next first.
    turns: VecDeque<TenantKey>,
    rows: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, unit: Unit) {
        match unit {
            Unit::Record(unit) => {
                self.rows += unit.settlements.len();
                self.records.push(unit);
            }
            Unit::Publish(unit) => {
                self.rows += unit.rows();
                let of_tenant = self.publishes.entry(unit.tenant_key).or_default();
                if of_tenant.is_empty() {
                    self.turns.push_back(unit.tenant_key);
                }
                of_tenant.push_back(unit);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.turns.is_empty()
    }

    /// Events, deliveries and outcomes that wait, roughly.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes what is written in the next transaction. Units of a tenant keep their order.
    pub(super) fn next_batch(&mut self) -> Batch {
        let records = std::mem::take(&mut self.records);
        self.rows -= records.iter().map(|unit| unit.settlements.len()).sum::<usize>();
        let (mut publishes, mut rows) = (Vec::new(), 0);
        while publishes.len() < UNITS
            && rows < ROWS
            && let Some(unit) = self.next_publish()
        {
            rows += unit.rows();
            self.rows -= unit.rows();
            publishes.push(unit);
        }
        Batch { publishes, records }
    }

    fn next_publish(&mut self) -> Option<PublishUnit> {
        let tenant = self.turns.pop_front()?;
        let of_tenant = self.publishes.get_mut(&tenant)?;
        let unit = of_tenant.pop_front();
        if of_tenant.is_empty() {
            self.publishes.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        unit
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{Semaphore, oneshot};
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            event::Event,
            id::{EventId, WebhookKey},
            time::Timestamp,
        },
        store::{NewEvent, Target},
    };

    async fn unit(tenant: i64, events: usize, targets: i64) -> Unit {
        let event = Arc::new(Event::bare(EventId(Uuid::nil()), Timestamp::default()));
        let target = |key| Target { webhook_key: WebhookKey(key), sla_due_time: None, order: None };
        let new = NewEvent { event, targets: (1..=targets).map(target).collect() };
        let room = Arc::new(Semaphore::new(2));
        Unit::Publish(PublishUnit {
            tenant_key: TenantKey(tenant),
            config_version: events as i64,
            events: vec![new; events],
            reply: oneshot::channel().0,
            _room: [
                Arc::clone(&room).acquire_owned().await.expect("room"),
                room.acquire_owned().await.expect("room"),
            ],
        })
    }

    fn tenants(batch: &Batch) -> Vec<i64> {
        batch.publishes.iter().map(|unit| unit.tenant_key.0).collect()
    }

    #[tokio::test]
    async fn a_flood_of_one_tenant_leaves_room_for_the_others_in_the_very_next_transaction() {
        let mut waiting = Waiting::default();
        for _ in 0..100 {
            waiting.push(unit(1, 1_000, 3).await);
        }
        waiting.push(unit(2, 1, 1).await);
        waiting.push(unit(2, 2, 1).await);
        waiting.push(unit(3, 1, 1).await);
        assert_eq!(tenants(&waiting.next_batch()), [1, 2, 3, 1]);
        assert_eq!(tenants(&waiting.next_batch()), [2, 1, 1]);
        let mut left = 0;
        while !waiting.is_empty() {
            left += waiting.next_batch().publishes.len();
        }
        assert_eq!((left, waiting.rows()), (96, 0));
    }

    #[tokio::test]
    async fn small_units_share_a_transaction_in_their_order() {
        let mut waiting = Waiting::default();
        for number in 0..600 {
            waiting.push(unit(1, number % 3, 1).await);
        }
        let batch = waiting.next_batch();
        assert_eq!(batch.publishes.len(), 512);
        assert!(batch.publishes.iter().zip(0..).all(|(unit, n)| unit.config_version == n % 3));
        assert_eq!(waiting.next_batch().publishes.len(), 88);
        assert!(waiting.is_empty());
    }
}
