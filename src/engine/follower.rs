//! The follower: tells the lanes what others do to the database: webhooks that another
//! process has changed, and entries of journals that another node has written.
//!
//! Hints say at once what to look at; whoever missed them all would find the same a moment
//! later.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Engine, input::Input};
use crate::{
    domain::{
        error::Result,
        id::{TenantKey, WebhookKey},
    },
    store::{Hint, Hints, Store, TenantState},
};

/// Between two looks without a hint, and after an error.
const INTERVAL: Duration = Duration::from_secs(1);
/// Webhooks read at a time at the start.
const PAGE: usize = 500;

/// See the module.
pub struct Follower {
    store: Store,
    engine: Engine,
    hints: Hints,
    /// The version of each tenant's configuration that the lanes know.
    known: HashMap<TenantKey, i64>,
}

impl Follower {
    /// Notes where all journals end. To be called before anything is published here: lanes
    /// that begin after this find the rest by themselves.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn begin(store: Store, engine: Engine) -> Result<Self> {
        // Listening begins first: what comes in between is looked at twice.
        let hints = store.hints().await;
        let states = store.tenant_states().await?;
        let known = states.iter().map(|state| (state.key, state.config_version)).collect();
        let follower = Self { store, engine, hints, known };
        follower.tell_heads(&states, true);
        Ok(follower)
    }

    /// The loop; it has told the lanes of all webhooks first. Errors do not end it.
    pub async fn run(mut self) {
        self.take_up_lanes().await;
        loop {
            let hint = tokio::select! {
                hint = self.hints.next() => hint,
                () = tokio::time::sleep(INTERVAL) => Hint::Missed,
            };
            match hint {
                Hint::Entries { tenant, first, last } => {
                    self.send(Input::Hinted { tenant, first, last });
                }
                Hint::Nodes => self.engine.nodes_changed.notify_one(),
                Hint::Configuration | Hint::Missed => {
                    if self.look().await.is_err() {
                        tokio::time::sleep(INTERVAL).await;
                    }
                }
            }
        }
    }

    /// Finds what has changed, and tells it.
    async fn look(&mut self) -> Result<()> {
        let states = self.store.tenant_states().await?;
        for TenantState { key, id, config_version, .. } in &states {
            let since = self.known.get(key).copied().unwrap_or(0);
            if since >= *config_version {
                continue;
            }
            let changes = self.store.config_since(*key, since).await?;
            for webhook in changes.webhooks {
                self.engine.configure(id.clone(), Arc::new(webhook));
            }
            self.known.insert(*key, changes.version);
        }
        self.tell_heads(&states, false);
        Ok(())
    }

    fn tell_heads(&self, states: &[TenantState], first: bool) {
        let heads = states.iter().map(|state| (state.key, state.head)).collect();
        self.send(Input::Heads { heads, first });
    }

    fn send(&self, input: Input) {
        let inputs: &mpsc::UnboundedSender<Input> = &self.engine.inputs;
        // An engine that has stopped needs to know nothing any more.
        let _ = inputs.send(input);
    }

    /// Tells the lanes of all webhooks; each lane then takes up what waits for it.
    async fn take_up_lanes(&self) {
        let mut after = WebhookKey(0);
        loop {
            match self.take_up_page(after).await {
                Ok(Some(last)) => after = last,
                Ok(None) => return,
                Err(_) => tokio::time::sleep(INTERVAL).await,
            }
        }
    }

    async fn take_up_page(&self, after: WebhookKey) -> Result<Option<WebhookKey>> {
        let tenants: HashMap<_, _> = self.store.tenants().await?.into_iter().collect();
        let (webhooks, last) = self.store.webhooks_after(after, PAGE).await?;
        for webhook in webhooks {
            if let Some(tenant) = tenants.get(&webhook.tenant_key) {
                self.engine.configure(tenant.clone(), Arc::new(webhook));
            }
        }
        Ok(last)
    }
}
