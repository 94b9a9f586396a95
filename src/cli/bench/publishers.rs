//! Publishing: as fast as answers come back, or at a fixed rate whatever they do.

use std::{
    collections::VecDeque,
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    access::{Access, Wire},
    arrivals::Arrivals,
    payload,
};
use crate::{
    cli::refusal::refused,
    grpc::proto::{
        BatchPublishEventsRequest, Event, PublishEventRequest, PublishOutcome,
        StreamPublishEventsRequest, event::Payload, event_service_client::EventServiceClient,
        publish_outcome::Outcome,
    },
};

/// Deliveries that may be on their way: publishers who find more wait, so that a load is over
/// soon after they end, and memory and disk do not depend on how long they go on.
const MOST_WAITING: usize = 50_000;
/// How long they wait before they look again; it is a small part of what so many take.
const HOLD: Duration = Duration::from_millis(1);
/// HTTP/2 connections that the publishers share.
const CONNECTIONS: usize = 4;

/// What events are published as.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Of the caller's own tenant where it is empty.
    pub tenant_id: String,
    /// The event type.
    pub event_name: String,
}

/// When publishers end.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// At that time.
    Time(Instant),
    /// When so many events were published, those of earlier runs among them.
    Events(usize),
}

impl From<Instant> for Until {
    fn from(time: Instant) -> Self {
        Self::Time(time)
    }
}

/// Events, numbered as they are asked for, whose topics take turns.
#[derive(Clone)]
struct Source {
    topics: Arc<[Topic]>,
    next: Arc<AtomicUsize>,
    arrivals: Arc<Arrivals>,
    most_waiting: usize,
    /// Whether each event has a request id and a ref id of its own.
    with_ids: bool,
}

/// The numbers of some events, and when they may be published.
type Turn = (Instant, Range<usize>);

impl Source {
    fn published(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    fn is_held_back(&self) -> bool {
        self.arrivals.waiting(self.published()) >= self.most_waiting
    }

    /// Up to `size` events that may be published now; none once it is over.
    async fn turn(&self, size: usize, until: Until) -> Option<Turn> {
        loop {
            let now = Instant::now();
            if matches!(until, Until::Time(time) if now >= time) {
                return None;
            }
            if !self.is_held_back() {
                return self.take(size, until).map(|numbers| (now, numbers));
            }
            tokio::time::sleep(HOLD).await;
        }
    }

    fn take(&self, size: usize, until: Until) -> Option<Range<usize>> {
        let end = |first: usize| match until {
            Until::Time(_) => first + size,
            Until::Events(count) => (first + size).min(count),
        };
        let taken = self.next.try_update(Ordering::Relaxed, Ordering::Relaxed, |first| {
            (end(first) > first).then(|| end(first))
        });
        taken.ok().map(|first| first..end(first))
    }

    fn event(&self, n: usize, due: Instant) -> Event {
        let topic = &self.topics[n % self.topics.len()];
        let id = |of: fn(usize) -> String| if self.with_ids { of(n) } else { String::new() };
        Event {
            tenant_id: topic.tenant_id.clone(),
            event_name: topic.event_name.clone(),
            request_id: id(request_id),
            ref_id: id(ref_id),
            payload: Some(Payload::Json(payload(n, self.arrivals.stamp(due)))),
            ..Default::default()
        }
    }
}

/// The request id of event `n`, where events have one.
pub fn request_id(n: usize) -> String {
    format!("request-{n}")
}

/// The ref id of event `n`, where events have one.
pub fn ref_id(n: usize) -> String {
    format!("ref-{n}")
}

/// Clients that publish events.
pub struct Publishers {
    clients: Vec<EventServiceClient<Wire>>,
    source: Source,
}

impl Publishers {
    /// Publishers of events of that name, which arrive there.
    pub fn new(access: &Access, event_name: &str, arrivals: Arc<Arrivals>) -> Self {
        let topic = Topic { tenant_id: String::new(), event_name: event_name.to_owned() };
        Self::in_turns(access, vec![topic], arrivals)
    }

