//! Short ways to send something with the sender under test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tidings::domain::address::AddressGuard;
use tidings::sender::{
    Addresses, Answer, Connection, Failure, FailureKind, HttpSender, Limits, Request,
    SystemResolver, Target,
};

/// A timeout that is only reached when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Lets through what receivers on this machine have.
pub(crate) fn local() -> Addresses {
    let guard = AddressGuard { local: true, allowed: Vec::new() };
    Addresses::new(guard, Arc::new(SystemResolver))
}

pub(crate) fn sender(addresses: Addresses) -> Arc<HttpSender> {
    Arc::new(HttpSender::new(addresses).expect("a sender"))
}

pub(crate) fn connection() -> Connection {
    Connection::new(sender(local()))
}

pub(crate) fn request(method: Method, body: impl Into<Bytes>) -> Request {
    Request { method, headers: HeaderMap::new(), body: body.into() }
}

pub(crate) fn limits(timeout: Duration) -> Limits {
    Limits { timeout, ..Limits::default() }
}

pub(crate) async fn post(connection: &mut Connection, url: &str) -> Result<Answer, Failure> {
    let target = Target::parse(url).expect(url);
    connection.send(&target, request(Method::POST, "hello"), &limits(PATIENCE)).await
}

pub(crate) async fn fails(connection: &mut Connection, url: &str, kind: FailureKind, words: &str) {
    let failure = post(connection, url).await.expect_err("a failure");
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
}
