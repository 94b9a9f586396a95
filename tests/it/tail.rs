//! The live tail: where it starts, what it says, what it never skips.

use prost_types::Duration as ProtoDuration;
use tidings::grpc::proto::{
    ChangeKind, DeliveryStatus, EventLogFilter, TailEventLogsRequest, View,
    tail_event_logs_request::Start, tail_event_logs_response::Message,
};
use tonic::Code;

use super::support::{
    api::{event, quick_retries, webhook},
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::{after, earliest, reason, sequences},
};

#[tokio::test]
async fn a_live_tail_sees_every_change_in_order() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 500 } else { 200 })).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(quick_retries(2));
    server.create(hook).await;
    let mut tail = server.tail(TailEventLogsRequest::default()).await.expect("a tail");
    assert!(tail.until_caught_up().await.is_empty(), "nothing has happened yet");

    server.publish(event("a", "{}")).await;
    let changes = tail.changes(3).await;
    assert_eq!(sequences(&changes), [1, 2, 3]);
    let kinds: Vec<_> = changes.iter().map(|change| change.kind()).collect();
    assert_eq!(kinds, [ChangeKind::Accepted, ChangeKind::AttemptFailed, ChangeKind::Settled]);
    let records: Vec<_> = changes.iter().filter_map(|c| c.event_log.as_ref()).collect();
    let statuses: Vec<_> = records.iter().map(|record| record.status()).collect();
    use DeliveryStatus::{Pending, Retrying, Succeeded};
    assert_eq!(statuses, [Pending, Retrying, Succeeded]);
    assert!(records[1].next_attempt_time.is_some() && records[2].end_time.is_some());
    assert!(records.iter().all(|record| record.attempts.is_empty()), "BASIC has no attempts");
}

#[tokio::test]
async fn a_full_view_shows_the_attempts_up_to_each_change() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| match r.index {
        0 => Reply::status(500).body("broken"),
        _ => Reply::status(200).body("fine"),
    })
    .await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(quick_retries(2));
    server.create(hook).await;
    server.publish(event("a", "{}")).await;
    receiver.wait_for(2).await;
    let request = TailEventLogsRequest { view: View::Full.into(), ..earliest() };
    let changes = server.tail(request).await.expect("a tail").changes(3).await;
    let excerpts: Vec<Vec<String>> = changes
        .iter()
        .filter_map(|change| change.event_log.as_ref())
        .map(|record| {
            let responses = record.attempts.iter().filter_map(|attempt| attempt.response.clone());
            responses.map(|response| response.body_excerpt).collect()
        })
        .collect();
    assert_eq!(excerpts[1], ["broken"]);
    assert_eq!(excerpts[2], ["broken", "fine"]);
}

#[tokio::test]
async fn a_tail_starts_where_it_is_told_to() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    server.publish(event("a", "{}")).await;
    let mut first = server.tail(earliest()).await.expect("a tail");
    let changes = first.changes(2).await;
    assert_eq!(sequences(&changes), [1, 2]);
    let token = first.token.clone();
    let settled = changes[1].change_time;

    server.publish(event("a", "{}")).await;
    let mut resumed = server.tail(after(&token)).await.expect("a tail");
    assert_eq!(sequences(&resumed.changes(2).await), [3, 4]);
    let from_time = settled.map(Start::FromTime);
    let request = TailEventLogsRequest { start: from_time, ..Default::default() };
    let mut timed = server.tail(request).await.expect("a tail");
    assert_eq!(timed.changes(1).await[0].sequence, 2, "the first change at that time");
    let mut latest = server.tail(TailEventLogsRequest::default()).await.expect("a tail");
    assert!(latest.until_caught_up().await.is_empty());
    server.publish(event("a", "{}")).await;
    assert_eq!(latest.changes(1).await[0].sequence, 5);
}

