//! Lanes that wait for something of which there are few: tenants take turns, and the
//! lanes of each.

use std::collections::VecDeque;

use super::KeyMap;
use crate::domain::id::{TenantKey, WebhookKey};

/// See the module. Who waits is pushed once.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    tenants: VecDeque<TenantKey>,
    lanes: KeyMap<TenantKey, VecDeque<WebhookKey>>,
}

impl Rotation {
    /// Lets a lane wait, behind the others of its tenant.
    pub(super) fn push(&mut self, tenant: TenantKey, lane: WebhookKey) {
        let lanes = self.lanes.entry(tenant).or_default();
        if lanes.is_empty() {
            self.tenants.push_back(tenant);
        }
        lanes.push_back(lane);
    }

    /// The lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<WebhookKey> {
        let tenant = self.tenants.pop_front()?;
        let lanes = self.lanes.get_mut(&tenant)?;
        let lane = lanes.pop_front();
        if lanes.is_empty() {
            self.lanes.remove(&tenant);
        } else {
            self.tenants.push_back(tenant);
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_many_lanes_has_no_more_turns_than_one_with_few() {
        let mut rotation = Rotation::default();
        for lane in 1..=4 {
            rotation.push(TenantKey(1), WebhookKey(lane));
        }
        rotation.push(TenantKey(2), WebhookKey(11));
        rotation.push(TenantKey(3), WebhookKey(21));
        rotation.push(TenantKey(2), WebhookKey(12));
        let order: Vec<i64> = std::iter::from_fn(|| rotation.pop()).map(|lane| lane.0).collect();
        assert_eq!(order, [1, 11, 21, 2, 12, 3, 4]);
        assert!(rotation.lanes.is_empty());
    }
}
