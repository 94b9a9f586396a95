//! What other processes tell of their commits. Hints only: whoever misses them finds the
//! same in the database.

use super::Store;
use crate::domain::id::{Position, TenantKey};

/// Something that another process has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It has written these entries of a tenant's journal.
    Entries {
        /// Whose.
        tenant: TenantKey,
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// It has changed a tenant's webhooks or event types.
    Configuration,
    /// Nodes have come or gone, or given shards up.
    Nodes,
    /// There may be a new job.
    Jobs,
    /// Some hints may be lost.
    Missed,
}

/// Hears hints.
pub struct Hints(());

impl Hints {
    /// The next one.
    pub async fn next(&mut self) -> Hint {
        std::future::pending().await
    }
}

impl Store {
    /// Begins to listen.
    pub fn hints(&self) -> Hints {
        Hints(())
    }
}
