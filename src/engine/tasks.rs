//! The engine's tasks: all of them end with it.

use std::future::Future;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts tasks and stops them together. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Starts a task that ends by itself or when all are stopped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Stops all tasks and waits until the last one has ended.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
