//! Publishing without end: each request is answered, in order.

use tidings::grpc::proto::{
    Event, EventLogFilter, StreamPublishEventsRequest, StreamPublishEventsResponse,
    publish_outcome::Outcome,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::support::{
    api::{event, webhook},
    receiver::Receiver,
    refusal::{Refusal, refused},
    server::TestServer,
};

fn request(sequence: u64, event: Event) -> StreamPublishEventsRequest {
    StreamPublishEventsRequest { sequence, event: Some(event), ..Default::default() }
}

/// A stream of requests and one of answers.
async fn open(
    server: &TestServer,
) -> (mpsc::Sender<StreamPublishEventsRequest>, Streaming<StreamPublishEventsResponse>) {
    let (requests, stream) = mpsc::channel(64);
    let answers = server.events().stream_publish_events(ReceiverStream::new(stream)).await;
    (requests, answers.expect("a stream").into_inner())
}

async fn next(answers: &mut Streaming<StreamPublishEventsResponse>) -> (u64, Outcome) {
    let answer = answers.message().await.expect("no error").expect("an answer");
    (answer.sequence, answer.outcome.and_then(|outcome| outcome.outcome).expect("an outcome"))
}

fn refusal(outcome: &Outcome) -> Refusal {
    match outcome {
        Outcome::Error(error) => Refusal::of_details(error),
        Outcome::Result(result) => panic!("published: {result:?}"),
    }
}

#[tokio::test]
async fn all_requests_are_answered_in_order_also_after_the_client_is_done() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let (requests, mut answers) = open(&server).await;
    let send = tokio::spawn(async move {
        for i in 0..600 {
            requests.send(request(3 * i + 1, event("pointsIssued", "{}"))).await.expect("sent");
        }
    });
    for i in 0..600 {
        let (sequence, outcome) = next(&mut answers).await;
        assert_eq!(sequence, 3 * i + 1);
        assert!(matches!(outcome, Outcome::Result(_)), "{outcome:?}");
    }
    send.await.expect("all sent");
    assert!(answers.message().await.expect("a good end").is_none());
    receiver.wait_for(600).await;
}

#[tokio::test]
async fn an_answer_comes_while_the_stream_stays_open() {
    let server = TestServer::start().await;
    let (requests, mut answers) = open(&server).await;
    for sequence in 1..=3 {
        requests.send(request(sequence, event("a", "{}"))).await.expect("sent");
        assert_eq!(next(&mut answers).await.0, sequence);
    }
}

#[tokio::test]
async fn bad_events_do_not_end_the_stream() {
    let server = TestServer::start().await;
    server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    let (requests, mut answers) = open(&server).await;
    let no_event = StreamPublishEventsRequest { sequence: 3, ..Default::default() };
    let foreign = Event { tenant_id: "acme".into(), ..event("a", "{}") };
    let moved =
        StreamPublishEventsRequest { tenant_id: "acme".into(), ..request(8, event("a", "{}")) };
    for request in [
        request(1, event("a", "{}")),
        request(2, event("a b", "[1]")),
        no_event,
        request(4, foreign),
        request(5, event("a", "{\"x\": \"\\u0000\"}")),
        request(5, event("a", "{}")),
        request(4, event("a", "{}")),
        moved,
        request(9, event("a", "{}")),
    ] {
        requests.send(request).await.expect("sent");
    }
    drop(requests);
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.expect("no error") {
        let outcome = answer.outcome.and_then(|outcome| outcome.outcome).expect("an outcome");
        told.push(match outcome {
            Outcome::Result(_) => format!("{}", answer.sequence),
            Outcome::Error(_) => {
                format!("{} {}", answer.sequence, refusal(&outcome).fields().join(" "))
            }
        });
    }
    assert_eq!(
        told,
        [
            "1",
            "2 event.event_name event.json",
            "3 event",
            "4 event.tenant_id",
            "5 event.json",
            "5 sequence",
            "4 sequence",
            "8 tenant_id",
            "9",
        ]
    );
    assert_eq!(server.logs(EventLogFilter::default()).await.len(), 2);
}

#[tokio::test]
async fn the_first_request_names_the_tenant() {
    let server = TestServer::start().await;
    let (requests, mut answers) = open(&server).await;
    let first =
        StreamPublishEventsRequest { tenant_id: "acme".into(), ..request(1, event("a", "{}")) };
    requests.send(first).await.expect("sent");
    requests.send(request(2, event("a", "{}"))).await.expect("sent");
    for _ in 0..2 {
        let (_, outcome) = next(&mut answers).await;
        let Outcome::Result(result) = outcome else { panic!("{outcome:?}") };
        let request = tidings::grpc::proto::GetEventRequest {
            tenant_id: "acme".into(),
            event_id: result.event_id,
        };
        server.events().get_event(request).await.expect("an event of that tenant");
    }

    let (requests, mut answers) = open(&server).await;
    let bad =
        StreamPublishEventsRequest { tenant_id: "a/b".into(), ..request(1, event("a", "{}")) };
    requests.send(bad).await.expect("sent");
    let refusal = refused(answers.message().await);
    assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(refusal.fields(), ["tenant_id"]);
}

#[tokio::test]
async fn duplicates_are_found_within_and_across_streams() {
    let server = TestServer::start().await;
    server.create(webhook("w", "http://127.0.0.1:9/", &["*"])).await;
    let same = Event { event_id: uuid::Uuid::from_u128(7).to_string(), ..event("a", "{}") };
    let mut duplicates = Vec::new();
    for _ in 0..2 {
        let (requests, mut answers) = open(&server).await;
        for sequence in 1..=2 {
            requests.send(request(sequence, same.clone())).await.expect("sent");
        }
        for _ in 0..2 {
            match next(&mut answers).await.1 {
                Outcome::Result(result) => duplicates.push(result.duplicate),
                Outcome::Error(error) => panic!("{error:?}"),
            }
        }
    }
    assert_eq!(duplicates, [false, true, true, true]);
    assert_eq!(server.logs(EventLogFilter::default()).await.len(), 1);
}

#[tokio::test]
async fn an_empty_stream_ends_well() {
    let server = TestServer::start().await;
    let (requests, mut answers) = open(&server).await;
    drop(requests);
    assert!(answers.message().await.expect("a good end").is_none());
}
