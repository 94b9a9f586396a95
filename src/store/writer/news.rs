//! What a commit tells of, and who is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::{Notify, mpsc};

use super::arrival::Commit;
use crate::{
    domain::id::TenantKey,
    store::{
        heads::Heads,
        hints::{Announcer, Hint},
    },
};

/// Who is told of commits.
pub(in crate::store) struct Told {
    heads: Heads,
    /// What each commit brought.
    accepted: mpsc::Sender<Vec<Commit>>,
    /// Other nodes.
    announcer: Announcer,
    /// Wakes who makes deliveries that were left for later.
    pub(super) expansions: Arc<Notify>,
}

impl Told {
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
