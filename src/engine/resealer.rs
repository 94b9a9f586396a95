//! The resealer: after a change of keys it encrypts every secret with the current
//! one, a small page at a time, and says when the older keys are not needed any more.

use std::time::Duration;

use super::caretaker::Caretaker;
use crate::{
    domain::error::Result,
    store::{ResealCursor, Store},
};

/// Pause between pages: commits of others come first.
const PACE: Duration = Duration::from_millis(20);
/// Pause after an error.
const AFTER_ERROR: Duration = Duration::from_secs(60);

/// Brings secrets under the current key.
pub struct Resealer {
    store: Store,
}

impl Resealer {
    /// A resealer of all secrets of a database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Goes through all secrets that another key may have sealed, or none.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`, or `INTERNAL` where a value does not open; what was done
    /// until then stays done.
    pub async fn run_once(&self) -> Result<()> {
        let mut at = ResealCursor::default();
        while let Some(next) = self.store.reseal(at.clone()).await? {
            at = next;
            tokio::time::sleep(PACE).await;
        }
        if at != ResealCursor::default() {
            self.store.empty_log().await?;
        }
        Ok(())
    }

    /// Goes through them until it has come to the end once.
    pub async fn run(self, mut caretaker: Caretaker) {
        let Some(key) = self.store.secret_key_id() else { return };
        caretaker.turn().await;
        while let Err(error) = self.run_once().await {
            tracing::error!(%error, "secrets cannot be encrypted with the current key; older keys stay needed");
            tokio::time::sleep(AFTER_ERROR).await;
        }
        tracing::info!(key, "every secret is encrypted with this key; no other one is needed");
    }
}
