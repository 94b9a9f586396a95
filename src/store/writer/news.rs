//! What a commit tells of, and who is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::{Notify, mpsc};

use super::{
    arrival::Commit,
    syncer::{Synced, Syncer, Then},
};
use crate::{
    domain::id::TenantKey,
    store::{
        heads::Heads,
        hints::{Announcer, Hint},
    },
};

/// Who is told of commits.
pub(in crate::store) struct Audience {
    heads: Heads,
    /// What each commit brought.
    accepted: mpsc::Sender<Vec<Commit>>,
    /// Other nodes.
    announcer: Announcer,
    /// Wakes who makes deliveries that were left for later.
    pub(super) expansions: Arc<Notify>,
}

/// Tells of commits, in their order.
pub(super) struct Told {
    pub(super) audience: Arc<Audience>,
    /// Where the database is a file, whose commits are synced first.
    pub(super) syncer: Option<Syncer>,
}

impl Told {
    /// Notes that a commit is about to be done.
    pub(super) fn begin(&self) {
        if let Some(syncer) = &self.syncer {
            syncer.begin();
        }
    }

    /// Notes that it failed.
    pub(super) fn failed(&self) {
        if let Some(syncer) = &self.syncer {
            syncer.failed();
        }
    }

    /// Has everybody told of a commit, and then calls `then`: here and now, or once it is
    /// synced. Returns when the next one may begin.
    pub(super) async fn tell(&self, sync: Synced, news: News, then: Then) {
        match &self.syncer {
            Some(syncer) => syncer.tell(sync, news, then).await,
            None => {
                self.audience.tell(news).await;
                then();
            }
        }
    }
}

impl Audience {
    /// Who waits for the heads of journals, the engine, which hears what each commit brought
    /// in their order, and other nodes.
    pub(in crate::store) fn new(
        heads: Heads,
        accepted: mpsc::Sender<Vec<Commit>>,
        announcer: Announcer,
    ) -> Self {
        Self { heads, accepted, announcer, expansions: Arc::default() }
    }

    /// Tells them; to be called in the order of commits.
    pub(super) async fn tell(&self, news: News) {
        for Commit { tenant, first, last, .. } in news.commits.values() {
            self.heads.raise(*tenant, *last);
            self.announcer.tell(Hint::Entries { tenant: *tenant, first: *first, last: *last });
        }
        if news.configured.into_inner() {
            self.announcer.tell(Hint::Configuration);
        }
        if news.deferred {
            self.expansions.notify_one();
        }
        if !news.commits.is_empty() {
            // A closed channel means that the engine has stopped; recovery reads the rest.
            let _ = self.accepted.send(news.commits.into_values().collect()).await;
        }
    }
}

/// What a commit tells of.
#[derive(Default)]
pub(super) struct News {
    /// What was appended to the journals.
    pub(super) commits: BTreeMap<TenantKey, Commit>,
    /// Whether deliveries were left for later.
    pub(super) deferred: bool,
    /// Whether the configuration of a tenant was changed.
    pub(super) configured: AtomicBool,
}
