//! The other end of the webhooks: takes what is delivered, remembers it, and
//! fails once when it is told to.

use std::{
    collections::VecDeque,
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    routing::{get, post},
};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::AbortHandle};

/// Requests that are remembered.
const KEPT: usize = 100;

/// A receiver at work. Stops when dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    serving: AbortHandle,
}

#[derive(Default)]
struct Desk {
    requests: Mutex<VecDeque<Received>>,
    refuse_next: AtomicBool,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) event_id: String,
    pub(super) attempt: String,
    pub(super) authorization: String,
    pub(super) body: Bytes,
    /// What it was answered with.
    pub(super) answer: StatusCode,
}

impl Receiver {
    /// Starts one on a port of its own.
    pub(super) async fn start() -> Result<Self, String> {
        let failed = |e| format!("the receiver cannot listen: {e}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let desk = Arc::new(Desk::default());
        let routes = Router::new()
            .route("/received", get(list))
            .route("/refuse-next", post(refuse_next))
            .fallback(take)
            .with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { address, desk, serving: serving.abort_handle() })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next request with 503.
    pub(super) fn refuse_next(&self) {
        self.desk.refuse_next.store(true, Ordering::SeqCst);
    }

    /// What arrived, oldest first.
    pub(super) fn received(&self) -> Vec<Received> {
        self.desk.requests.lock().iter().cloned().collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State(desk): State<Arc<Desk>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let refused = desk.refuse_next.swap(false, Ordering::SeqCst);
    let answer = if refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut requests = desk.requests.lock();
    if requests.len() == KEPT {
        requests.pop_front();
    }
    requests.push_back(Received {
        method,
        path: uri.path().to_owned(),
        event_id: header("tidings-event-id"),
        attempt: header("tidings-attempt"),
        authorization: header(header::AUTHORIZATION.as_str()),
        body,
        answer,
    });
    answer
}

async fn list(State(desk): State<Arc<Desk>>) -> String {
    let mut text = String::new();
    for request in desk.requests.lock().iter() {
        let Received { method, path, attempt, answer, body, .. } = request;
        let body = String::from_utf8_lossy(body);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{method} {path} attempt {attempt} -> {answer}\n  {body}");
    }
    text
}

async fn refuse_next(State(desk): State<Arc<Desk>>) -> &'static str {
    desk.refuse_next.store(true, Ordering::SeqCst);
    "the next delivery is answered with 503\n"
}
