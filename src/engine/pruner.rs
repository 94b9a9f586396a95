//! The pruner: deletes what retention no longer covers, a small batch at a time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{caretaker::Caretaker, clock::Clock};
use crate::{domain::error::Result, store::Store};

/// Rows that one transaction deletes, of each kind.
const BATCH: usize = 500;
/// A pause between batches is as long as the batch took, within these bounds: commits of
/// others come first, and a database that is busy is left alone for longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Pause between rounds.
const ROUND: Duration = Duration::from_secs(60);

/// Keeps the log within its retention.
pub struct Pruner {
    store: Store,
    clock: Arc<dyn Clock>,
    retention: Duration,
}

impl Pruner {
    /// A pruner for everything older than `retention`, or than the tenant's own.
    pub fn new(store: Store, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self { store, clock, retention }
    }

    /// Goes through all tenants once. Returns how many journal entries and events
    /// were deleted.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`; what was deleted until then stays deleted.
    pub async fn run_once(&self) -> Result<(u64, u64)> {
        let now = self.clock.now();
        self.store.file().await?;
        let (mut entries, mut events, mut pace) = (0, 0, Pace(Instant::now()));
        for (tenant, own) in self.store.retentions().await? {
            let cutoff = now.minus(own.unwrap_or(self.retention));
            while self.store.prune_jobs(tenant, cutoff, BATCH).await? == BATCH as u64 {
                pace.pause().await;
            }
            let mut from = None;
            loop {
                let pruned = self.store.prune(tenant, (cutoff, now), from, BATCH).await?;
                entries += pruned.entries;
                events += pruned.events;
                from = pruned.next;
                if from.is_none() {
                    break;
                }
                pace.pause().await;
            }
            // Of deliveries that have gone just now.
            while self.store.prune_times(tenant, cutoff, BATCH).await? == BATCH as u64 {
                pace.pause().await;
            }
        }
        Ok((entries, events))
    }

    /// The loop; errors end a round, not the loop.
    pub async fn run(self, mut caretaker: Caretaker) {
        loop {
            caretaker.turn().await;
            match self.run_once().await {
                Ok((0, 0)) | Err(_) => {}
                Ok((entries, events)) => {
                    tracing::info!(entries, events, "retention deleted what was too old")
                }
            }
            tokio::time::sleep(ROUND).await;
        }
    }
}

/// Since when the batch runs.
struct Pace(Instant);

impl Pace {
    /// To be called between two batches.
    async fn pause(&mut self) {
        tokio::time::sleep(self.0.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
        self.0 = Instant::now();
    }
}
