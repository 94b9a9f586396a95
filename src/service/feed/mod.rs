//! One reader of a tenant's journal for all tails that follow it closely.
//!
//! The first tail that has reached the head starts the feed of its tenant, and the last one
//! to leave ends it. A feed waits for the head to move and for a follower that wants more,
//! reads, and keeps the newest pages (`window`) for its followers, each of which takes them
//! when it can. Who has fallen out of the window reads the journal by itself until it is
//! inside again: a slow tail costs nobody else anything.

mod pace;
mod window;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) use self::window::Next;
use self::{pace::Pace, window::Window};
use crate::{
    domain::id::{Position, TenantKey},
    store::{JournalPage, Store},
};

/// Entries read at a time.
pub(super) const PAGE: usize = 500;
/// Wait before the journal is read again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Where nothing is read for so long, no page is kept.
const KEPT: Duration = Duration::from_secs(5);

/// The feeds of all tenants. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feeds {
    store: Store,
    by_tenant: Arc<Mutex<HashMap<TenantKey, Arc<Feed>>>>,
}

struct Feed {
    shared: Arc<Shared>,
    /// Where the window ends.
    end: watch::Receiver<Position>,
    _until_dropped: DropGuard,
}

/// What the reader and its followers share.
struct Shared {
    window: Mutex<Window>,
    followers: AtomicU32,
    /// Followers that have all that was read.
    waiting: AtomicU32,
    /// One of them has just come.
    wanted: Notify,
    /// Somebody knows that there is more to read.
    look: Notify,
}

impl Shared {
    fn new(position: Position) -> Self {
        Self {
            window: Mutex::new(Window::at(position)),
            followers: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            wanted: Notify::new(),
            look: Notify::new(),
        }
    }

    /// Waits, and keeps no page where that takes long.
    async fn rest<T>(&self, until: impl Future<Output = T>) -> T {
        tokio::pin!(until);
        tokio::select! {
            done = &mut until => return done,
            () = sleep(KEPT) => self.window.lock().clear(),
        }
        until.await
    }
}

/// A follower that waits; it does so no longer once this is dropped.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn on(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        shared.wanted.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A tail that follows a feed.
pub(super) struct Follower {
    tenant: TenantKey,
    feed: Arc<Feed>,
    end: watch::Receiver<Position>,
    by_tenant: Arc<Mutex<HashMap<TenantKey, Arc<Feed>>>>,
}

impl Feeds {
    pub(super) fn new(store: &Store) -> Self {
        Self { store: store.clone(), by_tenant: Arc::default() }
    }

    /// Follows the feed of a tenant, where its window goes back to a position. Where there is
    /// no feed, who has read up to the head starts it.
    pub(super) fn follow(
        &self,
        tenant: TenantKey,
        position: Position,
        at_head: bool,
    ) -> Option<Follower> {
        let mut by_tenant = self.by_tenant.lock();
        let feed = match by_tenant.get(&tenant) {
            Some(feed) if feed.shared.window.lock().start() > position => return None,
            Some(feed) => Arc::clone(feed),
            None if at_head => {
                let feed = Arc::new(self.start(tenant, position));
                by_tenant.insert(tenant, Arc::clone(&feed));
                feed
            }
            None => return None,
        };
        feed.shared.followers.fetch_add(1, Ordering::Relaxed);
        let (end, by_tenant) = (feed.end.clone(), Arc::clone(&self.by_tenant));
        Some(Follower { tenant, feed, end, by_tenant })
    }

    fn start(&self, tenant: TenantKey, position: Position) -> Feed {
        let shared = Arc::new(Shared::new(position));
        let (sender, end) = watch::channel(position);
        // Registered before reading: what is written from here on is a change.
        let head = self.store.watch_head(tenant);
        let reader = Reader {
            store: self.store.clone(),
            tenant,
            head,
            shared: Arc::clone(&shared),
            end: sender,
        };
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(reader.run()));
        Feed { shared, end, _until_dropped: ended.drop_guard() }
    }
}

impl Follower {
    /// What there is after a position.
    pub(super) fn next(&self, position: Position) -> Next {
        self.feed.shared.window.lock().next(position)
    }

    /// Waits until there is something after a position. It fails when the process ends.
    pub(super) async fn wait(&mut self, position: Position) -> Result<(), watch::error::RecvError> {
        let _waiting = Waiting::on(&self.feed.shared);
        self.end.wait_for(|end| *end > position).await.map(drop)
    }

    /// Has the journal read, whatever is known of its head.
    pub(super) fn look(&self) {
        self.feed.shared.look.notify_one();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Under the lock, so that nobody joins what ends.
        let mut by_tenant = self.by_tenant.lock();
        if self.feed.shared.followers.fetch_sub(1, Ordering::Relaxed) == 1 {
            by_tenant.remove(&self.tenant);
        }
    }
}

/// The task of a feed.
struct Reader {
    store: Store,
    tenant: TenantKey,
    head: watch::Receiver<Position>,
    shared: Arc<Shared>,
    end: watch::Sender<Position>,
}

impl Reader {
    async fn run(mut self) {
        let mut pace = Pace::new(Instant::now());
        loop {
            self.until_wanted().await;
            self.head.mark_unchanged();
            let before = *self.end.borrow();
            let read = self.read(before).await;
            let (more, end) = {
                let mut window = self.shared.window.lock();
                (window.push(read), window.end())
            };
            if end > before {
                self.end.send_replace(end);
                let followers = self.shared.followers.load(Ordering::Relaxed);
                sleep_until(pace.next(followers, Instant::now())).await;
            }
            if !more && self.until_more().await.is_err() {
                // The writer is gone only when the process ends.
                return;
            }
        }
    }

    /// Waits for a follower that has all that was read: what nobody takes is not read.
    async fn until_wanted(&self) {
        while self.shared.waiting.load(Ordering::Acquire) == 0 {
            self.shared.rest(self.shared.wanted.notified()).await;
        }
    }

    async fn read(&self, after: Position) -> JournalPage {
        loop {
            match self.store.journal_after(self.tenant, after, PAGE).await {
                Ok(page) => return page,
                // The database is away: all tails wait for it.
                Err(_) => sleep(AFTER_ERROR).await,
            }
        }
    }

    async fn until_more(&mut self) -> Result<(), watch::error::RecvError> {
        let Self { head, shared, .. } = self;
        let more = async {
            tokio::select! {
                changed = head.changed() => changed,
                () = shared.look.notified() => Ok(()),
            }
        };
        shared.rest(more).await
    }
}
