//! One tail: a cursor that moves along the journal, and a client that may be slow.
//!
//! It reads the journal by itself until it has reached the head, and then follows the
//! feed that all tails of its tenant share, as long as it keeps up with that.
//! A small bounded channel stands between the cursor and the client, so that a
//! client that does not read makes the cursor wait, and nothing else.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    feed::{Feeds, Follower, Next, PAGE},
    open_tails::OpenTail,
    scope::Scope,
};
use crate::{
    domain::{
        change_page::{ChangePage, Picked},
        error::{Error, OLDEST_RESUME_TOKEN, Reason, Result},
        id::{Position, TenantId, TenantKey},
        tail::{GapCause, Lag, SlowConsumerPolicy, TailBody, TailMessage, TailRequest, TailStart},
        time::Timestamp,
        token::{DatabaseId, read_resume_token, resume_token},
    },
    engine::Clock,
    store::{JournalBounds, Store},
};

/// Messages between the cursor and a client.
const BUFFER: usize = 4;
/// Wait before the journal is read again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a tail reads from.
pub(super) struct Source {
    store: Store,
    feeds: Feeds,
    clock: Arc<dyn Clock>,
    tenant_key: TenantKey,
    tenant_id: TenantId,
    database: DatabaseId,
    max_lag: i64,
}

