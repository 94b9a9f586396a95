//! The expander: makes the deliveries of events for very many webhooks that their
//! publishes have left for later. Tenants take turns, one transaction each.

use std::time::Duration;

use super::caretaker::Caretaker;
use crate::{
    domain::{error::Result, id::TenantKey},
    store::Store,
};

/// Between two looks without a hint.
const INTERVAL: Duration = Duration::from_secs(1);
/// Pause after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Expander {
    pub(super) store: Store,
}

impl Expander {
    /// Gives each tenant one turn. Returns how many deliveries were made.
    async fn run_once(&self) -> Result<usize> {
        let (mut made, mut failed) = (0, None);
        let mut after = TenantKey(0);
        while let Some(tenant) = self.store.next_expanding(after).await? {
            after = tenant;
            // What is wrong with one tenant's is not the others' fault.
            match self.store.expand(tenant).await {
                Ok(count) => made += count,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(made), Err)
    }

    /// The loop; what a hint missed was there when it was looked for.
    pub(super) async fn run(self, mut caretaker: Caretaker) {
        loop {
            caretaker.turn().await;
            match self.run_once().await {
                // Those that another node has left are found a moment later.
                Ok(0) => {
                    let _ = tokio::time::timeout(INTERVAL, self.store.expansions_wait()).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "deliveries that were left for later wait");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }
}