#[tokio::test]
async fn a_filter_lets_through_what_fits_and_progress_moves_the_token() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let filter = EventLogFilter {
        event_names: vec!["b.*".into()],
        statuses: vec![DeliveryStatus::Succeeded.into()],
        ..Default::default()
    };
    let request = TailEventLogsRequest {
        filter: Some(filter),
        heartbeat_interval: Some(ProtoDuration { seconds: 1, nanos: 0 }),
        ..earliest()
    };
    let mut tail = server.tail(request).await.expect("a tail");
    tail.until_caught_up().await;
    let before = tail.token.clone();
    server.publish(event("a", "{}")).await;
    receiver.wait_for(1).await;
    // Filtered, but seen: the token has moved when the next heartbeat comes.
    while tail.token == before {
        let message = tail.next().await.expect("no error");
        assert!(matches!(message, Some(Message::Progress(_))), "{message:?}");
    }
    server.publish(event("b.x", "{}")).await;
    let changes = tail.changes(1).await;
    assert_eq!((changes.len(), changes[0].sequence), (1, 4));
}

#[tokio::test]
async fn an_export_ends_by_itself() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    for _ in 0..3 {
        server.publish(event("a", "{}")).await;
    }
    receiver.wait_for(3).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.changes(6).await;
    let changes = server.all_changes().await;
    assert_eq!(sequences(&changes), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn batches_are_as_large_as_asked_for_and_wait_to_be_filled_where_allowed() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    for _ in 0..5 {
        server.publish(event("a", "{}")).await;
    }
    let request = TailEventLogsRequest { max_batch_size: 4, ..earliest() };
    let mut tail = server.tail(request).await.expect("a tail");
    match tail.message().await {
        Message::EventLogs(batch) => assert_eq!(batch.changes.len(), 4),
        other => panic!("unexpected {other:?}"),
    }
    let request = TailEventLogsRequest {
        max_batch_size: 2,
        max_batch_delay: Some(ProtoDuration { seconds: 10, nanos: 0 }),
        ..Default::default()
    };
    let mut tail = server.tail(request).await.expect("a tail");
    tail.until_caught_up().await;
    server.publish(event("a", "{}")).await;
    match tail.message().await {
        Message::EventLogs(batch) => assert_eq!(batch.changes.len(), 2, "accepted and settled"),
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    server.publish(event("a", "{}")).await;
    let other = || TailEventLogsRequest { tenant_id: "other".into(), ..earliest() };
    let mut tail = server.tail(other()).await.expect("a tail");
    assert!(tail.until_caught_up().await.is_empty());
    let mut mine = server.tail(earliest()).await.expect("a tail");
    mine.changes(2).await;
    let request = TailEventLogsRequest { tenant_id: "other".into(), ..after(&mine.token) };
    let refused = server.tail(request).await.err().expect("another tenant's token");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reason(&refused), "RESUME_TOKEN_INVALID");
}

#[tokio::test]
async fn as_many_tails_as_configured_are_open_at_once() {
    let server = TestServer::with(|config| config.max_tails = 2).await;
    let first = server.tail(earliest()).await.expect("a tail");
    let _second = server.tail(earliest()).await.expect("a tail");
    let refused = server.tail(earliest()).await.err().expect("one too many");
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    drop(first);
    // The server notices that the client has gone when it next looks.
    while server.tail(earliest()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tail_ends_when_the_server_drains() {
    let server = TestServer::start().await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.until_caught_up().await;
    let token = tail.token.clone();
    let server = server.restart().await;
    let end = tail.error().await;
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "SERVER_DRAINING"));
    let mut resumed = server.tail(after(&token)).await.expect("the token survives");
    assert!(resumed.until_caught_up().await.is_empty());
}

#[tokio::test]
async fn a_watch_of_health_hears_of_the_end_and_does_not_delay_it() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    // A grace period that the test would not outlast.
    let long = std::time::Duration::from_secs(600);
    let server = TestServer::with(|config| config.drain_grace = long).await;
    let mut health = HealthClient::new(server.channel.clone());
    let watch = health.watch(HealthCheckRequest::default()).await.expect("a watch");
    let mut watch = watch.into_inner();
    let first = watch.message().await.expect("no error").expect("a status");
    assert_eq!(first.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    let stopping = tokio::spawn(server.stop());
    let second = watch.message().await.expect("no error").expect("a status");
    assert_eq!(second.status(), tonic_health::pb::health_check_response::ServingStatus::NotServing);
    let end = watch.message().await.expect_err("the end");
    assert_eq!((end.code(), reason(&end).as_str()), (Code::Unavailable, "SERVER_DRAINING"));
    stopping.await.expect("the server has ended");
}
