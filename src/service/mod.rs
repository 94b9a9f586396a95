//! The use cases. The only layer that combines store, engine and domain; every
//! transport calls it and adds nothing of its own but its shapes.

pub mod api_keys;
pub mod auth;
pub mod delivery_stats;
mod destinations;
pub mod diverted_events;
mod diverted_jobs;
pub mod event_lists;
pub mod event_logs;
mod event_type;
pub mod event_types;
pub mod events;
pub mod explanations;
mod feed;
mod idempotency;
pub mod matcher;
mod open_tails;
mod paging;
pub mod quotas;
pub mod scope;
mod tail;
pub mod tenant_settings;
mod tenants;
mod webhook_changes;
mod webhook_notices;
pub mod webhook_pings;
mod webhook_query;
mod webhook_secrets;
mod webhook_states;
pub mod webhooks;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use self::{
    api_keys::ApiKeys,
    auth::{Access, Auth},
    diverted_events::DivertedEvents,
    event_logs::EventLogs,
    event_types::EventTypes,
    events::Events,
    quotas::Quotas,
    scope::Scopes,
    tenant_settings::TenantAdmin,
    tenants::Tenants,
    webhooks::Webhooks,
};
use crate::{
    engine::{Clock, Engine},
    sender::HttpSender,
    store::Store,
};

/// Bounds of what clients may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Tails that are open at once. Default 1000.
    pub tails: usize,
    /// Changes that a live tail may lag behind before its client counts as slow.
    /// Default 10000.
    pub tail_lag: i64,
    /// Single deliveries that one request for statistics may read, at the ends of its
    /// range. Default 500000.
    pub stats_rows: usize,
    /// Whether a mail server is configured; without one no webhook can ask for mails, but for
    /// those of SuperOffice.
    /// Default no.
    pub mail: bool,
    /// How long diverted events are kept. Default 30 days.
    pub retention: Duration,
    /// What a tenant may take that does not say.
    pub quotas: Quotas,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tails: 1_000,
            tail_lag: 10_000,
            stats_rows: 500_000,
            mail: false,
            retention: Duration::from_secs(30 * 24 * 3600),
            quotas: Quotas::default(),
        }
    }
}

/// All services, made from the same parts.
#[derive(Clone)]
pub struct Services {
    /// Makes callers of credentials.
    pub auth: Auth,
    /// Turns callers into scopes.
    pub scopes: Scopes,
    /// Webhooks.
    pub webhooks: Webhooks,
    /// Event types.
    pub event_types: EventTypes,
    /// Events.
    pub events: Events,
    /// Diverted events.
    pub diverted_events: DivertedEvents,
    /// The delivery log.
    pub event_logs: EventLogs,
    /// Credentials.
    pub api_keys: ApiKeys,
    /// Tenants.
    pub tenants: TenantAdmin,
}

impl Services {
    /// Puts the services together. `access` says who is let in. Once `draining` is cancelled, publishes are refused
    /// and tails end, both with `SERVER_DRAINING`.
    pub fn new(
        store: Store,
        engine: Engine,
        sender: Arc<HttpSender>,
        clock: Arc<dyn Clock>,
        access: Access,
        limits: &Limits,
        draining: CancellationToken,
    ) -> Self {
        let tenants = Arc::new(Tenants::new(store.clone(), Arc::clone(&clock)));
        let open = access.is_open();
        let auth = Auth::new(store.clone(), access, Arc::clone(&clock));
        let parts = (store.clone(), auth.clone(), Arc::clone(&tenants));
        let diverted_events = DivertedEvents::new(
            store.clone(),
            engine.clone(),
            Arc::clone(&clock),
            limits.retention,
        );
        Self {
            api_keys: ApiKeys::new(parts.0, parts.1, parts.2, open, Arc::clone(&clock)),
            auth,
            tenants: TenantAdmin::new(
                store.clone(),
                Arc::clone(&tenants),
                open,
                Arc::clone(&clock),
            ),
            scopes: Scopes::new(tenants, open, limits.quotas),
            webhooks: Webhooks::new(
                store.clone(),
                engine.clone(),
                sender,
                Arc::clone(&clock),
                limits.mail,
                diverted_events.clone(),
            ),
            diverted_events,
            event_types: EventTypes::new(store.clone(), Arc::clone(&clock)),
            events: Events::new(store.clone(), Arc::clone(&clock), draining.clone()),
            event_logs: EventLogs::new(store, engine, clock, limits, draining),
        }
    }
}
