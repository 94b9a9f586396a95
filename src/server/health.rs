//! What the standard health service says: whether this node can do its work.
//!
//! A node that the database has not answered for a while is NOT_SERVING, so that callers
//! are led to others, and SERVING again as soon as it answers. [`LIVE`] apart: it says that
//! the process runs, and no more; starting it anew would not bring a database back.

use std::time::Duration;

use tokio::time::Instant;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{grpc, store::Store};

/// The name under which the process is SERVING as long as it runs.
pub(super) const LIVE: &str = "live";
/// Between two looks at the database.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sets all names, that of the server as a whole ('') among them, but for [`LIVE`].
pub(super) async fn set(health: &HealthReporter, status: ServingStatus) {
    for service in grpc::MOUNTED.iter().copied().chain([""]) {
        health.set_service_status(service, status).await;
    }
}

/// Follows the database; it has `grace` to answer.
pub(super) async fn follow(health: HealthReporter, store: Store, grace: Duration) {
    let (mut answered, mut serving) = (Instant::now(), true);
    loop {
        tokio::time::sleep(INTERVAL.min(grace)).await;
        let answers = tokio::time::timeout(grace, store.answers()).await;
        if answers == Ok(true) {
            answered = Instant::now();
        }
        let serves = answered.elapsed() < grace;
        if serves == serving {
            continue;
        }
        serving = serves;
        if serves {
            tracing::info!("the database answers again: SERVING");
            set(&health, ServingStatus::Serving).await;
        } else {
            tracing::error!("the database has not answered for {grace:?}: NOT_SERVING");
            set(&health, ServingStatus::NotServing).await;
        }
    }
}
