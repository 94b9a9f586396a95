//! Keeps the write-ahead log bounded without slowing commits: a connection of its
//! own copies pages back while the writer goes on; only a log that grew past its
//! bound makes the writer wait for a moment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::sync::{Mutex, Notify};

use super::transaction::WriterState;
use crate::store::connect::Log;

/// Log size at which copying begins.
const SOFT_BYTES: u64 = 8 * 1024 * 1024;
/// Log size at which the writer lets the checkpoint finish.
const HARD_BYTES: u64 = 64 * 1024 * 1024;
/// Commits between two looks at the log's size.
const COMMITS_PER_LOOK: u32 = 32;
/// Quiet time after which a log that is left over is copied back.
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct Checkpointer {
    connection: DatabaseConnection,
    wal: PathBuf,
    due: Arc<Notify>,
    commits: std::sync::atomic::AtomicU32,
}

impl Checkpointer {
    /// Starts the task that copies pages back. It ends with the writer.
    pub(super) fn start(log: Log) -> Self {
        let Log { checkpointer: connection, file: wal } = log;
        let due = Arc::new(Notify::new());
        tokio::spawn(passive(connection.clone(), wal.clone(), Arc::downgrade(&due)));
        Self { connection, wal, due, commits: std::sync::atomic::AtomicU32::new(0) }
    }

    /// To be called between transactions.
    pub(super) async fn after_commit(&self, state: &Mutex<WriterState>) {
        let commits = self.commits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !commits.is_multiple_of(COMMITS_PER_LOOK) {
            return;
        }
        let bytes = size(&self.wal);
        if bytes > HARD_BYTES {
            let _no_writes = state.lock().await;
            checkpoint(&self.connection, "RESTART").await;
        } else if bytes > SOFT_BYTES {
            self.due.notify_one();
        }
    }
}

async fn passive(connection: DatabaseConnection, wal: PathBuf, due: std::sync::Weak<Notify>) {
    while let Some(notify) = due.upgrade() {
        // Whether woken or idle, the size decides; the wait ends so that the task
        // notices when its writer is gone.
        let woken = tokio::time::timeout(IDLE, notify.notified()).await.is_ok();
        drop(notify);
        if woken || size(&wal) > 0 {
            checkpoint(&connection, "PASSIVE").await;
        }
    }
}

fn size(wal: &PathBuf) -> u64 {
    std::fs::metadata(wal).map_or(0, |file| file.len())
}

async fn checkpoint(connection: &DatabaseConnection, mode: &str) {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    if let Err(error) = connection.execute_unprepared(&sql).await {
        tracing::warn!(%error, "checkpoint failed; the next one tries again");
    }
}
