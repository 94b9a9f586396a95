//! Keys as this node knows them. A key that is used is read again every two seconds, so
//! that a revocation by another process is noticed by then; one by this process is noticed
//! at once. Only keys that exist are kept: what callers make up takes no room.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{
    domain::{
        api_key::{ApiKey, ApiKeyId},
        credential::TokenHash,
        error::Result,
        time::Timestamp,
    },
    engine::Clock,
    store::Store,
};

/// How long a key is believed to be as it was read.
pub(super) const FRESH: Duration = Duration::from_secs(2);
/// Keys that are kept.
const KEPT: usize = 10_000;

/// What a key is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lookup {
    Token(TokenHash),
    Id(ApiKeyId),
}

struct Known {
    state: RwLock<(Arc<ApiKey>, Timestamp)>,
    /// Of several that find it stale at once, one reads.
    reading: tokio::sync::Mutex<()>,
}

impl Known {
    fn fresh(&self, now: Timestamp) -> Option<Arc<ApiKey>> {
        let (key, read) = &*self.state.read();
        // A clock that was set back makes nothing fresh.
        (*read <= now && now.since(*read) < FRESH).then(|| Arc::clone(key))
    }

    /// Takes over what was read. A revocation is never taken back.
    fn update(&self, key: ApiKey, read: Timestamp) -> Arc<ApiKey> {
        let mut state = self.state.write();
        if state.0.revoke_time.is_none() {
            state.0 = Arc::new(key);
        }
        state.1 = read;
        Arc::clone(&state.0)
    }
}

pub(super) struct KnownKeys {
    store: Store,
    clock: Arc<dyn Clock>,
    known: RwLock<HashMap<Lookup, Arc<Known>>>,
    revocations: watch::Sender<()>,
}

impl KnownKeys {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let (revocations, _) = watch::channel(());
        Self { store, clock, known: RwLock::default(), revocations }
    }

    /// Whether a look-up was successful before: it costs next to nothing to ask again.
    pub(super) fn knows(&self, lookup: Lookup) -> bool {
        self.known.read().contains_key(&lookup)
    }

    /// A key, be it revoked or expired.
    pub(super) async fn find(&self, lookup: Lookup) -> Result<Option<Arc<ApiKey>>> {
        let known = self.known.read().get(&lookup).cloned();
        let Some(known) = known else { return self.learn(lookup).await };
        if let Some(key) = known.fresh(self.clock.now()) {
            return Ok(Some(key));
        }
        let _one = known.reading.lock().await;
        let now = self.clock.now();
        if let Some(key) = known.fresh(now) {
            return Ok(Some(key));
        }
        Ok(self.read(lookup).await?.map(|key| known.update(key, now)))
    }

    async fn learn(&self, lookup: Lookup) -> Result<Option<Arc<ApiKey>>> {
        let now = self.clock.now();
        let Some(key) = self.read(lookup).await?.map(Arc::new) else { return Ok(None) };
        let mut all = self.known.write();
        if all.len() >= KEPT {
            all.retain(|_, known| known.fresh(now).is_some());
        }
        if all.len() < KEPT {
            let (state, reading) = (RwLock::new((Arc::clone(&key), now)), Default::default());
            all.entry(lookup).or_insert_with(|| Arc::new(Known { state, reading }));
        }
        Ok(Some(key))
    }

    async fn read(&self, lookup: Lookup) -> Result<Option<ApiKey>> {
        match lookup {
            Lookup::Token(hash) => self.store.api_key_of_token(hash).await,
            Lookup::Id(id) => self.store.api_key(id).await,
        }
    }

    /// Takes note of a key that this process has revoked.
    pub(super) fn revoked(&self, key: &ApiKey) {
        let now = self.clock.now();
        for known in self.known.read().values() {
            let is_it = known.state.read().0.id == key.id;
            if is_it {
                known.update(key.clone(), now);
            }
        }
        self.revocations.send_replace(());
    }

    /// Watches for revocations by this process.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.revocations.subscribe()
    }
}
