//! Syncing what is committed to a file. SQLite by itself would sync each commit before the
//! next transaction begins, and the writer would wait for the disk as long as it works. It
//! commits without that (`PRAGMA synchronous = NORMAL`), and the log is synced here: at once where
//! little waits to be written, or else on a thread of its own, while the next transaction is
//! written; commits that end meanwhile share the next sync. Nobody hears of a commit before it is
//! synced: neither its callers nor the engine nor tails, and a read that may have seen it waits.
//!
//! What is on the disk is the same as with `FULL`: the frames of a transaction, and then a
//! sync of the log. The log's checksums go on from frame to frame, so that what was not synced
//! is missing from its end, whatever the disk wrote first
//! (<https://www.sqlite.org/fileformat.html#the_write_ahead_log>).

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::news::{Audience, News};

/// Commits that may wait for a sync before the writer waits for it.
const COMMITS: usize = 4;

/// Called once everybody was told of a commit.
pub(super) type Then = Box<dyn FnOnce() + Send>;

/// When a commit is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// The database has done it.
    Already,
    /// Before anything else is written.
    Now,
    /// While the next transaction is written.
    Behind,
}

/// Syncs commits, and then has everybody told of them.
pub(in crate::store) struct Syncer {
    log: Arc<File>,
    audience: Arc<Audience>,
    commits: mpsc::Sender<Commit>,
    /// Of those that were sent, how many are not told yet.
    behind: Arc<AtomicUsize>,
    progress: Progress,
}

struct Commit {
    number: u64,
    news: News,
    then: Then,
}

/// How many commits there were, and how many of them are synced.
#[derive(Clone, Default)]
pub(in crate::store) struct Progress(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Counted before a commit is done: who has seen it sees its number.
    committed: AtomicU64,
    synced: watch::Sender<u64>,
}

impl Syncer {
    /// Starts the thread that syncs the log of a file. It ends with the writer.
    ///
    /// # Errors
    ///
    /// Where the log cannot be opened.
    pub(super) fn start(log: &Path, audience: Arc<Audience>) -> io::Result<Self> {
        // Nothing is written through it; where that matters, a handle syncs only what it may write.
        let log = Arc::new(OpenOptions::new().write(true).open(log)?);
        let (commits, queue) = mpsc::channel(COMMITS);
        let (behind, progress) = (Arc::default(), Progress::default());
        let syncer = Self { log, audience, commits, behind, progress };
        let (runtime, run) = (Handle::current(), syncer.run(queue));
        thread::spawn(move || runtime.block_on(run));
        Ok(syncer)
    }

    /// Notes that a commit is about to be done. One at a time, by who holds the writer.
    pub(super) fn begin(&self) {
        self.progress.0.committed.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that it failed.
    pub(super) fn failed(&self) {
        self.progress.0.committed.fetch_sub(1, Ordering::SeqCst);
        // Who waits for it looks again.
        self.progress.0.synced.send_modify(|_| {});
    }

    /// Has the commit that was begun last synced and everybody told. Returns when the next
    /// one may begin.
    pub(super) async fn tell(&self, sync: Synced, news: News, then: Then) {
        let number = self.progress.0.committed.load(Ordering::SeqCst);
        if sync == Synced::Behind || self.behind.load(Ordering::SeqCst) > 0 {
            self.behind.fetch_add(1, Ordering::SeqCst);
            // It ends only after its last commit.
            let _ = self.commits.send(Commit { number, news, then }).await;
            return;
        }
        if sync == Synced::Now {
            sync_log(&self.log);
        }
        self.progress.0.synced.send_replace(number);
        self.audience.tell(news).await;
        then();
    }

    /// The loop of the thread.
    fn run(&self, mut queue: mpsc::Receiver<Commit>) -> impl Future<Output = ()> + use<> {
        let (log, audience) = (Arc::clone(&self.log), Arc::clone(&self.audience));
        let (behind, progress) = (Arc::clone(&self.behind), self.progress.clone());
        async move {
            let mut commits = Vec::with_capacity(COMMITS);
            while queue.recv_many(&mut commits, COMMITS).await > 0 {
                sync_log(&log);
                let last = commits.last().map_or(0, |commit| commit.number);
                progress.0.synced.send_replace(last);
                for Commit { news, then, .. } in commits.drain(..) {
                    audience.tell(news).await;
                    then();
                    behind.fetch_sub(1, Ordering::SeqCst);
                }
            }
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// Waits until everything that is committed now is synced.
    pub(in crate::store) async fn catch_up(&self) {
        let Counts { committed, synced } = &*self.0;
        let seen = committed.load(Ordering::SeqCst);
        if *synced.borrow() < seen {
            let mut synced = synced.subscribe();
            // The sender is right here.
            let _ = synced.wait_for(|to| *to >= seen.min(committed.load(Ordering::SeqCst))).await;
        }
    }
}

fn sync_log(log: &File) {
    if let Err(error) = log.sync_data() {
        // What is in the log is not what will be there after a crash, and how much of it
        // will be only shows when it is read again.
        tracing::error!(%error, "the write-ahead log cannot be synced; nothing can go on");
        process::abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use parking_lot::Mutex;
    use tempfile::NamedTempFile;
    use tokio::sync::oneshot;

    use super::*;
    use crate::store::{heads::Heads, hints::Announcer};

    fn started() -> (NamedTempFile, Syncer) {
        let file = NamedTempFile::new().expect("a file");
        let (accepted, _) = mpsc::channel(1);
        let audience = Audience::new(Heads::default(), accepted, Announcer::start(None));
        let syncer = Syncer::start(file.path(), Arc::new(audience)).expect("starts");
        (file, syncer)
    }

    #[tokio::test]
    async fn commits_are_told_in_their_order_however_they_are_synced() {
        let (_file, syncer) = started();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (done, all) = oneshot::channel::<()>();
        let mut done = Some(done);
        let order = [Synced::Now, Synced::Behind, Synced::Already, Synced::Behind, Synced::Now];
        for (number, synced) in (0..100).zip(order.into_iter().cycle()) {
            let (told, done) = (Arc::clone(&told), done.take_if(|_| number == 99));
            syncer.begin();
            let then = move || {
                told.lock().push(number);
                drop(done);
            };
            syncer.tell(synced, News::default(), Box::new(then)).await;
        }
        // Dropped once the last one was told.
        let _ = all.await;
        assert_eq!(*told.lock(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_may_have_seen_a_commit_waits_until_it_is_synced_or_has_failed() {
        let (_file, syncer) = started();
        let progress = syncer.progress();
        assert!(progress.catch_up().now_or_never().is_some(), "nothing was committed");
        for synced in [Synced::Now, Synced::Behind] {
            syncer.begin();
            let reader = tokio::spawn({
                let progress = progress.clone();
                async move { progress.catch_up().await }
            });
            tokio::task::yield_now().await;
            assert!(progress.catch_up().now_or_never().is_none());
            syncer.tell(synced, News::default(), Box::new(|| {})).await;
            reader.await.expect("it goes on");
        }
        syncer.begin();
        let waiting = progress.catch_up();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        syncer.failed();
        waiting.await;
    }
}
