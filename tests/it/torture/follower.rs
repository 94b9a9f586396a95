//! Tails, one on each node, and one that goes from node to node. Each resumes with its last
//! token when it is cut off, and sees to it that no change is missing.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use prost::Message as _;
use tidings::grpc::proto::{
    EventLogChange, TailEventLogsRequest, event_log_service_client::EventLogServiceClient,
    tail_event_logs_response::Message,
};
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use super::PATIENCE;
use crate::support::tailing::{after, earliest};

/// Changes after which the one that goes around goes on.
const STAY: usize = 400;

/// What a tail has seen, a digest for each change: it sees very much.
type Digests = Arc<Mutex<Vec<u64>>>;

/// Tells changes apart.
pub(super) fn digest(change: &EventLogChange) -> u64 {
    let mut digest = DefaultHasher::new();
    change.encode_to_vec().hash(&mut digest);
    digest.finish()
}

/// See the module.
pub(super) struct Followers {
    seen: Vec<Digests>,
    running: JoinSet<()>,
}

impl Followers {
    /// Starts them.
    pub(super) fn start(nodes: &[Channel]) -> Self {
        let mut followers = Self { seen: Vec::new(), running: JoinSet::new() };
        for node in nodes {
            followers.follow(vec![node.clone()]);
        }
        followers.follow(nodes.to_vec());
        followers
    }

    fn follow(&mut self, nodes: Vec<Channel>) {
        let seen = Digests::default();
        self.seen.push(Arc::clone(&seen));
        self.running.spawn(follow(nodes, seen));
    }

    /// All of them come to have seen exactly this.
    pub(super) async fn assert_saw(mut self, all: &[u64]) {
        let complete = async {
            while self.seen.iter().any(|seen| seen.lock().len() < all.len()) {
                if let Some(ended) = self.running.try_join_next() {
                    ended.expect("a tail is as it should be");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, complete).await.expect("every tail is complete");
        for seen in &self.seen {
            assert!(*seen.lock() == all, "tails differ");
        }
    }
}

async fn follow(nodes: Vec<Channel>, seen: Digests) {
    let (mut token, mut turn) = (String::new(), 0);
    loop {
        let request = if token.is_empty() { earliest() } else { after(&token) };
        let stay = if nodes.len() > 1 { STAY } else { usize::MAX };
        match read(&nodes[turn % nodes.len()], request, stay, &mut token, &seen).await {
            Ok(()) => {}
            Err(status) => {
                // Without a reason it is the connection that broke.
                let info = status.get_details_error_info();
                let reason = info.map_or(String::new(), |info| info.reason);
                let expected = ["", "STORE_UNAVAILABLE", "SERVER_DRAINING"];
                assert!(expected.contains(&reason.as_str()), "{status}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        turn += 1;
    }
}

/// Reads until the stream ends, or so many changes have come.
async fn read(
    on: &Channel,
    request: TailEventLogsRequest,
    stay: usize,
    token: &mut String,
    seen: &Digests,
) -> Result<(), Status> {
    let mut logs = EventLogServiceClient::new(on.clone());
    let mut stream = logs.tail_event_logs(request).await?.into_inner();
    let mut count = 0;
    while count < stay
        && let Some(response) = stream.message().await?
    {
        match response.message {
            Some(Message::EventLogs(batch)) => {
                count += batch.changes.len();
                let mut seen = seen.lock();
                for change in batch.changes {
                    assert_eq!(change.sequence, seen.len() as i64 + 1, "without a gap");
                    seen.push(digest(&change));
                }
            }
            Some(Message::Gap(gap)) => panic!("something is left out: {gap:?}"),
            _ => {}
        }
        *token = response.resume_token;
    }
    Ok(())
}

/// The whole log.
pub(super) async fn export(on: &Channel) -> Vec<EventLogChange> {
    let request = TailEventLogsRequest { stop_when_caught_up: true, ..earliest() };
    let mut logs = EventLogServiceClient::new(on.clone());
    let mut stream = logs.tail_event_logs(request).await.expect("a tail").into_inner();
    let mut changes: Vec<EventLogChange> = Vec::new();
    while let Some(response) = stream.message().await.expect("a message") {
        if let Some(Message::EventLogs(batch)) = response.message {
            changes.extend(batch.changes);
        }
    }
    changes
}
