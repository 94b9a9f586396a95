//! Publishers: each has a node of its own, and goes to the next one where a call fails, until
//! all of its events are acknowledged.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tidings::grpc::proto::{
    BatchPublishEventsRequest, Event, event_service_client::EventServiceClient,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::support::api::event;

/// Name of the events that are for all webhooks.
pub(super) const FOR_ALL: &str = "for.all";
/// And of the others.
const FOR_SOME: &str = "for.some";
/// One event of so many is for all.
const ONE_OF: u64 = 4;
/// Ordering keys of each publisher.
const KEYS: u64 = 10;
/// Between two calls of a publisher.
const PACE: Duration = Duration::from_millis(80);
/// How long a publisher waits for an answer. A node that is stopped gives none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Event `n` of a publisher.
fn id(publisher: u64, n: u64) -> Uuid {
    Uuid::from_u64_pair(publisher + 1, n)
}

/// Whether it is for all webhooks.
pub(super) fn is_for_all(event: Uuid) -> bool {
    event.as_u64_pair().1.is_multiple_of(ONE_OF)
}

/// Its ordering key.
pub(super) fn ordering_key(event: Uuid) -> String {
    let (publisher, n) = event.as_u64_pair();
    format!("{publisher}.{}", n % KEYS)
}

fn numbered(publisher: u64, n: u64) -> Event {
    let id = id(publisher, n);
    let name = if is_for_all(id) { FOR_ALL } else { FOR_SOME };
    Event {
        event_id: id.to_string(),
        ordering_key: ordering_key(id),
        ..event(name, &format!(r#"{{"n":{n}}}"#))
    }
}

/// See the module.
pub(super) struct Publishers {
    stop: CancellationToken,
    running: JoinSet<Vec<Uuid>>,
}

impl Publishers {
    /// Starts one on each node.
    pub(super) fn start(nodes: &[Channel], seed: u64) -> Self {
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        for publisher in 0..nodes.len() as u64 {
            running.spawn(publish(publisher, nodes.to_vec(), seed, stop.clone()));
        }
        Self { stop, running }
    }

    /// Stops them; gives all events, each of which was acknowledged.
    pub(super) async fn stop(self) -> Vec<Uuid> {
        self.stop.cancel();
        self.running.join_all().await.concat()
    }
}

async fn publish(
    publisher: u64,
    nodes: Vec<Channel>,
    seed: u64,
    stop: CancellationToken,
) -> Vec<Uuid> {
    let mut chance = StdRng::seed_from_u64(seed.wrapping_add(publisher));
    let mut count = 0;
    while !stop.is_cancelled() {
        let more = chance.random_range(1..=6);
        let events = (count..count + more).map(|n| numbered(publisher, n)).collect();
        let request = BatchPublishEventsRequest { events, atomic: true, ..Default::default() };
        let mut turn = publisher as usize;
        while !is_acknowledged(&nodes[turn % nodes.len()], request.clone()).await {
            turn += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        count += more;
        tokio::time::sleep(PACE).await;
    }
    (0..count).map(|n| id(publisher, n)).collect()
}

async fn is_acknowledged(on: &Channel, request: BatchPublishEventsRequest) -> bool {
    let mut events = EventServiceClient::new(on.clone());
    let asked = tokio::time::timeout(TIMEOUT, events.batch_publish_events(request)).await;
    matches!(asked, Ok(Ok(_)))
}
