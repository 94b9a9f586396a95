//! The engine's tasks: all of them end with it.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Starts tasks and stops them together. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tasks(Arc<Mutex<Option<JoinSet<()>>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(JoinSet::new()))))
    }
}

impl Tasks {
    /// Starts a task that ends by itself or when all are stopped. Once they are, it does not
    /// begin.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock();
        let Some(tasks) = &mut *tasks else { return };
        // Those that have ended are not kept.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Stops all tasks and waits until the last one has ended.
    pub(super) async fn stop(&self) {
        let tasks = self.0.lock().take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}
