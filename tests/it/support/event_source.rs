//! A client of server-sent events, as browsers are: it parses the stream by the rules of
//! the HTML standard and keeps the last event's id.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long it waits for an event before it panics.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open stream.
pub(crate) struct EventSource {
    body: Incoming,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    parser: Parser,
}

/// An event as a page hears of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) kind: String,
    pub(crate) data: String,
    /// The last event's id at that moment.
    pub(crate) id: String,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

impl EventSource {
    /// Opens a stream, after that event where it is not empty.
    pub(crate) async fn open(address: std::net::SocketAddr, path: &str, last: &str) -> Self {
        let tcp = TcpStream::connect(address).await.expect("a connection");
        Self::on(tcp, path, &[("last-event-id", last)]).await
    }

    /// Opens a stream whose client takes little at a time off the line.
    pub(crate) async fn narrow(address: std::net::SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        Self::on(socket.connect(address).await.expect("a connection"), path, &[]).await
    }

    /// Opens a stream with these headers; an empty one is not sent.
    pub(crate) async fn on(tcp: TcpStream, path: &str, headers: &[(&str, &str)]) -> Self {
        let host = tcp.peer_addr().expect("an address").to_string();
        let mut request = Request::builder().uri(path).header("host", host);
        let mut parser = Parser::default();
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
            if *name == "last-event-id" {
                // As in a browser that connects again.
                parser.last_id = (*value).to_owned();
                parser.id.clone_from(&parser.last_id);
            }
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.expect("HTTP");
        tokio::spawn(connection);
        let answer = client.send_request(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        Self { body, status: head.status, headers: head.headers, parser }
    }

    /// The next event; none where the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.parser.next() {
                return Some(heard);
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("a frame in time")?;
            let frame = frame.expect("a frame");
            self.parser.feed(frame.data_ref().expect("data"));
        }
    }

    /// The next `n` changes; what is said beside them is left out.
    pub(crate) async fn changes(&mut self, n: usize) -> Vec<Heard> {
        let mut changes = Vec::with_capacity(n);
        while changes.len() < n {
            let heard = self.next().await.expect("the stream goes on");
            if heard.kind == "message" {
                changes.push(heard);
            }
        }
        changes
    }

    /// Waits for an event of that kind.
    pub(crate) async fn until(&mut self, kind: &str) -> Heard {
        loop {
            let heard = self.next().await.expect("the stream goes on");
            if heard.kind == kind {
                return heard;
            }
        }
    }

    /// What a browser would send when it connects again.
    pub(crate) fn last_id(&self) -> String {
        self.parser.last_id.clone()
    }

    /// What a browser would wait before it connects again, in milliseconds.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.parser.retry
    }
}

/// HTML standard, section 9.2.6.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
    kind: String,
    data: String,
    id: String,
    last_id: String,
    retry: Option<u64>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Heard> {
        loop {
            let end = self.bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            let two = self.bytes[end] == b'\r' && self.bytes.get(end + 1) == Some(&b'\n');
            let line: Vec<u8> = self.bytes.drain(..=end + usize::from(two)).collect();
            let line = String::from_utf8(line[..end].to_vec()).expect("UTF-8");
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            self.last_id.clone_from(&self.id);
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            let Some(data) = data.strip_suffix('\n') else { continue };
            let kind = if kind.is_empty() { "message".to_owned() } else { kind };
            return Some(Heard { kind, data: data.to_owned(), id: self.last_id.clone() });
        }
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
    }
}

#[test]
fn streams_are_parsed_as_browsers_parse_them() {
    let mut parser = Parser::default();
    let stream = concat!(
        ": a comment\n\nid: 1\n\nretry: 2000\nevent: add\r\ndata:  x\rdata\ndata: y\nid: 2\n\n",
        "data: z\n\nid\ndata\n\nretry: soon\nother: 1\ndata: cut off"
    );
    parser.feed(stream.as_bytes());
    let heard: Vec<_> = std::iter::from_fn(|| parser.next()).collect();
    let event = |kind: &str, data: &str, id: &str| Heard {
        kind: kind.into(),
        data: data.into(),
        id: id.into(),
    };
    assert_eq!(
        heard,
        [event("add", " x\n\ny", "2"), event("message", "z", "2"), event("message", "", "")]
    );
    assert_eq!(parser.retry, Some(2000));
}
