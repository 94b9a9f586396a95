//! `StreamPublishEvents`: publishing without end.
//!
//! A reader takes requests from the connection while the ones before them are
//! being stored; a worker stores together what has gathered and answers in order.
//! What is in memory per stream is bounded, so a client that publishes faster
//! than the store takes it is held back by flow control. When the client goes
//! away, both end; when it is done sending, what it sent is still answered.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream::BoxStream};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Extensions, Request, Status, Streaming};

use super::{
    convert::event::read_event,
    events::show_outcome,
    fault_details::restate,
    proto::{StreamPublishEventsRequest, StreamPublishEventsResponse},
    scoped::{Handlers, check_tenant},
};
use crate::{
    domain::{
        error::{Error, Reason},
        id::TenantId,
        limits,
    },
    service::{
        events::{Incoming, Published},
        scope::Scope,
    },
};

/// Events that are stored together, at most.
const CHUNK_EVENTS: usize = 256;
/// Bytes that are stored together; an event more where the last one passes it.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes of requests of one stream that are read and not answered yet.
const UNANSWERED_BYTES: usize = limits::REQUEST_BYTES;

type Answer = Result<StreamPublishEventsResponse, Status>;

/// A request that waits for its answer, and its share of the stream's memory.
struct Waiting {
    request: StreamPublishEventsRequest,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// Starts to read, to publish and to answer.
pub(super) fn answer(
    handlers: Handlers,
    request: Request<Streaming<StreamPublishEventsRequest>>,
) -> BoxStream<'static, Answer> {
    let (_, extensions, requests) = request.into_parts();
    let (answers, answered) = mpsc::channel(CHUNK_EVENTS);
    tokio::spawn(async move {
        let (waiting, queue) = mpsc::channel(CHUNK_EVENTS);
        let _reader = AbortOnDropHandle::new(tokio::spawn(read(requests, waiting)));
        let worker = Worker { handlers, extensions, scope: None, order: Order::default() };
        let end = tokio::select! {
            biased;
            // The client is gone.
            () = answers.closed() => return,
            end = worker.run(queue, &answers) => end,
        };
        if let Err(status) = end {
            // Where nobody is left to hear it, nothing is lost.
            answers.send(Err(status)).await.ok();
        }
    });
    ReceiverStream::new(answered).boxed()
}

/// Reads requests while there is room for them. A stream that breaks ends with its error.
async fn read(
    mut requests: impl Stream<Item = Result<StreamPublishEventsRequest, Status>> + Unpin,
    waiting: mpsc::Sender<Result<Waiting, Status>>,
) {
    let room = Arc::new(Semaphore::new(UNANSWERED_BYTES));
    while let Some(request) = requests.next().await {
        let read = match request {
            Ok(request) => {
                let bytes = request.encoded_len();
                let share = bytes.clamp(1, UNANSWERED_BYTES) as u32;
                let Ok(_room) = Arc::clone(&room).acquire_many_owned(share).await else { return };
                Ok(Waiting { request, bytes, _room })
            }
            Err(status) => Err(restate(&status)),
        };
        let broken = read.is_err();
        if waiting.send(read).await.is_err() || broken {
            return;
        }
    }
}

/// Publishes and answers, chunk by chunk.
struct Worker {
    handlers: Handlers,
    extensions: Extensions,
    /// Known once the first request has named the tenant.
    scope: Option<Scope>,
    order: Order,
}

impl Worker {
    /// Ends well when the client is done, else with what the stream ends with.
    async fn run(
        mut self,
        mut queue: mpsc::Receiver<Result<Waiting, Status>>,
        answers: &mpsc::Sender<Answer>,
    ) -> Result<(), Status> {
        loop {
            let (chunk, broken) = tokio::select! {
                biased;
                // An idle stream would keep the server from ending.
                () = self.handlers.services.events.draining() => {
                    return Err(Error::draining().into());
                }
                next = next_chunk(&mut queue) => next,
            };
            let done = chunk.is_empty();
            if let Some(first) = chunk.first() {
                let scope = match self.scope.take() {
                    Some(scope) => scope,
                    None => self.handlers.scope(&self.extensions, &first.request.tenant_id).await?,
                };
                self.publish(&scope, chunk, answers).await?;
                self.scope = Some(scope);
            }
            match broken {
                Some(status) => return Err(status),
                None if done => return Ok(()),
                None => {}
            }
        }
    }

