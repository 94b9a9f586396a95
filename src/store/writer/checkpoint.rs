//! Keeps the write-ahead log of a file bounded without slowing commits. A connection of its own
//! copies pages back while the writer goes on, a few at a time: the more are synced at once, the
//! longer commits wait for the disk meanwhile. The log begins anew only at a moment when all of
//! it is copied, which under load does not come by itself: so the writer waits at last, while
//! the little that came meanwhile is copied. Nobody waits for readers: where one reads an
//! old state for long, as a backup does, the log grows as long.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::{Mutex, Notify};

use super::transaction::WriterState;
use crate::store::{direct::Direct, query};

/// Commits after which pages are copied.
const COMMITS: u32 = 32;
/// Pages in the log from which it is to begin anew: 32 MiB.
const LONG: u32 = 8_192;
/// So few are copied while the writer waits.
const FEW: i64 = 256;
/// How often the rest is copied beside the writer, until there is as little.
const ROUNDS: usize = 4;
/// Quiet time after which what is left over is copied.
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct Checkpointer {
    direct: Direct,
    due: Arc<Due>,
    commits: u32,
    pages: Pages,
}

/// What the task is to do.
#[derive(Default)]
struct Due {
    something: Notify,
    anew: AtomicBool,
}

/// How far the log has come.
struct Pages {
    last: u32,
    due: u32,
}

impl Checkpointer {
    /// Starts the task that copies pages back. It ends with the writer.
    pub(super) fn start(
        connection: DatabaseConnection,
        direct: Direct,
        state: Weak<Mutex<WriterState>>,
    ) -> Self {
        let due = Arc::<Due>::default();
        tokio::spawn(run(connection, state, Arc::downgrade(&due)));
        Self { direct, due, commits: 0, pages: Pages { last: 0, due: LONG } }
    }

    /// To be called between transactions.
    pub(super) fn after_commit(&mut self) {
        self.commits = self.commits.wrapping_add(1);
        let anew = self.pages.are_due(self.direct.log_pages());
        if anew {
            self.due.anew.store(true, Ordering::Relaxed);
        }
        if anew || self.commits.is_multiple_of(COMMITS) {
            self.due.something.notify_one();
        }
    }
}

impl Pages {
    /// Whether the log is to begin anew, now that there are so many. Where it does not, that is
    /// due again after as many more.
    fn are_due(&mut self, pages: u32) -> bool {
        let anew = pages < self.last;
        self.last = pages;
        if anew {
            self.due = LONG;
        }
        let due = pages >= self.due;
        if due {
            self.due = pages.saturating_add(LONG);
        }
        due
    }
}

async fn run(connection: DatabaseConnection, state: Weak<Mutex<WriterState>>, due: Weak<Due>) {
    while let Some(wanted) = due.upgrade() {
        // The wait ends so that the task notices when its writer is gone.
        let _ = tokio::time::timeout(IDLE, wanted.something.notified()).await;
        let anew = wanted.anew.swap(false, Ordering::Relaxed);
        drop(wanted);
        for _ in 0..if anew { ROUNDS } else { 1 } {
            if checkpoint(&connection, "PASSIVE").await.is_none_or(|left| left <= FEW) {
                break;
            }
        }
        if anew && let Some(state) = state.upgrade() {
            let _no_writes = state.lock().await;
            checkpoint(&connection, "RESTART").await;
        }
    }
}

/// Returns how many pages are not copied, where that is known.
async fn checkpoint(connection: &DatabaseConnection, mode: &str) -> Option<i64> {
    let left = async {
        let rows = query(connection, &format!("PRAGMA wal_checkpoint({mode})"), []).await?;
        let row = rows.first().ok_or_else(|| DbErr::RecordNotFound(mode.to_owned()))?;
        let pages = |column| row.try_get::<i64>("", column);
        Ok::<_, DbErr>(pages("log")? - pages("checkpointed")?)
    };
    left.await
        .inspect_err(|error| {
            tracing::warn!(%error, "checkpoint failed; the next one tries again");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_on_is_to_begin_anew_after_as_much_again() {
        let mut pages = Pages { last: 0, due: LONG };
        let due = |pages: &mut Pages, at: &[u32]| -> Vec<bool> {
            at.iter().map(|at| pages.are_due(*at)).collect()
        };
        assert_eq!(due(&mut pages, &[1, LONG - 1, LONG, LONG + 9]), [false, false, true, false]);
        // It began anew.
        assert_eq!(due(&mut pages, &[9, LONG, LONG + 1]), [false, true, false]);
        // Somebody reads an old state.
        assert_eq!(due(&mut pages, &[2 * LONG, 3 * LONG - 1, 3 * LONG]), [true, false, true]);
        assert_eq!(due(&mut pages, &[3, LONG + 5, LONG + 6]), [false, true, false]);
    }
}