impl Source {
    pub(super) fn new(
        store: &Store,
        feeds: &Feeds,
        clock: &Arc<dyn Clock>,
        scope: &Scope,
        max_lag: i64,
    ) -> Self {
        Self {
            store: store.clone(),
            feeds: feeds.clone(),
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
    let bounds = source.store.journal_bounds(source.tenant_key).await?;
    let position = source.first_position(&request.start, &bounds).await?;
    let (messages, receiver) = mpsc::channel(BUFFER);
    let mut tail = Tail {
        source,
        takes_all: request.filter.is_empty(),
        silent_until: Instant::now() + request.heartbeat,
        request,
        messages,
        feed: None,
        position,
        head: bounds.head,
        live: false,
    };
    tail.opened(&bounds).await;
    tokio::spawn(async move {
        let _open = open;
        let end = tokio::select! {
            end = tail.run() => end,
            () = draining.cancelled() => Err(Some(Error::draining())),
        };
        // Nobody reads for it any more.
        tail.feed = None;
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
    /// Whether the filter lets everything through.
    takes_all: bool,
    messages: mpsc::Sender<Result<TailMessage>>,
    /// Where it reads from; the journal where there is none.
    feed: Option<Follower>,
    /// Everything up to here was read.
    position: Position,
    /// The journal's head, as far as it is known.
    head: Position,
    /// Whether the client was told that it is at the head.
    live: bool,
    /// When the client has to hear something, if only of progress.
    silent_until: Instant,
}

/// The end of a tail: with an error for the client, or because it has gone.
type End = Option<Error>;

impl Tail {
    async fn run(&mut self) -> std::result::Result<(), End> {
        let mut batch = Picked::default();
        loop {
            if !self.step(&mut batch).await? {
                self.break_silence(&mut batch).await?;
                continue;
            }
            if !batch.is_empty() && self.live && !self.request.max_batch_delay.is_zero() {
                // There may be more soon; the client allows a wait for it.
                self.fill(&mut batch).await?;
            }
            self.send_changes(&mut batch).await?;
            if !self.live && self.position >= self.head {
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

    /// Takes the next page; says whether there is none yet.
    async fn step(&mut self, batch: &mut Picked) -> std::result::Result<bool, End> {
        match self.feed.as_ref().map(|feed| feed.next(self.position)) {
            Some(Next::Page(page, bounds)) => {
                self.take(&page, &bounds, batch).await?;
                return Ok(false);
            }
            Some(Next::End(bounds)) => {
                self.head = self.head.max(bounds.head);
                return Ok(true);
            }
            Some(Next::Behind) => self.feed = None,
            None => {}
        }
        let (page, bounds) = tokio::select! {
            read = self.read() => read,
            () = self.messages.closed() => return Err(None),
        };
        if page.before().unwrap_or(bounds.floor) > self.position {
            self.send_changes(batch).await?;
            self.position = page.before().unwrap_or(bounds.floor);
            self.gap(GapCause::Retention, 0, None, None).await?;
        }
        self.take(&page, &bounds, batch).await?;
        let at_head = self.position >= bounds.head;
        let Source { feeds, tenant_key, .. } = &self.source;
        self.feed = feeds.follow(*tenant_key, self.position, at_head);
        Ok(at_head)
    }

    async fn read(&self) -> (Arc<ChangePage>, JournalBounds) {
        loop {
            let Source { store, tenant_key, .. } = &self.source;
            match store.journal_after(*tenant_key, self.position, PAGE).await {
                Ok(page) => return (Arc::new(ChangePage::new(page.changes)), page.bounds),
                // The database is away: the tail waits with everybody else.
                Err(_) => sleep(AFTER_ERROR).await,
            }
        }
    }

    /// Takes over what a page has after its position.
    async fn take(
        &mut self,
        page: &Arc<ChangePage>,
        bounds: &JournalBounds,
        batch: &mut Picked,
    ) -> std::result::Result<(), End> {
        self.head = self.head.max(bounds.head);
        let mut at = page.up_to(self.position);
        while let Some(change) = page.changes().get(at) {
            let room = self.request.max_batch_size - batch.len();
            let end = if self.takes_all { page.changes().len().min(at + room) } else { at + 1 };
            if self.takes_all || self.request.filter.takes(&change.record) {
                batch.push(page, at..end);
            }
            at = end;
            self.position = page.changes()[end - 1].position;
            if batch.len() == self.request.max_batch_size {
                self.send_changes(batch).await?;
            }
        }
        if self.live && bounds.head.0 - self.position.0 > self.source.max_lag {
            self.send_changes(batch).await?;
            self.too_slow(bounds).await?;
        }
        Ok(())
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
                // What the feed has read is behind it.
                self.feed = None;
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
    async fn fill(&mut self, batch: &mut Picked) -> std::result::Result<(), End> {
        let full = Instant::now() + self.request.max_batch_delay;
        while !batch.is_empty() {
            if self.step(batch).await? {
                let Some(feed) = &mut self.feed else { return Ok(()) };
                tokio::select! {
                    () = sleep_until(full) => return Ok(()),
                    () = self.messages.closed() => return Err(None),
                    more = feed.wait(self.position) => if more.is_err() { return Ok(()) },
                }
            } else if Instant::now() >= full {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for more, and tells the client from time to time how far it is.
    async fn wait(&mut self) -> std::result::Result<(), End> {
        loop {
            let Some(feed) = &mut self.feed else { return Ok(()) };
            tokio::select! {
                more = feed.wait(self.position) => {
                    // The writer is gone only when the process ends.
                    return more.map_err(|_| Some(Error::draining()));
                }
                () = self.messages.closed() => return Err(None),
                () = sleep_until(self.silent_until) => self.progress().await?,
            }
        }
    }

    /// Tells the client how far it is where much was read and little let through.
    async fn break_silence(&mut self, batch: &mut Picked) -> std::result::Result<(), End> {
        if Instant::now() < self.silent_until {
            Ok(())
        } else if batch.is_empty() {
            self.progress().await
        } else {
            self.send_changes(batch).await
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
        if let (1.., Some(feed)) = (lag.changes, &self.feed) {
            feed.look();
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

    async fn send_changes(&mut self, batch: &mut Picked) -> std::result::Result<(), End> {
        let Some(last) = batch.last() else { return Ok(()) };
        let mut picked = std::mem::take(batch);
        if self.request.full {
            let mut changes: Vec<_> = picked.iter().cloned().collect();
            let records = changes.iter_mut().map(|change| &mut change.record);
            self.source.store.add_attempts(records).await.map_err(Some)?;
            picked = Picked::default();
            let count = changes.len();
            picked.push(&Arc::new(ChangePage::new(changes)), 0..count);
        }
        self.send_at(last, TailBody::Changes(picked)).await
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
        self.messages.send(Ok(message)).await.map_err(|_| None)?;
        self.silent_until = Instant::now() + self.request.heartbeat;
        Ok(())
    }
}