    async fn publish(
        &mut self,
        scope: &Scope,
        chunk: Vec<Waiting>,
        answers: &mpsc::Sender<Answer>,
    ) -> Result<(), Status> {
        // Held until they are answered.
        let (mut rooms, mut read) = (Vec::new(), Vec::new());
        for Waiting { request, bytes: _, _room } in chunk {
            rooms.push(_room);
            read.push((request.sequence, self.order.read(request, &scope.tenant_id)));
        }
        let mut events = Vec::with_capacity(read.len());
        let refused: Vec<_> = (read.into_iter())
            .map(|(sequence, event)| (sequence, event.map(|event| events.push(event)).err()))
            .collect();
        let outcomes = if events.is_empty() {
            Ok(Vec::new())
        } else {
            self.handlers.services.events.publish_batch(scope, events, false).await
        };
        let draining =
            outcomes.as_ref().err().filter(|e| e.reason == Reason::ServerDraining).cloned();
        for answer in in_order(refused, outcomes) {
            if answers.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
        }
        // Nothing more will be accepted: let the client go to another server.
        draining.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// What has gathered, at least one request unless the stream is at its end; and
/// the error that it ends with, if it does.
async fn next_chunk(
    queue: &mut mpsc::Receiver<Result<Waiting, Status>>,
) -> (Vec<Waiting>, Option<Status>) {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    let mut next = queue.recv().await;
    while let Some(read) = next {
        match read {
            Ok(waiting) => {
                bytes += waiting.bytes;
                chunk.push(waiting);
            }
            Err(status) => return (chunk, Some(status)),
        }
        if chunk.len() >= CHUNK_EVENTS || bytes >= CHUNK_BYTES {
            break;
        }
        next = queue.try_recv().ok();
    }
    (chunk, None)
}

/// Answers in the order of the requests: where one was not refused, the next
/// outcome is its own, or the error that all of them share.
fn in_order(
    refused: Vec<(u64, Option<Error>)>,
    outcomes: Result<Vec<Result<Published, Error>>, Error>,
) -> impl Iterator<Item = StreamPublishEventsResponse> {
    let (outcomes, shared) = match outcomes {
        Ok(outcomes) => (outcomes, None),
        // Restated once, so that an internal error is logged once.
        Err(error) => (Vec::new(), Some(show_outcome(Err(error)))),
    };
    let mut outcomes = outcomes.into_iter();
    refused.into_iter().map(move |(sequence, refused)| {
        let outcome = match (refused, &shared) {
            (Some(error), _) => show_outcome(Err(error)),
            (None, Some(shared)) => shared.clone(),
            (None, None) => show_outcome(outcomes.next().unwrap_or_else(|| {
                Err(Error::new(Reason::Internal, "a batch has fewer outcomes than events"))
            })),
        };
        StreamPublishEventsResponse { sequence, outcome: Some(outcome) }
    })
}

/// What a stream has seen so far.
#[derive(Default)]
struct Order {
    last_sequence: Option<u64>,
}

impl Order {
    /// Reads one request. An error is about this event alone.
    fn read(
        &mut self,
        request: StreamPublishEventsRequest,
        tenant: &TenantId,
    ) -> Result<Incoming, Error> {
        let StreamPublishEventsRequest { tenant_id, sequence, event } = request;
        let rises = self.last_sequence.is_none_or(|last| sequence > last);
        if rises {
            self.last_sequence = Some(sequence);
        }
        let event = super::scoped::required(event, "event")?;
        let mut event = read_event(event, "event", tenant);
        if !rises {
            event.faults.invalid("sequence", "must be greater than those before");
        }
        check_tenant(&mut event.faults, "tenant_id", &tenant_id, tenant);
        Ok(event)
    }
}

#[cfg(test)]
#[path = "publish_stream_tests.rs"]
mod tests;
