//! A scriptable HTTP/1.1 receiver: the other end of a webhook.
//!
//! A script decides the [`Reply`] to each request; every request is recorded. It listens on a port
//! of its own on 127.0.0.1 and stops, connections included, when it is dropped. Needs a running
//! tokio runtime.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use super::reply::Reply;
use super::reply::{Kind, ReplyBody};

/// How long [`Receiver::wait_for`] and [`Receiver::wait_until`] wait before they panic.
const PATIENCE: Duration = Duration::from_secs(120);

/// A receiver at work. Stops when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    script: Box<dyn Fn(&Received) -> Reply + Send + Sync>,
    received: Mutex<Vec<Received>>,
    arrived: Notify,
    open: AtomicUsize,
    max_open: AtomicUsize,
    spans: Mutex<Vec<Range<Instant>>>,
    connections: AtomicUsize,
}

/// A request that arrived, body and all.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The first one to arrive has 0.
    pub(crate) index: usize,
    /// The body, once it was read as JSON.
    json: OnceLock<serde_json::Value>,
}

impl Received {
    /// The body as JSON; panics where it is none.
    pub(crate) fn json(&self) -> &serde_json::Value {
        let read = || serde_json::from_slice(&self.body);
        self.json.get_or_init(|| {
            read().unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.body))
        })
    }

    /// The value of a header, where it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Receiver {
    /// Answers every request with 200 and an empty body.
    pub(crate) async fn start() -> Self {
        Self::with(|_| Reply::status(200)).await
    }

    /// Answers as the script says. The script runs when the request is complete.
    pub(crate) async fn with(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a local address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Mutex::default(),
            arrived: Notify::new(),
            open: AtomicUsize::new(0),
            max_open: AtomicUsize::new(0),
            spans: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Self { address, shared, accepting }
    }

    /// `http://127.0.0.1:PORT/hook`
    pub(crate) fn url(&self) -> String {
        self.url_at("/hook")
    }

    /// `http://127.0.0.1:PORT` and a path that starts with a slash.
    pub(crate) fn url_at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All complete requests so far, in the order of their arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// How many complete requests there were so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.received.lock().len()
    }

    /// Waits until at least `n` requests have arrived and returns all; panics after 30 seconds.
    pub(crate) async fn wait_for(&self, n: usize) -> Vec<Received> {
        self.wait_until(&format!("{n} requests"), |received| received.len() >= n).await
    }

    /// Waits until `f` holds for the requests so far and returns them; panics after 30 seconds. `f`
    /// is asked again after each arrival.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        f: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let wait = async {
            loop {
                // Registered before looking, so that no arrival falls in between.
                let arrived = self.shared.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                {
                    let received = self.shared.received.lock();
                    if f(&received) {
                        return received.clone();
                    }
                }
                arrived.await;
                // Of many that arrive together the last one is enough to look.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(received) => received,
            Err(_) => panic!(
                "waited {PATIENCE:?} for {what}; {} requests arrived on {} connections: {:#?}",
                self.count(),
                self.connections(),
                self.received()
            ),
        }
    }

    /// The most requests that were open at the same time so far: from their headers until the last
    /// byte of the answer was handed over for writing, or the sender was gone.
    pub(crate) fn max_open(&self) -> usize {
        self.shared.max_open.load(Ordering::SeqCst)
    }

    /// When each request that is not open any more was, as [`Self::max_open`] counts.
    pub(crate) fn spans(&self) -> Vec<Range<Instant>> {
        self.shared.spans.lock().clone()
    }

    /// How many TCP connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Owned here: when this task is aborted, the connections go with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (tcp, _) = accepted.expect("accept a connection");
                shared.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(tcp, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    tcp.set_nodelay(true).expect("set TCP_NODELAY");
    let service = service_fn(|request| answer(&shared, request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
    let served = (&mut connection).await;
    let tcp = connection.into_parts().io.into_inner();
    if served.is_err() {
        // A wish of the script, or the sender is gone and does not care. Without linger, closing
        // resets.
        let _ = tcp.set_zero_linger();
    }
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody<OpenRequest>>, io::Error> {
    let open = OpenRequest::new(shared.clone());
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let received = {
        let mut all = shared.received.lock();
        let received = Received {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: head.headers,
            body,
            index: all.len(),
            json: OnceLock::new(),
        };
        all.push(received.clone());
        received
    };
    shared.arrived.notify_waiters();

    let reply = (shared.script)(&received);
    if !reply.after.is_zero() {
        sleep(reply.after).await;
    }
    if let Some(gate) = &reply.held_by
        && let Ok(permit) = gate.acquire().await
    {
        permit.forget();
    }
    match reply.kind {
        Kind::Never => pending().await,
        Kind::Reset => return Err(io::Error::other("the script resets the connection")),
        Kind::Whole | Kind::Drip(_) | Kind::Endless | Kind::CutOff => {}
    }
    let mut response = Response::new(ReplyBody::new(reply.kind, reply.body, open));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

/// Counts a request as open while it lives.
struct OpenRequest {
    shared: Arc<Shared>,
    since: Instant,
}

impl OpenRequest {
    fn new(shared: Arc<Shared>) -> Self {
        let now = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
        shared.max_open.fetch_max(now, Ordering::SeqCst);
        Self { shared, since: Instant::now() }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
        self.shared.spans.lock().push(self.since..Instant::now());
    }
}
