//! Tenants as this node knows them: webhooks, event types and the index that
//! matches events, kept in memory and brought up to date by version.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use uuid::Uuid;

use super::{event_type::EventType, matcher::Matcher, quotas::Taken};
use crate::{
    domain::{
        catalogue,
        error::{Error, Reason, Result},
        event::Event,
        id::{TenantId, TenantKey, WebhookId, WebhookKey},
        tenant::TenantSettings,
        webhook::Webhook,
    },
    engine::Clock,
    store::{ConfigChanges, Store, Target},
};

/// All tenants that were entered since the start.
pub(super) struct Tenants {
    store: Store,
    clock: Arc<dyn Clock>,
    known: RwLock<HashMap<TenantId, Arc<TenantConfig>>>,
}

impl Tenants {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: RwLock::default() }
    }

    /// The tenant of that id. One that does not exist is made where `open`, else it is
    /// `TENANT_NOT_FOUND`.
    pub(super) async fn enter(&self, id: &TenantId, open: bool) -> Result<Arc<TenantConfig>> {
        if let Some(known) = self.known.read().get(id) {
            return Ok(Arc::clone(known));
        }
        let tenant = if open {
            self.store.ensure_tenant(id, self.clock.now()).await?
        } else {
            let missing = || Error::new(Reason::TenantNotFound, "no such tenant");
            self.store.tenant(id).await?.ok_or_else(missing)?
        };
        let config = TenantConfig {
            id: id.clone(),
            key: tenant.key,
            state: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
            taken: Taken::default(),
        };
        config.refresh(&self.store).await?;
        Ok(Arc::clone(self.known.write().entry(id.clone()).or_insert_with(|| Arc::new(config))))
    }
}

impl Tenants {
    /// Brings a tenant up to date, where it is in use.
    pub(super) async fn refresh(&self, id: &TenantId) -> Result<()> {
        let known = self.known.read().get(id).cloned();
        match known {
            Some(known) => known.refresh(&self.store).await,
            None => Ok(()),
        }
    }
}

/// One tenant's configuration.
pub(super) struct TenantConfig {
    pub(super) id: TenantId,
    pub(super) key: TenantKey,
    /// What of its quotas is taken.
    pub(super) taken: Taken,
    state: RwLock<State>,
    /// Of several that find it stale at once, one reads.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    version: i64,
    settings: TenantSettings,
    matcher: Matcher,
    by_id: HashMap<WebhookId, WebhookKey>,
    /// The tenant's own event types, and the standard ones that it has changed.
    event_types: HashMap<String, Arc<EventType>>,
}

impl TenantConfig {
    /// Reads what changed since the known version.
    pub(super) async fn refresh(&self, store: &Store) -> Result<()> {
        let _one = self.refreshing.lock().await;
        let since = self.state.read().version;
        let changes = store.config_since(self.key, since).await?;
        // Schemas are compiled before the lock is taken.
        let types: Vec<_> = (changes.event_types.iter())
            .map(|(metadata, exists)| {
                (metadata.event_name.clone(), exists.then(|| EventType::new(metadata.clone())))
            })
            .collect();
        self.state.write().apply(changes, types);
        Ok(())
    }

    /// Reads what changed, if anything did: for answers that must be current.
    pub(super) async fn refresh_if_stale(&self, store: &Store) -> Result<()> {
        let current = store.tenant(&self.id).await?.map_or(0, |tenant| tenant.config_version);
        if self.state.read().version < current { self.refresh(store).await } else { Ok(()) }
    }

    /// What is set of it, as far as it is known.
    pub(super) fn settings(&self) -> TenantSettings {
        self.state.read().settings.clone()
    }

    pub(super) fn webhook_count(&self) -> usize {
        self.state.read().matcher.webhooks().len()
    }

    pub(super) fn version(&self) -> i64 {
        self.state.read().version
    }

    /// The webhooks that want an event. Its payload is not read under the lock.
    pub(super) fn matching(&self, event: &Event) -> Vec<Target> {
        let candidates = self.state.read().matcher.candidates(event);
        candidates.that_want(&event.payload)
    }

    pub(super) fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        let state = self.state.read();
        state.by_id.get(&id).and_then(|key| state.matcher.webhooks().get(key)).cloned()
    }

    /// The webhook that a delivery queue belongs to.
    pub(super) fn webhook_of_group(&self, consumer_group_id: Uuid) -> Option<Arc<Webhook>> {
        let state = self.state.read();
        let mut webhooks = state.matcher.webhooks().values();
        webhooks.find(|webhook| webhook.consumer_group_id == consumer_group_id).cloned()
    }

    pub(super) fn numbered_webhook(&self, number: i32) -> Option<Arc<Webhook>> {
        self.state
            .read()
            .matcher
            .webhooks()
            .values()
            .find(|webhook| webhook.number == number)
            .cloned()
    }

    /// All webhooks, in the order of their making.
    pub(super) fn webhooks(&self) -> Vec<Arc<Webhook>> {
        let mut webhooks: Vec<_> = self.state.read().matcher.webhooks().values().cloned().collect();
        webhooks.sort_unstable_by_key(|webhook| webhook.key);
        webhooks
    }

    /// Whether any webhook names exactly this event type, be it stopped.
    pub(super) fn is_named(&self, event_name: &str) -> bool {
        let state = self.state.read();
        let mut webhooks = state.matcher.webhooks().values();
        webhooks.any(|w| w.spec.event_names.iter().any(|name| name == event_name))
    }

    /// An event type of the tenant, standard ones included.
    pub(super) fn event_type(&self, name: &str) -> Option<Arc<EventType>> {
        let own = self.state.read().event_types.get(name).cloned();
        own.or_else(|| EventType::standard(name))
    }

    /// All event types, by name.
    pub(super) fn event_types(&self) -> Vec<Arc<EventType>> {
        let state = self.state.read();
        let standard = catalogue::STANDARD_EVENTS
            .iter()
            .filter(|name| !state.event_types.contains_key(**name));
        let mut all: Vec<_> = standard.filter_map(|name| EventType::standard(name)).collect();
        all.extend(state.event_types.values().cloned());
        all.sort_unstable_by(|a, b| a.metadata.event_name.cmp(&b.metadata.event_name));
        all
    }
}

impl State {
    fn apply(&mut self, changes: ConfigChanges, types: Vec<(String, Option<Arc<EventType>>)>) {
        for webhook in changes.webhooks {
            let known = self.matcher.webhooks().get(&webhook.key);
            if known.is_some_and(|known| known.version > webhook.version) {
                continue;
            }
            if webhook.delete_time.is_some() {
                self.matcher.remove(webhook.key);
                self.by_id.remove(&webhook.webhook_id);
                continue;
            }
            self.by_id.insert(webhook.webhook_id, webhook.key);
            self.matcher.insert(Arc::new(webhook));
        }
        for (name, event_type) in types {
            match event_type {
                Some(event_type) => drop(self.event_types.insert(name, event_type)),
                None => drop(self.event_types.remove(&name)),
            }
        }
        if changes.version >= self.version {
            (self.version, self.settings) = (changes.version, changes.settings);
        }
    }
}
