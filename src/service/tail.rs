//! One tail: a cursor that moves along the journal, and a client that may be slow.
//!
//! The journal is the only source; a wake-up says that there may be more of it.
//! A small bounded channel stands between the cursor and the client, so that a
//! client that does not read makes the cursor wait, and nothing else.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{open_tails::OpenTail, scope::Scope};
use crate::{
    domain::{
        delivery::Change,
        error::{Error, OLDEST_RESUME_TOKEN, Reason, Result},
        id::{Position, TenantId, TenantKey},
        tail::{GapCause, Lag, SlowConsumerPolicy, TailBody, TailMessage, TailRequest, TailStart},
        time::Timestamp,
        token::{DatabaseId, read_resume_token, resume_token},
    },
    engine::Clock,
    store::{JournalBounds, JournalPage, Store},
};

/// Messages between the cursor and a client.
const BUFFER: usize = 4;
/// Entries read at a time where the filter lets few through.
const PAGE: usize = 500;
/// Wait before the journal is read again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a tail reads from.
pub(super) struct Source {
    store: Store,
    clock: Arc<dyn Clock>,
    tenant_key: TenantKey,
    tenant_id: TenantId,
    database: DatabaseId,
    max_lag: i64,
}

impl Source {
    pub(super) fn new(store: &Store, clock: &Arc<dyn Clock>, scope: &Scope, max_lag: i64) -> Self {
        Self {
            store: store.clone(),
            clock: Arc::clone(clock),
            tenant_key: scope.tenant_key,
            tenant_id: scope.tenant_id.clone(),
            database: store.database_id(),
            max_lag,
        }
    }

    fn token(&self, position: Position) -> String {
        resume_token(self.database, &self.tenant_id, position)
    }

    async fn first_position(&self, start: &TailStart, bounds: &JournalBounds) -> Result<Position> {
        Ok(match start {
            TailStart::Latest => bounds.head,
            TailStart::Earliest => bounds.floor,
            TailStart::Time(time) => self.store.position_before(self.tenant_key, *time).await?,
            TailStart::Token(token) => {
                let position = read_resume_token(token, self.database, &self.tenant_id)?;
                if position > bounds.head {
                    let message = "is from another history of this database";
                    return Err(Error::field("resume_token", Reason::ResumeTokenInvalid, message));
                }
                if position < bounds.floor {
                    let message = "the resume token is older than the log's retention";
                    let oldest = self.token(bounds.floor);
                    return Err(Error::new(Reason::ResumeTokenExpired, message)
                        .with(OLDEST_RESUME_TOKEN, oldest));
                }
                position
            }
        })
    }
}

/// Starts a tail.
pub(super) async fn start(
    source: Source,
    request: TailRequest,
    open: OpenTail,
    draining: CancellationToken,
) -> Result<mpsc::Receiver<Result<TailMessage>>> {
    // Registered before reading: what is written from here on is a change.
    let head = source.store.watch_head(source.tenant_key);
    let bounds = source.store.journal_bounds(source.tenant_key).await?;
    let position = source.first_position(&request.start, &bounds).await?;
    let (messages, receiver) = mpsc::channel(BUFFER);
    let mut tail = Tail { source, request, messages, head, position, live: false };
    tail.opened(&bounds).await;
    tokio::spawn(async move {
        let _open = open;
        let end = tokio::select! {
            end = tail.run() => end,
            () = draining.cancelled() => Err(Some(Error::draining())),
        };
        if let Err(Some(error)) = end {
            // Waits until the client reads on, or has gone.
            let _ = tail.messages.send(Err(error)).await;
        }
    });
    Ok(receiver)
}

struct Tail {
    source: Source,
    request: TailRequest,
    messages: mpsc::Sender<Result<TailMessage>>,
    head: watch::Receiver<Position>,
    /// Everything up to here was read.
    position: Position,
    /// Whether the client was told that it is at the head.
    live: bool,
}

/// The end of a tail: with an error for the client, or because it has gone.
type End = Option<Error>;

impl Tail {
    async fn run(&mut self) -> std::result::Result<(), End> {
        let mut batch = Vec::new();
        loop {
            self.head.mark_unchanged();
            let page = tokio::select! {
                page = self.read() => page,
                () = self.messages.closed() => return Err(None),
            };
            let at_head = self.take(page, &mut batch).await?;
            if !at_head {
                continue;
            }
            if !batch.is_empty() && self.live && !self.request.max_batch_delay.is_zero() {
                // There may be more soon; the client allows a wait for it.
                self.fill(&mut batch).await?;
            }
            self.send_changes(&mut batch).await?;
            if !self.live {
                self.live = true;
                let server_time = self.source.clock.now();
                self.send(TailBody::CaughtUp { server_time }).await?;
                if self.request.stop_when_caught_up {
                    return Ok(());
                }
            }
            self.wait().await?;
        }
    }

    async fn read(&self) -> JournalPage {
        loop {
            let Source { store, tenant_key, .. } = &self.source;
            match store.journal_after(*tenant_key, self.position, PAGE).await {
                Ok(page) => return page,
                // The database is away: the tail waits with everybody else.
                Err(_) => tokio::time::sleep(AFTER_ERROR).await,
            }
        }
    }

