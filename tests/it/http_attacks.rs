//! Clients that mean harm or know no better: the server answers or hangs up, goes on for all
//! others, and its memory stays flat.

use std::{net::SocketAddr, time::Duration};

use http::Method;
use tidings::http::ACCESS;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::support::{
    database::Database, http_client::HttpClient, process::ServerProcess, server::TestServer,
};

/// How long an answer, or the end of a connection, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// KiB of memory that an attack may leave behind.
const ROOM: u64 = 48 * 1024;
/// Bytes that are more than a body may have.
const LARGE: usize = 10 << 20;

/// A server as a process of its own, whose memory can be measured.
struct Target {
    server: ServerProcess,
    before: u64,
}

impl Target {
    async fn start() -> Self {
        let server = ServerProcess::start(&Database::new().await).await;
        assert_works(server.address).await;
        let before = server.memory_kib();
        Self { server, before }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    async fn assert_unharmed(&self) {
        assert_works(self.address()).await;
        let grown = self.server.memory_kib().saturating_sub(self.before);
        assert!(grown < ROOM, "{grown} KiB more than before");
    }
}

async fn assert_works(address: SocketAddr) {
    let event = r#"{"eventName":"still.works","data":{}}"#;
    let client = HttpClient::new(address);
    let answer = timeout(PATIENCE, client.send("POST", "/v3/events", event));
    assert_eq!(answer.await.expect("an answer in time").status, 202);
}

/// A connection on which this was sent, as far as the server took it.
async fn sent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    let _ = timeout(PATIENCE, tcp.write_all(bytes)).await.expect("taken or refused in time");
    tcp
}

/// What comes back until the server hangs up, which it has to do.
async fn until_the_end(tcp: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("an end in time");
    answer
}

fn post(path: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn requests_that_never_end_hold_up_nobody() {
    let target = Target::start().await;
    let half_a_header = b"GET /v3/webHooks HTTP/1.1\r\nHost: local".to_vec();
    let half_a_body = [
        post("/v3/events", "Content-Length: 4000000\r\n").as_bytes(),
        r#"{"eventName":""#.as_bytes(),
        &[b'x'; 16 * 1024],
    ]
    .concat();
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(sent(target.address(), &half_a_header).await);
        held.push(sent(target.address(), &half_a_body).await);
    }
    target.assert_unharmed().await;
    drop(held);
    target.assert_unharmed().await;
}

#[tokio::test]
async fn a_body_that_says_how_large_it_is_is_refused_before_it_comes() {
    let server = TestServer::start().await;
    let takes_bodies = [Method::POST, Method::PUT, Method::PATCH];
    let bodiless = ["/unsuspend", "/resend"];
    let mut asked = 0;
    for (method, path, _) in ACCESS {
        if !takes_bodies.contains(method) || bodiless.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        // What is changed has to be there for its body to be looked at.
        if path.ends_with('}') {
            continue;
        }
        let path = path.replace("{tenantLocator}", "default");
        let head = post(&path, &format!("Content-Length: {LARGE}\r\nConnection: close\r\n"));
        let mut tcp = sent(server.address, head.as_bytes()).await;
        let answer = until_the_end(&mut tcp).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 413"),
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        );
        asked += 1;
    }
    assert!(asked >= 5, "{asked}");
}

