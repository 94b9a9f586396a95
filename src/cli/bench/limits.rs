//! What the machine can do at best: requests without a service in between, and commits
//! without anything in them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, task::JoinSet};

use super::{arrivals::Arrivals, figures::rate, payload, receiver::Receiver};
use crate::store::SyncedCommits;

/// Connections of the bare loop.
pub(super) const CONNECTIONS: usize = 64;

/// The bare limits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Requests of a bare hyper loop with keep-alive against the same receiver.
    pub(super) requests_per_second: f64,
    /// Synced commits of one row, one after the other; absent where the database is not known.
    pub(super) commits_per_second: Option<f64>,
}

/// Requests per second of hyper and nothing else.
pub(super) async fn requests(during: Duration) -> Result<f64, String> {
    let arrivals = Arc::new(Arrivals::new(1));
    let receiver = Receiver::start(Arc::clone(&arrivals))?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(&receiver).await.map_err(failed)?);
    }
    let began = Instant::now();
    let until = began + during;
    let mut tasks = JoinSet::new();
    for (first, connection) in connections.into_iter().enumerate() {
        tasks.spawn(post(connection, first, until));
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        sent += done.map_err(failed)?.map_err(failed)?;
    }
    let time = began.elapsed();
    match arrivals.count() {
        arrived if arrived == sent && arrivals.repeated() == 0 => Ok(rate(sent, time)),
        arrived => Err(format!("the bare loop made {sent} requests and {arrived} arrived")),
    }
}

fn failed(error: impl std::fmt::Display) -> String {
    format!("the bare loop: {error}")
}

type Posting<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn connect(receiver: &Receiver) -> Posting<SendRequest<Full<Bytes>>> {
    let tcp = TcpStream::connect(receiver.address()).await?;
    tcp.set_nodelay(true)?;
    let (requests, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    tokio::spawn(connection);
    Ok(requests)
}

/// Requests on one connection, each as soon as the one before is answered. Returns how many.
async fn post(
    mut connection: SendRequest<Full<Bytes>>,
    first: usize,
    until: Instant,
) -> Posting<usize> {
    let mut sent = 0;
    while Instant::now() < until {
        let body = Full::from(payload(first + sent * CONNECTIONS, 0));
        let request = http::Request::post("/0").header("host", "127.0.0.1").body(body)?;
        connection.ready().await?;
        let answer = connection.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("answered {}", answer.status()).into());
        }
        sent += 1;
    }
    Ok(sent)
}

/// Synced commits of one row per second, one after the other.
pub(super) async fn commits(database: &str, during: Duration) -> Result<f64, String> {
    let mut commits = SyncedCommits::open(&database.parse()?).await?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < during {
        commits.commit().await?;
        count += 1;
    }
    Ok(rate(count, began.elapsed()))
}
