//! A connection that is open, and the exchange of one request for one answer on it.
//!
//! hyper splits a connection into a handle that requests go into and a future that does the I/O.
//! That future is usually spawned. Here it is polled by whoever waits for something to come of it,
//! which saves two switches between tasks for each request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::failure::{Fault, Phase};
use super::http_sender::HttpSender;
use super::message::{Answer, HttpRequest, Limits};
use super::stream::Stream;
use super::target::Origin;

/// Most that is buffered of what a receiver sends, and so the limit of its headers. Their number is
/// limited to 100 by hyper's default; saying so explicitly would cost an allocation per answer.
const MAX_BUFFER: usize = 64 * 1024;

/// After this long without a request it is worth a turn of the scheduler to learn whether the
/// receiver has closed the connection in the meantime.
const FRESH: Duration = Duration::from_millis(1);

pub(super) struct Open {
    requests: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    origin: Origin,
    last_used: Instant,
}

/// What came of a request.
pub(super) enum Exchange {
    /// It was answered. `reusable` says whether another request can follow.
    Answered { answer: Answer, reusable: bool },
    /// The connection was closed before a byte was written: here is the request again.
    Unsent(Box<HttpRequest>),
}

impl Open {
    /// Connects. See [`HttpSender::connect`] about the deadline.
    pub(super) async fn connect(
        sender: &HttpSender,
        origin: &Origin,
        deadline: Instant,
        phase: &mut Phase,
    ) -> Result<Self, Fault> {
        let stream = sender.connect(origin, deadline, phase).await?;
        let (requests, connection) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Fault::http(&error))?;
        Ok(Self {
            requests,
            driver: Driver(Some(Box::pin(connection))),
            origin: origin.clone(),
            last_used: Instant::now(),
        })
    }

    pub(super) fn leads_to(&self, origin: &Origin) -> bool {
        self.origin == *origin
    }

    /// Waits until the connection is closed.
    pub(super) async fn closed(&mut self) {
        poll_fn(|cx| self.driver.poll(cx)).await;
    }

    /// Sends one request and reads its answer.
    pub(super) async fn exchange(
        &mut self,
        request: HttpRequest,
        limits: &Limits,
        phase: &mut Phase,
    ) -> Result<Exchange, Fault> {
        *phase = Phase::Answer;
        let mut started = Instant::now();
        if started - self.last_used > FRESH {
            // Lets the runtime ask the operating system for news, so that a connection that was
            // closed while nobody looked is found out before the request is written to it.
            tokio::task::yield_now().await;
            started = Instant::now();
        }
        let sent = self.requests.try_send_request(request);
        let response = match self.driver.drive(sent).await {
            Ok(response) => response,
            Err(mut error) => {
                return match error.take_message() {
                    Some(request) => Ok(Exchange::Unsent(Box::new(request))),
                    None => Err(Fault::http(&error.into_error())),
                };
            }
        };
        *phase = Phase::Body;
        let (head, body) = response.into_parts();
        let (excerpt, complete) = self.read(body, limits).await?;
        let reusable = complete && self.is_ready_again().await;
        self.last_used = Instant::now();
        Ok(Exchange::Answered {
            answer: Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                excerpt,
                time_taken: self.last_used - started,
            },
            reusable,
        })
    }

    /// Reads a body, keeps its beginning, and says whether its end was reached.
    async fn read(&mut self, mut body: Incoming, limits: &Limits) -> Result<(Bytes, bool), Fault> {
        let mut excerpt = BytesMut::new();
        let mut total = 0;
        // Asking whether this is the end, rather than for the next frame, saves waiting for one
        // where the length is known.
        while !body.is_end_stream() {
            let Some(frame) = self.driver.drive(body.frame()).await else {
                break;
            };
            let frame = frame.map_err(|error| Fault::http(&error))?;
            let Ok(data) = frame.into_data() else {
                continue; // trailers
            };
            total += data.len();
            // Copied: a slice would keep the whole read buffer alive.
            let room = limits.excerpt_bytes - excerpt.len();
            excerpt.extend_from_slice(&data[..data.len().min(room)]);
            let known = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            let too_long = total.saturating_add(known) > limits.drain_bytes;
            // A body announced as too long is not worth reading further than the excerpt.
            if too_long && (excerpt.len() == limits.excerpt_bytes || total >= limits.drain_bytes) {
                return Ok((excerpt.freeze(), false));
            }
        }
        Ok((excerpt.freeze(), true))
    }

    /// Whether another request can follow. That is not so when either side said that this was the
    /// last one, or when the answer came before the request was written.
    async fn is_ready_again(&mut self) -> bool {
        if !self.requests.is_ready() {
            // The connection may not have noticed yet that the end of the body was the end.
            poll_fn(|cx| {
                let _ = self.driver.poll(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.driver.is_open() && self.requests.is_ready()
    }
}

/// The future that does the I/O of a connection; `None` once that has ended.
///
/// It is dropped when it ends, because that is what makes hyper hand back a request that is still
/// queued.
struct Driver(Option<Pin<Box<Http>>>);

type Http = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

impl Driver {
    fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Ready when the connection is closed. Why is told to the request or the body it happened to.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.0 {
            if connection.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.0 = None;
        }
        Poll::Ready(())
    }

    /// Waits for something that comes about by the I/O of the connection, doing that I/O.
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            // First the I/O: `wanted` can only be ready because of it.
            let _ = self.poll(cx);
            wanted.as_mut().poll(cx)
        })
        .await
    }
}
