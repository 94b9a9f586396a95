//! A plain HTTP/1.1 client for the facades.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A client of one server. Each request has a connection of its own.
#[derive(Clone)]
pub(crate) struct HttpClient {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpAnswer {
    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON; panics where it is none.
    pub(crate) fn json(&self) -> Value {
        let kind = self.headers["content-type"].to_str().expect("text");
        let json = ["application/json", "application/json; charset=utf-8"];
        assert!(json.contains(&kind), "{kind}: {}", self.text());
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The status and the body, which must be JSON.
    pub(crate) fn parts(&self) -> (u16, Value) {
        (self.status.as_u16(), self.json())
    }
}

impl HttpClient {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// Sends this header with every request from here on.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        self.send("GET", path, Bytes::new()).await
    }

    /// Sends a body, as `application/json` unless a header of the client says otherwise.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
    ) -> HttpAnswer {
        let body = body.into();
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        let typed = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !body.is_empty() && !typed {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let tcp = TcpStream::connect(self.address).await.expect("a connection");
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.expect("HTTP");
        tokio::spawn(connection);
        let (head, body) = client.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        HttpAnswer { status: head.status, headers: head.headers, body }
    }
}