    /// Takes over a page; says whether it reached the head.
    async fn take(
        &mut self,
        page: JournalPage,
        batch: &mut Vec<Change>,
    ) -> std::result::Result<bool, End> {
        let JournalPage { changes, bounds } = page;
        let first = changes.first().map_or(bounds.floor, |first| Position(first.position.0 - 1));
        if first > self.position {
            self.send_changes(batch).await?;
            self.position = first;
            self.gap(GapCause::Retention, 0, None, None).await?;
        }
        let end = changes.last().map_or(self.position, |last| last.position);
        let at_head = changes.len() < PAGE;
        for change in changes {
            self.position = change.position;
            if self.request.filter.takes(&change.record) {
                batch.push(change);
                if batch.len() == self.request.max_batch_size {
                    self.send_changes(batch).await?;
                }
            }
        }
        self.position = end;
        if self.live && bounds.head.0 - self.position.0 > self.source.max_lag {
            self.send_changes(batch).await?;
            self.too_slow(&bounds).await?;
            return Ok(false);
        }
        Ok(at_head)
    }

    /// The client is too far behind: what its policy says happens.
    async fn too_slow(&mut self, bounds: &JournalBounds) -> std::result::Result<(), End> {
        match self.request.slow_consumer {
            SlowConsumerPolicy::CatchUp => {
                self.live = false;
                let lag = self.lag(bounds).await;
                self.send(TailBody::FellBehind(lag)).await
            }
            SlowConsumerPolicy::Skip => {
                let (store, tenant) = (&self.source.store, self.source.tenant_key);
                let skipped = bounds.head.0 - self.position.0;
                let start =
                    store.change_time(tenant, Position(self.position.0 + 1)).await.unwrap_or(None);
                self.position = bounds.head;
                // How many of them the filter would have let through is not known.
                let skipped =
                    if self.request.filter.is_empty() { skipped.unsigned_abs() } else { 0 };
                self.gap(GapCause::SlowConsumer, skipped, start, Some(bounds.head_time)).await
            }
            SlowConsumerPolicy::Disconnect => {
                let message = "the client reads too slowly and asked to be disconnected";
                let token = self.source.token(self.position);
                Err(Some(Error::new(Reason::SlowConsumer, message).with("resumeToken", token)))
            }
        }
    }

    /// Waits a little for more changes to come into the batch.
    async fn fill(&mut self, batch: &mut Vec<Change>) -> std::result::Result<(), End> {
        let full = tokio::time::sleep(self.request.max_batch_delay);
        tokio::pin!(full);
        while !batch.is_empty() && batch.len() < self.request.max_batch_size {
            tokio::select! {
                () = &mut full => return Ok(()),
                () = self.messages.closed() => return Err(None),
                changed = self.head.changed() => if changed.is_err() { return Ok(()) },
            }
            self.head.mark_unchanged();
            let page = self.read().await;
            if !self.take(page, batch).await? {
                // There is more already.
                self.head.mark_changed();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for more, and tells the client from time to time how far it is.
    async fn wait(&mut self) -> std::result::Result<(), End> {
        loop {
            tokio::select! {
                changed = self.head.changed() => {
                    // The writer is gone only when the process ends.
                    return if changed.is_ok() { Ok(()) } else { Err(Some(Error::draining())) };
                }
                () = self.messages.closed() => return Err(None),
                () = tokio::time::sleep(self.request.heartbeat) => self.progress().await?,
            }
        }
    }

    async fn progress(&mut self) -> std::result::Result<(), End> {
        let bounds = self.source.store.journal_bounds(self.source.tenant_key).await;
        let lag = match &bounds {
            Ok(bounds) => self.lag(bounds).await,
            Err(_) => Lag::default(),
        };
        let server_time = self.source.clock.now();
        self.send(TailBody::Progress { server_time, lag }).await?;
        // A missed wake-up costs no more than a heartbeat.
        if lag.changes > 0 {
            self.head.mark_changed();
        }
        Ok(())
    }

    async fn lag(&self, bounds: &JournalBounds) -> Lag {
        let changes = (bounds.head.0 - self.position.0).max(0);
        if changes == 0 {
            return Lag::default();
        }
        let (store, tenant) = (&self.source.store, self.source.tenant_key);
        let here = store.change_time(tenant, Position(self.position.0 + 1)).await.unwrap_or(None);
        Lag { changes, time: here.map_or(Duration::ZERO, |here| bounds.head_time.since(here)) }
    }

    async fn opened(&mut self, bounds: &JournalBounds) {
        let body = TailBody::Opened {
            server_time: self.source.clock.now(),
            heartbeat: self.request.heartbeat,
            oldest_token: self.source.token(bounds.floor),
        };
        // The first message always has room.
        let _ = self.send(body).await;
    }

    async fn gap(
        &mut self,
        cause: GapCause,
        skipped: u64,
        start_time: Option<Timestamp>,
        end_time: Option<Timestamp>,
    ) -> std::result::Result<(), End> {
        self.send(TailBody::Gap { cause, skipped, start_time, end_time }).await
    }

    async fn send_changes(&mut self, batch: &mut Vec<Change>) -> std::result::Result<(), End> {
        let Some(last) = batch.last().map(|last| last.position) else { return Ok(()) };
        let mut changes = std::mem::take(batch);
        if self.request.full {
            let records = changes.iter_mut().map(|change| &mut change.record);
            self.source.store.add_attempts(records).await.map_err(Some)?;
        }
        self.send_at(last, TailBody::Changes(changes)).await
    }

    /// Sends a message that stands after everything that was read so far.
    async fn send(&mut self, body: TailBody) -> std::result::Result<(), End> {
        self.send_at(self.position, body).await
    }

    async fn send_at(
        &mut self,
        position: Position,
        body: TailBody,
    ) -> std::result::Result<(), End> {
        let message = TailMessage { token: self.source.token(position), body };
        self.messages.send(Ok(message)).await.map_err(|_| None)
    }
}
