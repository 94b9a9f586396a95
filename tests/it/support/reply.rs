//! What a scripted receiver answers, and how.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};

/// What a script answers: [`Reply::status`] and the like, then refined step by step.
pub(crate) struct Reply {
    pub(super) kind: Kind,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) after: Duration,
    pub(super) held_by: Option<Arc<Semaphore>>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Whole,
    Drip(Duration),
    Endless,
    CutOff,
    Never,
    Reset,
}

impl Reply {
    /// This status, with an empty body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            kind: Kind::Whole,
            status: StatusCode::from_u16(status).expect("a status code"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            after: Duration::ZERO,
            held_by: None,
        }
    }

    /// No answer at all; the connection stays open.
    pub(crate) fn never() -> Self {
        Self::of(Kind::Never)
    }

    /// No answer; the connection is reset.
    pub(crate) fn reset() -> Self {
        Self::of(Kind::Reset)
    }

    /// 200 and a body without end, as fast as it goes.
    pub(crate) fn endless() -> Self {
        Self::of(Kind::Endless)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, ..Self::status(200) }
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header. Panics when it is malformed.
    pub(crate) fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: Debug>,
        V: TryInto<HeaderValue, Error: Debug>,
    {
        let name = name.try_into().expect("a header name");
        self.headers.append(name, value.try_into().expect("a header value"));
        self
    }

    /// Waits before answering (or resetting).
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }

    /// Waits for a permit before answering (or resetting), and uses it up. `add_permits(n)` lets n
    /// answers go; `close()` lets all go, later ones too.
    pub(crate) fn held_by(mut self, gate: Arc<Semaphore>) -> Self {
        self.held_by = Some(gate);
        self
    }

    /// Sends the body one byte at a time, with this wait before each.
    pub(crate) fn drip(mut self, every: Duration) -> Self {
        self.kind = Kind::Drip(every);
        self
    }

    /// Announces one byte more than the body has, sends the body, then resets the connection.
    pub(crate) fn cut_off(mut self) -> Self {
        self.kind = Kind::CutOff;
        self
    }

    /// Closes the connection after the answer and says so (`Connection: close`).
    pub(crate) fn close(self) -> Self {
        self.header("connection", "close")
    }
}

/// Sends the body as the kind of reply says. `T` is kept until that is done.
pub(super) struct ReplyBody<T> {
    kind: Kind,
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    _kept: T,
}

impl<T> ReplyBody<T> {
    pub(super) fn new(kind: Kind, body: Bytes, kept: T) -> Self {
        Self { kind, rest: body, pause: None, _kept: kept }
    }
}

impl<T: Unpin> Body for ReplyBody<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let data = match this.kind {
            Kind::Endless => Bytes::from_static(&[b'x'; 16 * 1024]),
            Kind::CutOff if this.rest.is_empty() => {
                return match this.pause.take() {
                    // One turn in between lets hyper write what it has.
                    None => {
                        this.pause = Some(Box::pin(sleep(Duration::ZERO)));
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Some(_) => Poll::Ready(Some(Err(io::Error::other("the script cuts it off")))),
                };
            }
            _ if this.rest.is_empty() => return Poll::Ready(None),
            Kind::Drip(every) => {
                let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(every)));
                std::task::ready!(pause.as_mut().poll(cx));
                this.pause = None;
                this.rest.split_to(1)
            }
            _ => std::mem::take(&mut this.rest),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !matches!(self.kind, Kind::Endless | Kind::CutOff)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        match self.kind {
            Kind::Endless => SizeHint::default(),
            Kind::CutOff => SizeHint::with_exact(rest + 1),
            _ => SizeHint::with_exact(rest),
        }
    }
}
