//! `max_allowed_connections` is kept, whatever happens to the deliveries.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, DivertedEventSelector, ReplayDivertedEventsRequest, Webhook,
};
use tokio::sync::Semaphore;

use super::support::{
    api::{event, http, quick_retries, update, webhook},
    receiver::{Received, Receiver, Reply},
    server::TestServer,
};

const LIMIT: i32 = 3;
const EVENTS: usize = 200;

/// Of twenty requests, some fail, some are reset, one is never answered.
fn succeeds(index: usize) -> bool {
    !matches!(index % 20, 3 | 8 | 13 | 17)
}

fn reply(request: &Received) -> Reply {
    match request.index % 20 {
        3 => Reply::never(),
        8 => Reply::reset(),
        13 => Reply::status(503),
        17 => Reply::status(429).header("retry-after", "0"),
        _ => Reply::status(200).after(Duration::from_millis(1)),
    }
}

async fn publish(server: &TestServer, first: usize) {
    let events = (first..first + EVENTS).map(|n| event("a", &format!("{{\"n\":{n}}}")));
    let request =
        BatchPublishEventsRequest { events: events.collect(), atomic: true, ..Default::default() };
    server.events().batch_publish_events(request).await.expect("published");
}

async fn all_arrive(receiver: &Receiver, events: usize) {
    receiver
        .wait_until("each arrived with success", |received| {
            let ok = received.iter().filter(|r| succeeds(r.index));
            ok.map(|r| r.json()["data"]["n"].to_string()).collect::<HashSet<_>>().len() == events
        })
        .await;
}

#[tokio::test]
async fn the_limit_holds_through_retries_timeouts_restarts_and_replays() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(reply).await;
    let mut hook = webhook("w", &receiver.url(), &["a"]);
    hook.max_allowed_connections = Some(LIMIT);
    hook.retry_policy = Some(quick_retries(1_000));
    http(&mut hook).timeout = Some(prost_types::Duration { seconds: 0, nanos: 200_000_000 });
    let hook = server.create(hook).await;

    // Retries and timeouts, and a restart in the middle of them.
    publish(&server, 0).await;
    receiver.wait_for(EVENTS / 2).await;
    let server = server.restart().await;
    publish(&server, EVENTS).await;
    all_arrive(&receiver, 2 * EVENTS).await;

    // What waits when the webhook is stopped is diverted, and replayed while more comes.
    publish(&server, 2 * EVENTS).await;
    let stop = Webhook { enabled: Some(false), etag: String::new(), ..hook.clone() };
    server.update(update(stop, &["enabled"])).await;
    let start = Webhook { enabled: Some(true), etag: String::new(), ..hook };
    server.update(update(start, &["enabled"])).await;
    publish(&server, 3 * EVENTS).await;
    let replay = || ReplayDivertedEventsRequest {
        selector: Some(DivertedEventSelector {
            event_names: vec!["a".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let everything = all_arrive(&receiver, 4 * EVENTS);
    tokio::pin!(everything);
    loop {
        // The last ones may be diverted after the replay has begun: it is asked for again.
        server.diverted_events().replay_diverted_events(replay()).await.expect("a job");
        tokio::select! {
            () = &mut everything => break,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    assert!(receiver.max_open() <= LIMIT as usize, "{} were open at once", receiver.max_open());
}

#[tokio::test]
async fn a_destination_that_takes_its_time_gets_all_the_connections_that_it_may_have() {
    const MANY: usize = 40;
    let server = TestServer::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let mut receivers = Vec::new();
    for n in 0..12 {
        let held = Arc::clone(&gate);
        let receiver = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
        let mut hook = webhook(&format!("w{n}"), &receiver.url(), &["a"]);
        hook.max_allowed_connections = Some(MANY as i32);
        server.create(hook).await;
        receivers.push(receiver);
    }
    publish(&server, 0).await;
    for receiver in &receivers {
        receiver.wait_for(MANY).await;
    }
    gate.close();
    for receiver in &receivers {
        receiver.wait_for(EVENTS).await;
        assert_eq!(receiver.max_open(), MANY);
    }
}
