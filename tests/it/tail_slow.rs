//! Clients that read too slowly, and tokens that are too old.

use std::sync::Arc;

use tidings::{
    engine::{Clock, Pruner},
    grpc::proto::{
        BatchPublishEventsRequest, SlowConsumerPolicy, TailEventLogsRequest, TailGapCause,
        tail_event_logs_response::Message,
    },
    server::SystemClock,
    store::{SecretKeys, Store},
};
use tonic::Code;

use super::support::{
    api::{event, webhook},
    database::Database,
    receiver::Receiver,
    server::TestServer,
    tailing::{Tailing, after, earliest, metadata, reason, sequences},
};

const EVENTS: usize = 4_000;

/// A server whose tail client has been told that it is live and then has not read
/// while thousands of changes were written.
async fn behind(policy: SlowConsumerPolicy) -> (TestServer, Receiver, Tailing) {
    let server = TestServer::with(|config| config.max_tail_lag = 500).await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let request = TailEventLogsRequest { slow_consumer_policy: policy.into(), ..earliest() };
    let mut tail = server.narrow_tail(request).await;
    tail.until_caught_up().await;
    for _ in 0..EVENTS / 1_000 {
        let events = (0..1_000).map(|_| event("a", r#"{"some":"payload"}"#)).collect();
        let request = BatchPublishEventsRequest { events, ..Default::default() };
        server.events().batch_publish_events(request).await.expect("published");
    }
    receiver.wait_for(EVENTS).await;
    (server, receiver, tail)
}

#[tokio::test]
async fn a_slow_client_that_catches_up_misses_nothing() {
    let (_server, _receiver, mut tail) = behind(SlowConsumerPolicy::CatchUp).await;
    let (mut seen, mut fell, mut caught_up) = (Vec::new(), 0, 0);
    while seen.len() < EVENTS * 2 || caught_up < fell {
        match tail.message().await {
            Message::EventLogs(batch) => seen.extend(sequences(&batch.changes)),
            Message::FellBehind(behind) => {
                assert!(behind.lag_changes > 500);
                fell += 1;
            }
            Message::CaughtUp(_) => caught_up += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(fell >= 1, "it was told that it fell behind");
    assert_eq!(seen, (1..=EVENTS as i64 * 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_client_that_skips_is_told_exactly_what_it_missed() {
    let (server, _receiver, mut tail) = behind(SlowConsumerPolicy::Skip).await;
    server.publish(event("a", "{}")).await;
    let (mut expected, mut gaps) = (1, 0);
    while expected <= EVENTS as i64 * 2 + 2 {
        match tail.message().await {
            Message::EventLogs(batch) => {
                for sequence in sequences(&batch.changes) {
                    assert_eq!(sequence, expected);
                    expected += 1;
                }
            }
            Message::Gap(gap) => {
                assert_eq!(gap.cause(), TailGapCause::SlowConsumer);
                assert!(gap.start_time.is_some() && gap.end_time.is_some());
                expected += gap.skipped_count;
                gaps += 1;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(gaps >= 1);
}

#[tokio::test]
async fn a_slow_client_that_wants_to_be_disconnected_can_resume() {
    let (server, _receiver, mut tail) = behind(SlowConsumerPolicy::Disconnect).await;
    let mut seen = Vec::new();
    let end = loop {
        match tail.next().await {
            Ok(Some(Message::EventLogs(batch))) => seen.extend(sequences(&batch.changes)),
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!((end.code(), reason(&end).as_str()), (Code::ResourceExhausted, "SLOW_CONSUMER"));
    let mut resumed = server.tail(after(&metadata(&end, "resumeToken"))).await.expect("resumes");
    seen.extend(sequences(&resumed.until_caught_up().await));
    assert_eq!(seen, (1..=EVENTS as i64 * 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_token_older_than_retention_is_out_of_range_and_the_oldest_one_works() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.until_caught_up().await;
    let old = tail.token.clone();
    server.publish(event("a", "{}")).await;
    tail.changes(2).await;
    let database = server.stop_and_keep().await;
    assert_eq!(prune_all(&database).await, (2, 1));

    let server = TestServer::reopen(database).await;
    let expired = server.tail(after(&old)).await.err().expect("too old");
    assert_eq!(
        (expired.code(), reason(&expired).as_str()),
        (Code::OutOfRange, "RESUME_TOKEN_EXPIRED")
    );
    let oldest = metadata(&expired, "oldestResumeToken");
    let mut tail = server.tail(after(&oldest)).await.expect("resumes");
    server.publish(event("a", "{}")).await;
    assert_eq!(sequences(&tail.changes(2).await), [3, 4], "positions are never used again");
}

/// Retention of no time at all: everything settled goes. Gives how many entries and events.
pub(crate) async fn prune_all(database: &Database) -> (u64, u64) {
    let opened = Store::open(&database.parsed(), SecretKeys::default()).await;
    let (store, _commits) = opened.expect("opens");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pruner = Pruner::new(store, clock, std::time::Duration::ZERO);
    pruner.run_once().await.expect("prunes")
}
