//! What comes over the wire and is no request at all; calls that break off.

use prost::{Message, encoding::encode_varint};
use prost_types::FileDescriptorSet;
use tidings::grpc::{
    DESCRIPTOR, MOUNTED,
    proto::{
        CreateWebhookRequest, EventLogFilter, PublishEventRequest, StreamPublishEventsRequest,
        StreamPublishEventsResponse, TailEventLogsRequest,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, codec::CompressionEncoding};

use super::support::{
    api::{event, webhook},
    raw_grpc::{call, first},
    receiver::Receiver,
    refusal::{Refusal, refused},
    server::TestServer,
};

/// The paths of all RPCs that are mounted.
fn paths() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTOR).expect("a descriptor set");
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            if MOUNTED.contains(&name.as_str()) {
                paths.extend(service.method.iter().map(|m| format!("/{name}/{}", m.name())));
            }
        }
    }
    assert!(paths.len() >= 20, "{paths:?}");
    paths
}

async fn assert_works(server: &TestServer) {
    let published = server.publish(event("still.works", "{}")).await;
    assert!(!published.duplicate);
}

#[tokio::test]
async fn an_empty_message_is_answered_by_every_rpc() {
    let server = TestServer::start().await;
    let lists = [
        "GetTenant",
        "GetDeliveryStats",
        "ListApiKeys",
        "ListTenants",
        "ListWebhooks",
        "ListEventLogs",
        "ListEventMetadata",
        "ListDivertedEvents",
        "ListDivertedEventJobs",
        "TailEventLogs",
    ];
    for path in paths() {
        let rpc = path.rsplit('/').next().expect("a name");
        let answer = first(&server.channel, &path, vec![Vec::new()]).await;
        if lists.contains(&rpc) {
            assert!(answer.expect(&path).is_some());
        } else if rpc == "StreamPublishEvents" {
            let answer = answer.expect(&path).expect("an answer");
            let answer = StreamPublishEventsResponse::decode(&*answer).expect("an answer");
            let outcome = answer.outcome.and_then(|outcome| outcome.outcome);
            assert!(format!("{outcome:?}").contains("event is required"), "{outcome:?}");
        } else {
            let refusal = refused(answer);
            assert_eq!(refusal.code, Code::InvalidArgument, "{path}");
            assert!(!refusal.faults.is_empty(), "{path}: {refusal:?}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_by_every_rpc() {
    let server = TestServer::start().await;
    // An unfinished number, a wire type that is not there, a length beyond the end, and a
    // tenant_id that is no UTF-8.
    let bad: [&[u8]; 4] =
        [&[0xff; 16], &[0x0f, 0x01], &[0x0a, 0x7f, b'a'], &[0x0a, 0x02, 0xc3, 0x28]];
    for path in paths() {
        for bytes in bad {
            let refusal = refused(first(&server.channel, &path, vec![bytes.to_vec()]).await);
            let what = (Code::InvalidArgument, "FIELD_INVALID");
            assert_eq!(refusal.what(), what, "{path} {bytes:02x?}: {refusal:?}");
            assert_eq!(refusal.fields(), ["request"], "{path}");
        }
        let refusal = refused(first(&server.channel, &path, vec![vec![0x78; 10 << 20]]).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{path}");
        assert!(refusal.message.contains("4194304"), "{refusal:?}");
    }
    assert_works(&server).await;
}

/// A message with a text of this length replaced by bytes that are no UTF-8.
fn spoiled(message: &impl Message, text: &str) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    let at = at.expect("the text");
    bytes[at..at + text.len()].fill(0xff);
    bytes
}

#[tokio::test]
async fn text_that_is_no_utf_8_is_refused_wherever_it_stands() {
    let server = TestServer::start().await;
    let mut hook = webhook("spoiled-name", "http://127.0.0.1:9/spoiled-url", &["spoiled-event"]);
    hook.labels.insert("spoiled-key".into(), "spoiled-value".into());
    let create = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    for text in ["spoiled-name", "spoiled-url", "spoiled-event", "spoiled-key", "spoiled-value"] {
        let path = "/tidings.v1.WebhookService/CreateWebhook";
        let refusal = refused(first(&server.channel, path, vec![spoiled(&create, text)]).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{text}");
    }
    let mut sent = event("spoiled-event", r#"{"a":"spoiled-payload"}"#);
    sent.ref_id = "spoiled-ref".into();
    let publish = PublishEventRequest { event: Some(sent), ..Default::default() };
    for text in ["spoiled-event", "spoiled-payload", "spoiled-ref"] {
        let path = "/tidings.v1.EventService/PublishEvent";
        let refusal = refused(first(&server.channel, path, vec![spoiled(&publish, text)]).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{text}");
    }
    assert_works(&server).await;
}

/// A field that holds bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_varint(u64::from(number << 3 | 2), &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend(bytes);
    field
}

#[tokio::test]
async fn an_object_that_is_too_deep_is_refused() {
    let server = TestServer::start().await;
    let path = "/tidings.v1.EventService/PublishEvent";
    let of_depth = |depth| {
        let object = (1..depth).fold(Vec::new(), |inner, _| {
            // A Struct with one entry, whose Value is the inner Struct.
            field(1, &[field(1, b"a"), field(2, &field(5, &inner))].concat())
        });
        field(2, &[field(3, b"a"), field(7, &object)].concat())
    };
    first(&server.channel, path, vec![of_depth(20)]).await.expect("published");
    for depth in [40, 400, 40_000] {
        let refusal = refused(first(&server.channel, path, vec![of_depth(depth)]).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"), "{depth}");
    }
    assert_works(&server).await;
}

#[tokio::test]
async fn a_small_message_that_unpacks_to_a_large_one_is_refused() {
    let server = TestServer::start().await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(10 << 20));
    let request = PublishEventRequest { event: Some(event("a", &large)), ..Default::default() };
    let mut client = server.events().send_compressed(CompressionEncoding::Gzip);
    let refusal = refused(client.publish_event(request).await);
    assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"));
    let good = PublishEventRequest { event: Some(event("a", "{}")), ..Default::default() };
    client.publish_event(good).await.expect("published");
}

#[tokio::test]
async fn unknown_methods_and_services_are_told_so() {
    let server = TestServer::start().await;
    for path in [
        "/tidings.v1.WebhookService/NoSuchMethod",
        "/tidings.v1.EventService/publishEvent",
        "/tidings.v1.NoSuchService/Get",
        "/",
    ] {
        let refusal = refused(first(&server.channel, path, vec![Vec::new()]).await);
        assert_eq!(refusal.what(), (Code::Unimplemented, "FEATURE_NOT_AVAILABLE"), "{path}");
    }
    // A unary call without a message, and one with two.
    let path = "/tidings.v1.WebhookService/ListWebhooks";
    let refusal = refused(first(&server.channel, path, Vec::new()).await);
    assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"));
    assert_works(&server).await;
}

/// What is answered over a connection of its own, up to its end.
async fn over_tcp(server: &TestServer, bytes: &[u8]) -> String {
    let mut tcp = TcpStream::connect(server.address).await.expect("a connection");
    tcp.write_all(bytes).await.expect("written");
    tcp.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    // A reset is an answer, too.
    let _ = tcp.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_no_grpc_is_answered_in_its_own_language_or_cut_off() {
    let server = TestServer::start().await;
    let get = |path: &str, host: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let answer = over_tcp(&server, &get("/no/such/path", "localhost")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = over_tcp(&server, &get("/", "evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    // A TLS client, half a preface, and a frame that is longer than it may be.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frame = [&preface[..], &[0xff; 64]].concat();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], &preface[..12], &frame, &[0; 4096]] {
        over_tcp(&server, bytes).await;
    }
    assert_works(&server).await;
}

#[tokio::test]
async fn a_stream_that_breaks_answers_what_came_before() {
    let server = TestServer::start().await;
    let request = |sequence| {
        let event = Some(event("a", "{}"));
        StreamPublishEventsRequest { sequence, event, ..Default::default() }.encode_to_vec()
    };
    let messages = vec![request(1), request(2), vec![0xff; 16], request(3)];
    let path = "/tidings.v1.EventService/StreamPublishEvents";
    let mut answers = call(&server.channel, path, messages).await.expect("a stream");
    for sequence in 1..=2 {
        let answer = answers.message().await.expect("no error").expect("an answer");
        let answer = StreamPublishEventsResponse::decode(&*answer).expect("an answer");
        assert_eq!(answer.sequence, sequence);
    }
    let refusal = refused(answers.message().await);
    assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_INVALID"));
    assert_works(&server).await;
}

#[tokio::test]
async fn calls_that_are_broken_off_harm_nobody() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    for round in 0..40 {
        let mut client = server.events();
        let request = PublishEventRequest { event: Some(event("a", "{}")), ..Default::default() };
        let call = tokio::spawn(async move { client.publish_event(request).await });
        // Some are not sent yet, some not answered.
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        call.abort();
        let _ = call.await;

        let path = "/tidings.v1.EventService/StreamPublishEvents";
        let open = call_without_end(&server, path, round % 3).await;
        drop(open);
        let tail = server.event_logs().tail_event_logs(TailEventLogsRequest::default()).await;
        drop(tail.expect("a tail"));
    }
    // What was accepted of them is delivered, each once in the log.
    let marker = server.publish(event("marker", "{}")).await;
    server.wait_log(&marker.event_id, "success", |log| log.status == 3).await;
    for log in server.logs(EventLogFilter::default()).await {
        server.wait_log(&log.event_id, "success", |log| log.status == 3).await;
    }
}

/// A stream of publishes that the client leaves in the middle.
async fn call_without_end(
    server: &TestServer,
    path: &str,
    answers: usize,
) -> tonic::Streaming<Vec<u8>> {
    let messages = (1..=8).map(|sequence| {
        let event = Some(event("a", "{}"));
        StreamPublishEventsRequest { sequence, event, ..Default::default() }.encode_to_vec()
    });
    let mut stream = call(&server.channel, path, messages.collect()).await.expect("a stream");
    for _ in 0..answers {
        stream.message().await.expect("no error").expect("an answer");
    }
    stream
}

#[tokio::test]
async fn a_refusal_fits_into_headers_however_much_is_wrong() {
    let server = TestServer::start().await;
    let names = (0..1_000).map(|i| format!("a b {i} {}", "ü".repeat(300)));
    let mut hook = webhook(&"x".repeat(1 << 20), "http://127.0.0.1:9/", &[]);
    hook.event_names = names.collect();
    let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    let status = server.webhooks().create_webhook(request).await.expect_err("a refusal");
    assert!(status.message().len() + status.details().len() < 6_144);
    assert!(!Refusal::of(&status).faults.is_empty());
}
