//! gRPC-Web over HTTP/1.1, and paths that are no gRPC, on the one listener.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tidings::sender::{Answer, Limits, Request, Target};

use super::support::{sending::connection, server::TestServer};

/// A message without fields, uncompressed.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

async fn post(
    server: &TestServer,
    path: &str,
    content_type: &'static str,
    host: Option<&'static str>,
) -> Answer {
    let target = Target::parse(&format!("http://{}{path}", server.address)).expect("a URL");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(host) = host {
        headers.insert(header::HOST, HeaderValue::from_static(host));
    }
    let request =
        Request { method: Method::POST, headers, body: Bytes::from_static(&EMPTY_MESSAGE) };
    let answer = connection().send(&target, request, &Limits::default()).await;
    answer.expect("an answer")
}

#[tokio::test]
async fn a_browser_can_call_over_http_1() {
    let server = TestServer::start().await;
    let path = "/tidings.v1.WebhookService/ListWebhooks";
    let answer = post(&server, path, "application/grpc-web+proto", None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/grpc-web+proto");
    // The trailers come as the last frame of the body.
    let text = String::from_utf8_lossy(&answer.excerpt);
    assert!(text.contains("grpc-status:0"), "{text}");
}

#[tokio::test]
async fn other_paths_and_foreign_hosts_are_refused_as_http() {
    let server = TestServer::start().await;
    assert_eq!(post(&server, "/nothing", "application/json", None).await.status, 404);
    let path = "/tidings.v1.WebhookService/ListWebhooks";
    let foreign = post(&server, path, "application/grpc-web+proto", Some("evil.example")).await;
    assert_eq!(foreign.status, 403, "a page that rebinds its name gets nothing");
}
