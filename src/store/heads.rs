//! The heads of the journals, in memory: they wake whoever waits for new entries.
//! Hints only; the journal is the truth.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::id::{Position, TenantKey};

/// The newest position of each tenant's journal, as far as this process knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads {
    by_tenant: Arc<Mutex<HashMap<TenantKey, watch::Sender<Position>>>>,
}

impl Heads {
    /// Notes that a tenant's journal has reached `head`, and wakes who waits for it.
    pub(super) fn raise(&self, tenant: TenantKey, head: Position) {
        if let Some(sender) = self.by_tenant.lock().get(&tenant) {
            sender.send_if_modified(|known| {
                let higher = head > *known;
                *known = head.max(*known);
                higher
            });
        }
    }

    /// Watches a tenant's head. Register before reading: what is committed in
    /// between shows as a change.
    pub(super) fn watch(&self, tenant: TenantKey) -> watch::Receiver<Position> {
        let mut by_tenant = self.by_tenant.lock();
        // Tenants that nobody follows any more need no entry.
        by_tenant.retain(|_, sender| sender.receiver_count() > 0);
        by_tenant
            .entry(tenant)
            .or_insert_with(|| watch::Sender::new(Position::default()))
            .subscribe()
    }
}