#[tokio::test]
async fn large_bodies_are_cut_off_and_leave_nothing() {
    let target = Target::start().await;
    let chunk = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
    for _ in 0..20 {
        let head = post("/v3/events", "Transfer-Encoding: chunked\r\n");
        let mut tcp = sent(target.address(), head.as_bytes()).await;
        for _ in 0..LARGE >> 20 {
            if !matches!(timeout(PATIENCE, tcp.write_all(&chunk)).await, Ok(Ok(()))) {
                break;
            }
        }
        let answer = until_the_end(&mut tcp).await;
        // A reset can overtake the answer.
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 413"));
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn what_is_framed_wrongly_is_refused_or_cut_off() {
    let target = Target::start().await;
    let chunked = |body: &str| post("/v3/events", "Transfer-Encoding: chunked\r\n") + body;
    let long = "x".repeat(1 << 20);
    for bad in [
        chunked("zz\r\n{}\r\n0\r\n\r\n"),
        chunked("-1\r\n{}\r\n0\r\n\r\n"),
        chunked("ffffffffffffffffff\r\n{}"),
        chunked("2\r\n{}x\r\n0\r\n\r\n"),
        chunked(&format!("2;{long}\r\n{{}}\r\n0\r\n\r\n")),
        chunked(&format!("2\r\n{{}}\r\n0\r\nx: {long}\r\n\r\n")),
        post("/v3/events", "Content-Length: -1\r\n"),
        post("/v3/events", "Content-Length: 99999999999999999999\r\n"),
        post("/v3/events", "Content-Length: 2\r\nContent-Length: 3\r\n") + "{}x",
        post("/v3/events", "Transfer-Encoding: gzip\r\n") + "{}",
        post("/v3/events", &format!("X: {long}\r\n")),
        post("/v3/events", &"X: y\r\n".repeat(10_000)),
        post("/v3/events", "no header\r\n"),
        format!("POST /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "GET /v3/webHooks HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        let mut tcp = sent(target.address(), bad.as_bytes()).await;
        let answer = until_the_end(&mut tcp).await;
        let told = String::from_utf8_lossy(&answer);
        let refused = told.is_empty() || told.starts_with("HTTP/1.1 4");
        assert!(refused, "{bad:.200}: {told}");
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let target = Target::start().await;
    let count = 1_000;
    let request = |id: usize| {
        let last = if id + 1 == count { "Connection: close\r\n" } else { "" };
        format!("GET /v3/x HTTP/1.1\r\nHost: localhost\r\nX-CAP-REQUEST-ID: r{id}\r\n{last}\r\n")
    };
    let all: String = (0..count).map(request).collect();
    let tcp = TcpStream::connect(target.address()).await.expect("a connection");
    let (mut reader, mut writer) = tcp.into_split();
    // Who has closed its side is gone, and need not be answered: it stays open.
    let writing =
        tokio::spawn(async move { writer.write_all(all.as_bytes()).await.map(|()| writer) });
    let mut answers = String::new();
    let read = timeout(PATIENCE, reader.read_to_string(&mut answers)).await;
    read.expect("all answers in time").expect("answers");
    drop(writing.await.expect("no panic").expect("written"));
    let ids = answers.lines().filter_map(|line| line.strip_prefix("x-cap-request-id: "));
    let expected = (0..count).map(|id| format!("r{id}"));
    assert_eq!(ids.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    target.assert_unharmed().await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The start of a connection.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

/// `GET / http localhost`, of names and values that every peer knows.
fn fields() -> Vec<u8> {
    [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat()
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_their_connection() {
    let target = Target::start().await;
    let mut bytes = preface();
    for stream in (1..40_000).step_by(2) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields()));
        bytes.extend(frame(RESET, 0, stream, &8_u32.to_be_bytes()));
    }
    for _ in 0..5 {
        let mut tcp = sent(target.address(), &bytes).await;
        until_the_end(&mut tcp).await;
    }
    target.assert_unharmed().await;
}

#[tokio::test]
async fn headers_that_go_on_without_end_end_their_connection() {
    let target = Target::start().await;
    let mut bytes = preface();
    bytes.extend(frame(HEADERS, END_STREAM, 1, &fields()));
    // A literal field that is remembered by nobody: x with a value of 1,000 bytes.
    let field = [&[0, 1, b'x', 0x7f, 0xe9, 0x06][..], &[b'y'; 1_000]].concat();
    for _ in 0..20_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &field));
    }
    let mut tcp = sent(target.address(), &bytes).await;
    until_the_end(&mut tcp).await;
    target.assert_unharmed().await;
}
