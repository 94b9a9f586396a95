//! How requests of a stream gather, and how answers find back to them.

use futures_util::stream;

use super::*;
use crate::{
    domain::{id::EventId, time::Timestamp},
    grpc::proto::{Event, event::Payload, publish_outcome::Outcome},
};

fn tenant() -> TenantId {
    "acme".parse().expect("a tenant id")
}

fn request(sequence: u64, payload_bytes: usize) -> StreamPublishEventsRequest {
    let payload = Some(Payload::Json("x".repeat(payload_bytes)));
    let event = Some(Event { payload, ..Event::default() });
    StreamPublishEventsRequest { tenant_id: String::new(), sequence, event }
}

fn published(id: u128) -> Published {
    Published {
        event_id: EventId(uuid::Uuid::from_u128(id)),
        ingest_time: Timestamp::default(),
        duplicate: false,
        matched: 1,
        warnings: Vec::new(),
    }
}

fn faults(order: &mut Order, request: StreamPublishEventsRequest) -> Vec<String> {
    let error = match order.read(request, &tenant()) {
        Ok(event) => event.faults.check().err(),
        Err(error) => Some(error),
    };
    error.map(|e| e.violations).unwrap_or_default().into_iter().map(|v| v.field).collect()
}

#[test]
fn sequences_rise_and_a_bad_one_harms_its_own_event_only() {
    let mut order = Order::default();
    assert!(faults(&mut order, request(0, 1)).is_empty());
    assert!(faults(&mut order, request(5, 1)).is_empty());
    assert_eq!(faults(&mut order, request(5, 1)), ["sequence"]);
    assert_eq!(faults(&mut order, request(1, 1)), ["sequence"]);
    assert!(faults(&mut order, request(6, 1)).is_empty());
    let other = StreamPublishEventsRequest { tenant_id: "other".into(), ..request(7, 1) };
    assert_eq!(faults(&mut order, other), ["tenant_id"]);
    let empty = StreamPublishEventsRequest { event: None, ..request(8, 1) };
    assert_eq!(faults(&mut order, empty), ["event"]);
    assert!(faults(&mut order, request(9, 1)).is_empty());
}

#[test]
fn answers_keep_the_order_of_the_requests() {
    let no_event = || Some(Error::field("event", Reason::FieldRequired, "is required"));
    let refused = vec![(1, None), (2, no_event()), (3, None), (4, None)];
    let stored = vec![Ok(published(1)), Err(Error::new(Reason::EventNameUnknown, "unknown"))];
    let answers: Vec<_> = in_order(refused, Ok(stored)).collect();
    let told: Vec<_> = (answers.into_iter())
        .map(|answer| match answer.outcome.and_then(|outcome| outcome.outcome) {
            Some(Outcome::Result(_)) => (answer.sequence, 0),
            Some(Outcome::Error(status)) => (answer.sequence, status.code),
            None => (answer.sequence, -1),
        })
        .collect();
    let (invalid, internal) = (tonic::Code::InvalidArgument as i32, tonic::Code::Internal as i32);
    assert_eq!(told, [(1, 0), (2, invalid), (3, invalid), (4, internal)]);
}

#[test]
fn a_failure_of_the_store_is_told_to_each_event() {
    let answers: Vec<_> =
        in_order(vec![(1, None), (2, None)], Err(Error::store_unavailable())).collect();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let outcome = answer.outcome.and_then(|outcome| outcome.outcome);
        let Some(Outcome::Error(status)) = outcome else { panic!("not an error") };
        assert_eq!(status.code, tonic::Code::Unavailable as i32);
        assert_eq!(status.details.len(), 2, "ErrorInfo and RetryInfo");
    }
}

#[tokio::test]
async fn chunks_are_bounded_by_events_and_bytes() {
    let requests = (1..=300).map(|i| Ok(request(i, 10)));
    let (waiting, mut queue) = mpsc::channel(CHUNK_EVENTS);
    let reader = tokio::spawn(read(stream::iter(requests), waiting));
    let mut sizes = Vec::new();
    loop {
        let (chunk, broken) = next_chunk(&mut queue).await;
        assert!(broken.is_none() && chunk.len() <= CHUNK_EVENTS);
        if chunk.is_empty() {
            break;
        }
        sizes.push(chunk.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 300);
    reader.await.expect("the reader ends");

    let requests = (1..=4).map(|i| Ok(request(i, CHUNK_BYTES - 100)));
    let (waiting, mut queue) = mpsc::channel(CHUNK_EVENTS);
    tokio::spawn(read(stream::iter(requests), waiting));
    let mut all = 0;
    loop {
        let (chunk, _) = next_chunk(&mut queue).await;
        if chunk.is_empty() {
            break;
        }
        assert!(chunk.len() <= 2, "the second one passes the limit");
        all += chunk.len();
    }
    assert_eq!(all, 4);
}

#[tokio::test]
async fn no_more_is_read_than_has_room_until_it_is_answered() {
    let requests = (1..=10).map(|i| Ok(request(i, UNANSWERED_BYTES / 2 - 1_000)));
    let (waiting, mut queue) = mpsc::channel(CHUNK_EVENTS);
    let reader = tokio::spawn(read(stream::iter(requests), waiting));
    let mut held = vec![queue.recv().await, queue.recv().await];
    assert!(queue.try_recv().is_err() && !reader.is_finished());
    for _ in 3..=10 {
        held.remove(0);
        held.push(queue.recv().await);
    }
    assert!(held.iter().all(|read| matches!(read, Some(Ok(_)))));
    drop(held);
    assert!(queue.recv().await.is_none());
}

#[tokio::test]
async fn what_came_before_a_broken_request_is_still_answered() {
    let broken = Status::internal("failed to decode Protobuf message: invalid varint");
    let requests = [Ok(request(1, 1)), Err(broken), Ok(request(2, 1))];
    let (waiting, mut queue) = mpsc::channel(CHUNK_EVENTS);
    read(stream::iter(requests), waiting).await;
    let (chunk, broken) = next_chunk(&mut queue).await;
    assert_eq!(chunk.len(), 1);
    assert_eq!(broken.map(|status| status.code()), Some(tonic::Code::InvalidArgument));
    assert!(queue.recv().await.is_none(), "nothing is read after it");
}
