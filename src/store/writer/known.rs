//! What the writer of a file knows of tenants from one transaction to the next: as long as
//! nobody else wrote, it need not be read again.

use std::collections::BTreeMap;

use super::{opening::TenantRow, place::Place};
use crate::domain::id::TenantKey;

/// Tenants after which all are forgotten.
const TENANTS: usize = 2_048;

/// What was read of tenants, as this transaction leaves it.
#[derive(Default)]
pub(super) struct Known {
    /// What the database calls its content, but for what this connection writes.
    version: i64,
    pub(super) tenants: BTreeMap<TenantKey, TenantRow>,
    /// Where their journals end.
    pub(super) places: BTreeMap<TenantKey, Place>,
}

impl Known {
    /// Forgets what may have changed, where the content is of this version now, and what has
    /// become too much.
    pub(super) fn refresh(&mut self, version: i64) {
        if self.version != version || self.tenants.len().max(self.places.len()) > TENANTS {
            *self = Self { version, ..Self::default() };
        }
    }
}
