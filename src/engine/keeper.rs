//! The keeper of the lease: renews it well before it ends, takes shards that nobody owns,
//! and gives up what is more than this node's even part.

use std::time::Duration;

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::input::Input;
use crate::{
    domain::shard::Shards,
    store::{NodeKey, Store},
};

/// Between two renewals, and after one that failed.
const INTERVAL: Duration = Duration::from_secs(1);
/// So long before a lease ends its holder stops: the rates of two clocks may differ, and a
/// request may be on its way.
const MARGIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    /// Tells which shards have nothing under way any more, of those that are given up.
    pub(super) given_up: mpsc::UnboundedReceiver<Shards>,
    /// Wakes it when others have come, gone or given up shards.
    pub(super) news: std::sync::Arc<Notify>,
}

impl Keeper {
    /// The loop; it ends where the lease is for ever.
    pub(super) async fn run(mut self) {
        let (mut node, mut quiet, mut asked) = (None, Shards::default(), Shards::default());
        loop {
            let begun = Instant::now();
            if self.inputs.is_closed() {
                return;
            }
            if let Ok(lease) = self.store.renew_lease(node, &quiet).await {
                if node.is_some_and(|node: NodeKey| node != lease.node) {
                    tracing::warn!("the others gave this node up; it begins anew");
                }
                if node != Some(lease.node) || !quiet.is_empty() {
                    asked = Shards::default();
                }
                node = Some(lease.node);
                let given_back = std::mem::take(&mut quiet);
                let until = lease.valid_for.map(|span| begun + span.saturating_sub(MARGIN));
                let surplus = lease.shards.iter().take(lease.surplus).collect();
                if self.inputs.send(Input::Leased { lease, until, given_back }).is_err()
                    || until.is_none()
                {
                    return;
                }
                if asked.is_empty() && lease.surplus > 0 {
                    asked = surplus;
                    let _ = self.inputs.send(Input::GiveUp(asked));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = self.news.notified() => {}
                Some(shards) = self.given_up.recv() => quiet = shards,
            }
        }
    }
}
