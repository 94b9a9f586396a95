//! Tails that follow the log together: it is read once for all of them, and each sees it as
//! if it were alone.

use tidings::grpc::proto::{
    BatchPublishEventsRequest, DeliveryStatus, EventLogChange, EventLogFilter,
    TailEventLogsRequest, View,
};

use super::support::{
    api::{event, webhook},
    receiver::Receiver,
    server::TestServer,
    tailing::{Tailing, after, earliest, sequences},
};

const ROUNDS: usize = 6;
const EVENTS: usize = 40;

async fn publish_round(server: &TestServer, names: [&str; 2]) {
    let named = |i| event(names[i % 2], "{}");
    let events = (0..EVENTS).map(named).collect();
    let request = BatchPublishEventsRequest { events, ..Default::default() };
    server.events().batch_publish_events(request).await.expect("published");
}

/// Whether a tail is to see a change.
type Takes = fn(&EventLogChange) -> bool;

/// What tails ask for, and what they are to see.
fn requests() -> Vec<(TailEventLogsRequest, Takes)> {
    let filtered = |filter| TailEventLogsRequest { filter: Some(filter), ..earliest() };
    let statuses = vec![DeliveryStatus::Succeeded.into()];
    let names = vec!["b.*".into()];
    vec![
        (earliest(), |_| true),
        (TailEventLogsRequest { max_batch_size: 1, ..earliest() }, |_| true),
        (TailEventLogsRequest { max_batch_size: 7, ..earliest() }, |_| true),
        (TailEventLogsRequest { max_batch_size: 500, ..earliest() }, |_| true),
        (TailEventLogsRequest { view: View::Full.into(), ..earliest() }, |_| true),
        (filtered(EventLogFilter { statuses, ..Default::default() }), |change| {
            change.event_log.as_ref().is_some_and(|r| r.status() == DeliveryStatus::Succeeded)
        }),
        (filtered(EventLogFilter { event_names: names, ..Default::default() }), |change| {
            change.event_log.as_ref().is_some_and(|r| r.event_name.starts_with("b."))
        }),
    ]
}

#[tokio::test]
async fn whatever_each_asks_for_and_whenever_it_came_it_sees_the_same_log() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let mut silent = server.narrow_tail(earliest()).await;
    silent.until_caught_up().await;
    let mut tails: Vec<(Tailing, Takes)> = Vec::new();
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            for (request, takes) in requests() {
                tails.push((server.tail(request).await.expect("a tail"), takes));
            }
        }
        publish_round(&server, ["a", "b.c"]).await;
    }
    receiver.wait_for(ROUNDS * EVENTS).await;
    // By a reader of its own, which follows nobody; it ends once all is settled.
    let total = ROUNDS * EVENTS * 2;
    let log = server.tail(earliest()).await.expect("a tail").changes(total).await;
    assert_eq!(sequences(&log), (1..=total as i64).collect::<Vec<_>>());

    for (at, (tail, takes)) in tails.iter_mut().enumerate() {
        let expected: Vec<_> = log.iter().filter(|change| takes(change)).collect();
        let seen = tail.changes(expected.len()).await;
        assert_eq!(seen.len(), expected.len(), "tail {at}");
        for (seen, expected) in seen.iter().zip(expected) {
            assert_eq!(seen.sequence, expected.sequence, "tail {at}");
            let shown = |change: &EventLogChange| {
                let record = change.event_log.as_ref().expect("a record");
                (record.event_log_id.clone(), record.status(), record.end_time)
            };
            assert_eq!(shown(seen), shown(expected), "tail {at}");
        }
    }
    assert_eq!(sequences(&silent.changes(total).await).len(), total, "it has missed nothing");
}

#[tokio::test]
async fn what_is_written_while_nobody_follows_is_seen_by_who_comes_back() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.until_caught_up().await;
    let mut expected = 1;
    for round in 1..=3 {
        publish_round(&server, ["a", "a"]).await;
        receiver.wait_for(EVENTS * (2 * round - 1)).await;
        let seen = sequences(&tail.changes(EVENTS * 2).await);
        assert_eq!(seen, (expected..expected + EVENTS as i64 * 2).collect::<Vec<_>>());
        expected += EVENTS as i64 * 2;
        let token = tail.token.clone();
        drop(tail);
        publish_round(&server, ["a", "a"]).await;
        receiver.wait_for(EVENTS * 2 * round).await;
        tail = server.tail(after(&token)).await.expect("a tail");
        let seen = sequences(&tail.changes(EVENTS * 2).await);
        assert_eq!(seen, (expected..expected + EVENTS as i64 * 2).collect::<Vec<_>>());
        expected += EVENTS as i64 * 2;
    }
}
