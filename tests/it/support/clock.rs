//! A clock that is moved by hand.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidings::{domain::time::Timestamp, engine::Clock};
use tokio::sync::Notify;

/// Stands still until it is advanced.
pub(crate) struct ManualClock {
    now: Mutex<Timestamp>,
    moved: Notify,
}

impl ManualClock {
    /// Begins at 2026-01-01T00:00:00Z.
    pub(crate) fn new() -> Arc<Self> {
        let start = Timestamp::from_micros(1_767_225_600_000_000);
        Arc::new(Self { now: Mutex::new(start), moved: Notify::new() })
    }

    /// Moves it forward and wakes who waits for a time that has come.
    pub(crate) fn advance(&self, by: Duration) {
        {
            let mut now = self.now.lock();
            *now = now.plus(by);
        }
        self.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                // Registered before looking, so that no move falls in between.
                let moved = self.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                if self.now() >= at {
                    return;
                }
                moved.await;
            }
        })
    }
}
