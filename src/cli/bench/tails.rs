//! Clients that follow the log, and do as little as they can with what it tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost_types::Timestamp;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tonic::{Request, Status, Streaming, client::Grpc};
use tonic_prost::ProstCodec;

use super::{
    access::{Access, Wire},
    figures::Sample,
    report::TailFigures,
};
use crate::{
    cli::refusal::refused,
    grpc::proto::{ChangeKind, TailEventLogsRequest},
    server::SystemClock,
};

const CALL: &str = "TailEventLogs";
const METHOD: &str = "/tidings.v1.EventLogService/TailEventLogs";
/// HTTP/2 connections that the tails share.
const CONNECTIONS: usize = 10;
/// Most changes in one message.
const BATCH: i32 = 500;
/// How long changes may be missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// As much of a `TailEventLogsResponse` as is looked at: decoding the rest for each of many
/// tails would be most of what the benchmark does.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(message, optional, tag = "2")]
    opened: Option<()>,
    #[prost(message, optional, tag = "3")]
    event_logs: Option<Batch>,
    #[prost(message, optional, tag = "7")]
    gap: Option<()>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Change {
    #[prost(int64, tag = "1")]
    sequence: i64,
    #[prost(message, optional, tag = "2")]
    change_time: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    event_log: Option<EventLog>,
    #[prost(enumeration = "ChangeKind", tag = "4")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EventLog {
    #[prost(bytes = "bytes", tag = "7")]
    webhook_id: Bytes,
}

/// Tails of all records, each read by a task of its own.
pub(super) struct Tails {
    tasks: JoinSet<Result<Vec<Duration>, String>>,
    shared: Arc<Shared>,
}

/// What all tails know.
struct Shared {
    webhooks: Vec<Bytes>,
    /// Changes before this time are not measured, microseconds.
    since: AtomicI64,
    /// So many deliveries have to be seen settled.
    wanted: tokio::sync::watch::Sender<Option<usize>>,
}

impl Tails {
    /// Opens so many tails that follow the log from now on.
    pub(super) async fn open(
        access: &Access,
        count: usize,
        webhooks: &[String],
    ) -> Result<Self, String> {
        let webhooks = webhooks.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
        let wanted = tokio::sync::watch::Sender::new(None);
        let shared = Arc::new(Shared { webhooks, since: AtomicI64::new(i64::MAX), wanted });
        let wires: Vec<_> =
            std::iter::repeat_with(|| access.wire()).take(CONNECTIONS.min(count)).collect();
        let mut tasks = JoinSet::new();
        for wire in wires.iter().cycle().take(count) {
            let messages = open(wire.clone()).await.map_err(|status| refused(CALL, &status))?;
            tasks.spawn(Tail::new(messages, Arc::clone(&shared)).follow());
        }
        Ok(Self { tasks, shared })
    }

    /// Measures the lag of changes that are made from now on.
    pub(super) fn measure_from_now(&self) {
        self.shared.since.store(SystemClock.now().micros(), Ordering::Relaxed);
    }

    /// Waits until each tail has seen so many deliveries settled. By how much deliveries were
    /// slowed is for those to say who know another load.
    ///
    /// # Errors
    ///
    /// Where one of them misses something.
    pub(super) async fn finish(self, deliveries: usize) -> Result<Option<TailFigures>, String> {
        let Self { mut tasks, shared } = self;
        if tasks.is_empty() {
            return Ok(None);
        }
        shared.wanted.send_replace(Some(deliveries));
        let deadline = Instant::now() + PATIENCE;
        let (tails, mut lags) = (tasks.len(), Vec::new());
        loop {
            let done = timeout_at(deadline, tasks.join_next()).await;
            let done = done.map_err(|_| "tails miss changes".to_owned())?;
            let Some(done) = done else { break };
            lags.extend(done.map_err(|panic| format!("a tail failed: {panic}"))??);
        }
        let lags = Sample::new(lags);
        Ok(Some(TailFigures {
            tails,
            changes: lags.count(),
            lag_ms: lags.quantiles(),
            slowed_by: 0.0,
        }))
    }
}

async fn open(wire: Wire) -> Result<Streaming<Message>, Status> {
    let mut client = Grpc::new(wire);
    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let request = TailEventLogsRequest { max_batch_size: BATCH, ..Default::default() };
    let codec: ProstCodec<TailEventLogsRequest, Message> = ProstCodec::default();
    let path = PathAndQuery::from_static(METHOD);
    let mut messages =
        client.server_streaming(Request::new(request), path, codec).await?.into_inner();
    match messages.message().await? {
        Some(Message { opened: Some(()), .. }) => Ok(messages),
        _ => Err(Status::internal("it did not begin with its beginning")),
    }
}

/// One tail.
struct Tail {
    messages: Streaming<Message>,
    shared: Arc<Shared>,
    last: Option<i64>,
    settled: usize,
    lags: Vec<Duration>,
}

impl Tail {
    fn new(messages: Streaming<Message>, shared: Arc<Shared>) -> Self {
        Self { messages, shared, last: None, settled: 0, lags: Vec::new() }
    }

    /// Reads until all that is wanted was seen. Returns the lags.
    async fn follow(mut self) -> Result<Vec<Duration>, String> {
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            if wanted.borrow_and_update().is_some_and(|wanted| self.settled >= wanted) {
                return Ok(self.lags);
            }
            tokio::select! {
                message = self.messages.message() => match message {
                    Ok(Some(Message { gap: None, event_logs, .. })) => {
                        self.take(event_logs.unwrap_or_default().changes)?;
                    }
                    Ok(_) => return Err("a tail has a gap or has ended".to_owned()),
                    Err(status) => return Err(refused(CALL, &status)),
                },
                // Whoever wants something is there as long as this task is.
                _ = wanted.changed() => {}
            }
        }
    }

    fn take(&mut self, changes: Vec<Change>) -> Result<(), String> {
        let since = self.shared.since.load(Ordering::Relaxed);
        let now = SystemClock.now().micros();
        for change in changes {
            if let Some(last) = self.last
                && change.sequence != last + 1
            {
                return Err(format!("a tail has {} after {last}", change.sequence));
            }
            self.last = Some(change.sequence);
            let time = change.change_time.unwrap_or_default();
            let made = time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000;
            if made >= since {
                self.lags.push(Duration::from_micros((now - made).try_into().unwrap_or(0)));
            }
            let webhook = change.event_log.map(|log| log.webhook_id).unwrap_or_default();
            if change.kind == ChangeKind::Settled as i32 && self.shared.webhooks.contains(&webhook)
            {
                self.settled += 1;
            }
        }
        Ok(())
    }
}