    /// Publishers of events that take turns: event `n` is of topic `n % topics.len()`. All of
    /// one tenant, where they are published in batches or streams.
    pub fn in_turns(access: &Access, topics: Vec<Topic>, arrivals: Arc<Arrivals>) -> Self {
        let (topics, next) = (topics.into(), Arc::default());
        let most_waiting = MOST_WAITING;
        let source = Source { topics, next, arrivals, most_waiting, with_ids: false };
        Self { clients: connect(access), source }
    }

    /// Their events have a [`request_id`] and a [`ref_id`].
    #[must_use]
    pub fn with_ids(mut self) -> Self {
        self.source.with_ids = true;
        self
    }

    /// They wait where so many deliveries are on their way, and not only at 50,000.
    #[must_use]
    pub fn holding_back_at(mut self, deliveries: usize) -> Self {
        self.source.most_waiting = deliveries;
        self
    }

    /// Goes on at another server, or the same one after a restart.
    #[must_use]
    pub fn at(self, access: &Access) -> Self {
        Self { clients: connect(access), ..self }
    }

    /// How many events were published so far.
    pub fn published(&self) -> usize {
        self.source.published()
    }

    /// Publishes events one by one until it is over, `publishers` at a time, each as soon as
    /// the one before is answered. Returns how long each answer took.
    ///
    /// # Errors
    ///
    /// Where an event is refused.
    pub async fn unary(
        &self,
        publishers: usize,
        until: impl Into<Until>,
    ) -> Result<Vec<Duration>, String> {
        let until = until.into();
        self.each(publishers, "PublishEvent", |client, source| unary(client, source, until)).await
    }

    /// As [`Self::unary`], in batches of up to `size`.
    ///
    /// # Errors
    ///
    /// Where an event is refused.
    pub async fn batches(
        &self,
        publishers: usize,
        size: usize,
        until: impl Into<Until>,
    ) -> Result<Vec<Duration>, String> {
        let until = until.into();
        let publish = |client, source| batches(client, source, size, until);
        self.each(publishers, "BatchPublishEvents", publish).await
    }

    /// As [`Self::unary`], in streams that have up to `window` events not answered.
    pub(super) async fn streams(
        &self,
        publishers: usize,
        window: usize,
        until: Instant,
    ) -> Result<Vec<Duration>, String> {
        let until = until.into();
        let publish = |client, source| stream(client, source, window, until);
        self.each(publishers, "StreamPublishEvents", publish).await
    }

    async fn each<F>(
        &self,
        publishers: usize,
        call: &str,
        publish: impl Fn(EventServiceClient<Wire>, Source) -> F,
    ) -> Result<Vec<Duration>, String>
    where
        F: Future<Output = Result<Vec<Duration>, Status>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for client in self.clients.iter().cycle().take(publishers) {
            tasks.spawn(publish(client.clone(), self.source.clone()));
        }
        finish(tasks, call).await
    }

    /// Publishes events at times that do not depend on the answers, so many a second, and
    /// waits for the answers. Returns how long each took.
    ///
    /// # Errors
    ///
    /// Where an event is refused.
    pub async fn at_rate(
        &self,
        per_second: u32,
        during: Duration,
    ) -> Result<Vec<Duration>, String> {
        let mut dues = ticks(per_second, during)?;
        let mut tasks = JoinSet::new();
        while let Some(due) = dues.recv().await {
            let n = self.source.next.fetch_add(1, Ordering::Relaxed);
            let event = self.source.event(n, due);
            let mut client = self.clients[tasks.len() % CONNECTIONS].clone();
            tasks.spawn(async move {
                let asked = Instant::now();
                publish(&mut client, event).await?;
                Ok(vec![asked.elapsed()])
            });
        }
        finish(tasks, "PublishEvent").await
    }
}

fn connect(access: &Access) -> Vec<EventServiceClient<Wire>> {
    let client = || EventServiceClient::new(access.wire());
    std::iter::repeat_with(client).take(CONNECTIONS).collect()
}

