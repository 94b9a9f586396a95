//! How many tails are open, and whether there may be one more.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::domain::id::TenantKey;

/// One tail in so many is kept for tenants that have none.
const KEPT: usize = 8;

/// The tails of all tenants. Cheap to clone.
#[derive(Clone)]
pub(super) struct OpenTails {
    limit: usize,
    of_tenant: Arc<Mutex<HashMap<TenantKey, usize>>>,
}

/// The right to one open tail, until it is dropped.
pub(super) struct OpenTail {
    tenant: TenantKey,
    of_tenant: Arc<Mutex<HashMap<TenantKey, usize>>>,
}

impl OpenTails {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, of_tenant: Arc::default() }
    }

    /// Opens one more, where there is room.
    pub(super) fn open(&self, tenant: TenantKey) -> Option<OpenTail> {
        let mut of_tenant = self.of_tenant.lock();
        let kept = if of_tenant.contains_key(&tenant) { self.limit / KEPT } else { 0 };
        if of_tenant.values().sum::<usize>() + kept >= self.limit {
            return None;
        }
        *of_tenant.entry(tenant).or_default() += 1;
        Some(OpenTail { tenant, of_tenant: Arc::clone(&self.of_tenant) })
    }
}

impl Drop for OpenTail {
    fn drop(&mut self) {
        let mut of_tenant = self.of_tenant.lock();
        if let Some(open) = of_tenant.get_mut(&self.tenant) {
            *open -= 1;
            if *open == 0 {
                of_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_with_many_tails_leaves_some_to_others() {
        let tails = OpenTails::new(16);
        let mut open: Vec<OpenTail> = std::iter::from_fn(|| tails.open(TenantKey(1))).collect();
        assert_eq!(open.len(), 14);
        let second = tails.open(TenantKey(2)).expect("there is one left");
        assert!(tails.open(TenantKey(2)).is_none());
        let third = tails.open(TenantKey(3)).expect("and another one");
        assert!(tails.open(TenantKey(4)).is_none(), "all are open");
        drop((second, third, open.pop()));
        assert!(tails.open(TenantKey(1)).is_some());
        drop(open);
        assert!(tails.of_tenant.lock().is_empty());
    }
}
