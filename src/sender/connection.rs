//! The connection a delivery worker owns: opened when needed, kept while it is good.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::failure::{Failure, Fault, Phase};
use super::http_sender::HttpSender;
use super::message::{Answer, Limits, Request};
use super::open::{Exchange, Open};
use super::target::Target;

/// Longer timeouts are cut to a day, so that adding one to the time cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// At most one kept-alive HTTP/1.1 connection, used for one request at a time.
pub struct Connection {
    sender: Arc<HttpSender>,
    open: Option<Open>,
    /// Kept from request to request: the runtime's timers are behind a lock, which setting one to
    /// a later time does not take.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// A connection that is not open yet; the first request opens it.
    pub fn new(sender: Arc<HttpSender>) -> Self {
        Self { sender, open: None, timer: None }
    }

    /// Sends one request and waits for its answer. Connects when there is no connection, when the
    /// one there is leads elsewhere, or when it was closed before the request could be written.
    ///
    /// The connection is kept when the answer was read to its end and the receiver agrees.
    ///
    /// Cancel safe: a call that is dropped midway closes the connection, and the receiver may or
    /// may not have got the request.
    ///
    /// # Errors
    ///
    /// When there is no complete answer within [`Limits::timeout`]. The receiver may have got the
    /// request nevertheless. The connection is closed.
    pub async fn send(
        &mut self,
        target: &Target,
        request: Request,
        limits: &Limits,
    ) -> Result<Answer, Failure> {
        let began = Instant::now();
        let deadline = began + limits.timeout.min(LONGEST);
        let mut phase = Phase::Resolving;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().reset(deadline);
        let (sender, open) = (&self.sender, &mut self.open);
        let exchange = exchange(sender, open, target, request, limits, deadline, &mut phase);
        let answered = tokio::select! {
            biased;
            answered = exchange => answered,
            () = timer => Err(Fault::timeout(limits.timeout, phase)),
        };
        answered.map_err(|fault| fault.after(began.elapsed()))
    }

    /// Resolves when the receiver has closed the idle connection, which is then discarded; never
    /// while there is none. Cancel safe.
    ///
    /// For a worker that waits for work: it learns of a closed connection at once, instead of by
    /// the next request.
    pub async fn closed(&mut self) {
        match &mut self.open {
            Some(open) => open.closed().await,
            None => std::future::pending().await,
        }
        self.open = None;
    }

    /// Closes the connection, if there is one.
    pub fn disconnect(&mut self) {
        self.open = None;
    }
}

async fn exchange(
    sender: &HttpSender,
    open: &mut Option<Open>,
    target: &Target,
    request: Request,
    limits: &Limits,
    deadline: Instant,
    phase: &mut Phase,
) -> Result<Answer, Fault> {
    let mut request = request.into_http(target);
    // Taken out, and put back only when all went well: a call that fails or is dropped takes
    // the connection with it.
    if let Some(mut kept) = open.take()
        && kept.leads_to(&target.origin)
    {
        match kept.exchange(request, limits, phase).await? {
            Exchange::Answered { answer, reusable } => {
                *open = reusable.then_some(kept);
                return Ok(answer);
            }
            Exchange::Unsent(unsent) => request = *unsent,
        }
    }
    // Boxed, because it is rare and would make every call's future several times as large.
    let fresh = Open::connect(sender, &target.origin, deadline, phase);
    let mut fresh = Box::pin(fresh).await?;
    match fresh.exchange(request, limits, phase).await? {
        Exchange::Answered { answer, reusable } => {
            *open = reusable.then_some(fresh);
            Ok(answer)
        }
        Exchange::Unsent(_) => {
            Err(Fault::connection("the connection was closed before the request was sent"))
        }
    }
}