/// So many moments a second, each sent when it has come. From a thread: the runtime's timers
/// are as coarse as a millisecond.
fn ticks(per_second: u32, during: Duration) -> Result<mpsc::UnboundedReceiver<Instant>, String> {
    let (due, dues) = mpsc::unbounded_channel();
    let began = Instant::now() + Duration::from_millis(5);
    let tick = move || {
        for n in 0.. {
            let after = Duration::from_secs(1) * n / per_second;
            let at = began + after;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            // Where the measurement has failed, nobody listens any more.
            if after >= during || due.send(at).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("ticks".into()).spawn(tick);
    thread.map_err(|e| format!("the publishers do not start: {e}"))?;
    Ok(dues)
}

async fn finish(
    mut tasks: JoinSet<Result<Vec<Duration>, Status>>,
    call: &str,
) -> Result<Vec<Duration>, String> {
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|panic| format!("a publisher failed: {panic}"))?;
        took.extend(done.map_err(|status| refused(call, &status))?);
    }
    Ok(took)
}

async fn publish(client: &mut EventServiceClient<Wire>, event: Event) -> Result<(), Status> {
    let request = PublishEventRequest {
        tenant_id: event.tenant_id.clone(),
        event: Some(event),
        ..Default::default()
    };
    client.publish_event(request).await.map(drop)
}

async fn unary(
    mut client: EventServiceClient<Wire>,
    source: Source,
    until: Until,
) -> Result<Vec<Duration>, Status> {
    let mut took = Vec::new();
    while let Some((asked, numbers)) = source.turn(1, until).await {
        publish(&mut client, source.event(numbers.start, asked)).await?;
        took.push(asked.elapsed());
    }
    Ok(took)
}

async fn batches(
    mut client: EventServiceClient<Wire>,
    source: Source,
    size: usize,
    until: Until,
) -> Result<Vec<Duration>, Status> {
    let mut took = Vec::new();
    while let Some((asked, numbers)) = source.turn(size, until).await {
        let events = numbers.map(|n| source.event(n, asked)).collect();
        let request = BatchPublishEventsRequest { events, ..Default::default() };
        for outcome in client.batch_publish_events(request).await?.into_inner().outcomes {
            accepted(Some(outcome))?;
        }
        took.push(asked.elapsed());
    }
    Ok(took)
}

async fn stream(
    mut client: EventServiceClient<Wire>,
    source: Source,
    window: usize,
    until: Until,
) -> Result<Vec<Duration>, Status> {
    let (requests, outgoing) = mpsc::channel(window);
    let mut requests = Some(requests);
    let mut answers =
        client.stream_publish_events(ReceiverStream::new(outgoing)).await?.into_inner();
    let (mut waiting, mut took) = (VecDeque::with_capacity(window), Vec::new());
    loop {
        while waiting.len() < window
            && let Some(open) = &requests
        {
            // Answers are read before it waits.
            if !waiting.is_empty() && source.is_held_back() {
                break;
            }
            let Some((asked, numbers)) = source.turn(1, until).await else {
                requests = None;
                break;
            };
            let event = Some(source.event(numbers.start, asked));
            let sequence = (took.len() + waiting.len()) as u64;
            let request = StreamPublishEventsRequest { sequence, event, ..Default::default() };
            // Where it has ended, the answers say why.
            if open.send(request).await.is_err() {
                break;
            }
            waiting.push_back(asked);
        }
        match (answers.message().await?, waiting.pop_front()) {
            (Some(answer), Some(asked)) => {
                accepted(answer.outcome)?;
                took.push(asked.elapsed());
            }
            (None, None) => return Ok(took),
            _ => return Err(Status::internal("answers do not match what was sent")),
        }
    }
}

/// An event of several was taken in.
fn accepted(outcome: Option<PublishOutcome>) -> Result<(), Status> {
    match outcome.and_then(|outcome| outcome.outcome) {
        Some(Outcome::Result(_)) => Ok(()),
        Some(Outcome::Error(error)) => Err(Status::new(error.code.into(), error.message)),
        None => Err(Status::internal("an event has no outcome")),
    }
}
