//! The live tail as server-sent events.

use serde_json::Value;
use tidings::grpc::proto::BatchPublishEventsRequest;

use super::{
    support::{
        api::{event, webhook},
        database::Database,
        event_source::{EventSource, Heard},
        http_client::HttpClient,
        process::ServerProcess,
        receiver::{Receiver, Reply},
        server::TestServer,
    },
    tail_slow::prune_all,
};

const PATH: &str = "/v3/webHooks/eventLog/tail";

fn sequences(changes: &[Heard]) -> Vec<i64> {
    changes.iter().map(|change| change.json()["sequence"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn every_change_is_an_event_with_the_members_of_a_record() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let hook = server.create(webhook("w", &receiver.url(), &["a"])).await;
    let mut tail = EventSource::open(server.address, PATH, "").await;
    assert_eq!(
        (tail.status.as_u16(), &tail.headers["content-type"]),
        (200, &"text/event-stream".parse().expect("a value"))
    );
    assert_eq!(tail.headers["cache-control"], "no-cache");
    assert!(tail.headers.contains_key("x-cap-request-id"));
    tail.until("caughtUp").await;
    assert!(!tail.last_id().is_empty(), "where it is can be resumed from before anything happened");
    assert!(tail.retry().is_some());

    let event_id = server.publish(event("a", "{}")).await.event_id;
    let changes = tail.changes(2).await;
    assert_eq!(sequences(&changes), [1, 2]);
    assert_ne!(changes[0].id, changes[1].id, "each has a place of its own");
    let record = HttpClient::new(server.address)
        .get(&format!("/v3/webHooks/eventLog/{event_id}"))
        .await
        .json()["data"]
        .clone();
    let settled = changes[1].json();
    for (member, value) in record.as_object().expect("an object") {
        assert_eq!(settled[member], *value, "{member}");
    }
    assert_eq!(
        (&settled["change"], &changes[0].json()["change"]),
        (&"SETTLED".into(), &"ACCEPTED".into())
    );
    assert_eq!(settled["consumerGroupId"], hook.consumer_group_id);
    assert!(changes[1].data.starts_with(r#"{"refId":"#), "{}", changes[1].data);
}

#[tokio::test]
async fn a_client_that_comes_again_misses_nothing_across_a_crash() {
    let mut server = ServerProcess::start(&Database::new().await).await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    let client = HttpClient::new(server.address);
    let hook = serde_json::json!({"name": "w", "eventNames": ["a"], "webHookUrl": receiver.url(), "maxAllowedConnections": 1});
    assert_eq!(client.send("POST", "/v3/webHooks", hook.to_string()).await.status, 200);
    let publish = async |n: usize| {
        for _ in 0..n {
            let event = r#"{"eventName":"a","data":{}}"#;
            assert_eq!(client.send("POST", "/v3/events", event).await.status, 202);
        }
    };
    let mut tail = EventSource::open(server.address, PATH, "").await;
    tail.until("caughtUp").await;
    publish(5).await;
    let mut seen = sequences(&tail.changes(3).await);
    let last = tail.last_id();
    // What it had read of the line beyond that is lost with it.
    drop(tail);
    receiver.wait_for(5).await;
    server.kill_and_restart().await;
    publish(5).await;
    let mut tail = EventSource::open(server.address, PATH, &last).await;
    let rest = tail.changes(17).await;
    seen.extend(sequences(&rest));
    let settled = |change: &Heard| change.json()["change"] == "SETTLED";
    assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "without a gap and without a repetition");
    assert!(rest.last().is_some_and(settled));
}

#[tokio::test]
async fn a_filter_that_lets_nothing_through_moves_on_all_the_same() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|_| Reply::status(200)).await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    for name in ["a", "b"] {
        let event_id = server.publish(event(name, "{}")).await.event_id;
        server.wait_log(&event_id, "settled", |log| log.end_time.is_some()).await;
    }
    let path = format!(
        "{PATH}?access_token=any&position=earliest&eventName=b&status=SUCCEEDED&httpStatus=200"
    );
    let mut tail = EventSource::open(server.address, &path, "").await;
    let changes = tail.changes(1).await;
    assert_eq!(changes[0].json()["eventName"], "b");
    assert_eq!(sequences(&changes), [4]);

    let none = format!("{PATH}?position=earliest&refId=none");
    let mut tail = EventSource::open(server.address, &none, "").await;
    let end = tail.until("caughtUp").await.id;
    let mut after = EventSource::open(server.address, PATH, &end).await;
    server.publish(event("a", "{}")).await;
    assert_eq!(sequences(&after.changes(1).await), [5], "it stood behind what was filtered");
}

#[tokio::test]
async fn a_server_that_drains_ends_the_stream_and_says_when_to_come_again() {
    let server = TestServer::start().await;
    let mut tail = EventSource::open(server.address, PATH, "").await;
    tail.until("caughtUp").await;
    server.stop().await;
    assert_eq!(tail.next().await, None, "no event that a page would take for a change");
    assert!(tail.retry().is_some());
}

#[tokio::test]
async fn a_slow_client_is_told_that_it_fell_behind_and_misses_nothing() {
    const EVENTS: usize = 4_000;
    let server = TestServer::with(|config| config.max_tail_lag = 500).await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let mut tail = EventSource::narrow(server.address, PATH).await;
    tail.until("caughtUp").await;
    for _ in 0..EVENTS / 1_000 {
        let events = (0..1_000).map(|_| event("a", r#"{"some":"payload"}"#)).collect();
        let request = BatchPublishEventsRequest { events, ..Default::default() };
        server.events().batch_publish_events(request).await.expect("published");
    }
    receiver.wait_for(EVENTS).await;
    let (mut seen, mut fell) = (Vec::new(), 0);
    while seen.len() < EVENTS * 2 {
        let heard = tail.next().await.expect("the stream goes on");
        match heard.kind.as_str() {
            "message" => seen.push(heard),
            "fellBehind" => fell += 1,
            _ => {}
        }
    }
    assert!(fell >= 1);
    assert_eq!(sequences(&seen), (1..=EVENTS as i64 * 2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tail_that_cannot_begin_is_refused_in_the_shape_of_the_dialect() {
    let server = TestServer::with(|config| config.max_tails = 1).await;
    let client = HttpClient::new(server.address);
    let bad = format!(
        "{PATH}?position=now&status=OPEN&webHookId=x&eventId=x&slaBreached=1&httpStatus=many&eventNmae=a"
    );
    let (status, refused) = client.get(&bad).await.parts();
    let codes: Vec<_> =
        refused["errors"].as_array().expect("errors").iter().map(|e| e["code"].clone()).collect();
    assert_eq!((status, codes), (400, vec![Value::from(900_002); 7]), "{refused}");
    for token in ["x", "AAAA", "\u{e4}"] {
        let again = client.clone().with("last-event-id", token);
        let (status, refused) = again.get(PATH).await.parts();
        assert_eq!((status, &refused["errors"][0]["code"]), (400, &900_018.into()), "{token}");
    }
    let mut first = EventSource::open(server.address, PATH, "").await;
    first.until("caughtUp").await;
    let second = client.get(PATH).await;
    assert_eq!(
        (second.status.as_u16(), second.json()["errors"][0]["code"].as_i64()),
        (429, Some(900_024))
    );
    assert!(second.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let console = "http://localhost:3000";
    let server = TestServer::with(|config| {
        config.cors_origins = vec![console.parse().expect("an origin")];
    })
    .await;
    let client = HttpClient::new(server.address);
    let listed = client.clone().with("origin", console);
    let answer = listed.get("/v3/webHooks").await;
    assert_eq!(answer.headers["access-control-allow-origin"], console);
    assert_eq!(answer.headers["access-control-expose-headers"], "x-cap-request-id,retry-after");
    let other = client.clone().with("origin", "http://localhost:3001").get("/v3/webHooks").await;
    assert!(!other.headers.contains_key("access-control-allow-origin"));
    let ask = listed
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "authorization");
    let allowed = ask.send("OPTIONS", "/v3/webHooks", "").await;
    assert_eq!(allowed.status, 200);
    let methods = allowed.headers["access-control-allow-methods"].to_str().expect("text");
    assert!(methods.contains("POST"), "{methods}");

    let silent = TestServer::start().await;
    let client = HttpClient::new(silent.address).with("origin", console);
    assert_eq!(client.send("OPTIONS", "/v3/webHooks", "").await.status, 405);
    let answer = client.get("/v3/webHooks").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_place_that_the_log_no_longer_has_is_gone_and_the_oldest_one_is_told() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let mut tail = EventSource::open(server.address, PATH, "").await;
    let old = tail.until("caughtUp").await.id;
    server.publish(event("a", "{}")).await;
    tail.changes(2).await;
    let database = server.stop_and_keep().await;
    prune_all(&database).await;

    let server = TestServer::reopen(database).await;
    let again = HttpClient::new(server.address).with("last-event-id", &old);
    let (status, refused) = again.get(PATH).await.parts();
    assert_eq!((status, &refused["errors"][0]["code"]), (410, &900_019.into()), "{refused}");
    let oldest = refused["errors"][0]["oldestLastEventId"].as_str().expect("a place");
    let mut tail = EventSource::open(server.address, PATH, oldest).await;
    server.publish(event("a", "{}")).await;
    assert_eq!(sequences(&tail.changes(2).await), [3, 4]);
}
