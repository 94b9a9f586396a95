//! The delivery log: single records, lists, one more attempt, and the tail.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, feed::Feeds, open_tails::OpenTails, paging::page_size, scope::Scope, tail, webhooks,
};
use crate::{
    domain::{
        delivery::LogRecord,
        error::{Error, Faults, Reason, Result},
        id::{EventId, EventLogId},
        log_filter::EventLogFilter,
        tail::{TailMessage, TailRequest},
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::{Clock, Engine},
    store::{LogCursor, LogRange, LogScan, Store},
};

/// Records that a list looks at for one page, however few of them fit the filter:
/// a page may be short, or empty, and still have a next one.
const SCAN: usize = 20_000;
/// Requests for statistics that read at once.
const STATS_AT_ONCE: usize = 2;
/// Records read at a time where few of them fit.
const CHUNK: usize = 500;

/// The use cases of the delivery log.
#[derive(Clone)]
pub struct EventLogs {
    pub(super) store: Store,
    engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    /// Who may read statistics: the log has readers of its own to serve.
    pub(super) stats_turns: Arc<Semaphore>,
    pub(super) stats_rows: usize,
    tails: OpenTails,
    feeds: Feeds,
    tail_lag: i64,
    draining: CancellationToken,
}

/// Which records a list has.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// At most this many; 50 when 0, capped at 1000.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// Which records.
    pub filter: EventLogFilter,
    /// Ingested at or after.
    pub start_time: Option<Timestamp>,
    /// Ingested before.
    pub end_time: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// Attempts and bodies too.
    pub full: bool,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A page of records.
pub struct LogPage {
    /// By ingestion, newest first unless asked for otherwise.
    pub records: Vec<LogRecord>,
    /// Empty on the last page.
    pub next_page_token: String,
}

impl EventLogs {
    pub(super) fn new(
        store: Store,
        engine: Engine,
        clock: Arc<dyn Clock>,
        limits: &Limits,
        draining: CancellationToken,
    ) -> Self {
        let (tails, feeds) = (OpenTails::new(limits.tails), Feeds::new(&store));
        let stats_turns = Arc::new(Semaphore::new(STATS_AT_ONCE));
        let Limits { tail_lag, stats_rows, .. } = *limits;
        Self { store, engine, clock, stats_turns, stats_rows, tails, feeds, tail_lag, draining }
    }

    /// The record of an event, and how many it has at all webhooks. Without a
    /// webhook: of several, the last one to finish.
    ///
    /// # Errors
    ///
    /// `EVENT_NOT_FOUND`, `EVENT_LOG_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(
        &self,
        scope: &Scope,
        event_id: &str,
        webhook_id: &str,
        full: bool,
    ) -> Result<(LogRecord, usize)> {
        if event_id.is_empty() {
            return Err(Error::field("event_id", Reason::FieldRequired, "is required"));
        }
        let missing = || Error::new(Reason::EventNotFound, "no such event");
        let id: EventId = event_id.parse().map_err(|_| missing())?;
        let webhook_id = Some(webhook_id).filter(|id| !id.is_empty());
        let found = self.store.record_of(scope.tenant_key, id, webhook_id).await?;
        let (record, total) = found.ok_or_else(missing)?;
        let mut record = record.ok_or_else(|| {
            Error::new(Reason::EventLogNotFound, "the event has no such delivery record")
        })?;
        if full {
            self.store.add_attempts(std::iter::once(&mut record)).await?;
        }
        Ok((record, total))
    }

    /// Lists records.
    ///
    /// # Errors
    ///
    /// Faults of the query, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, scope: &Scope, mut query: LogQuery) -> Result<LogPage> {
        let mut faults = std::mem::take(&mut query.faults);
        let size = page_size(query.page_size, &mut faults);
        query.filter.check(&mut faults);
        if let (Some(start), Some(end)) = (query.start_time, query.end_time)
            && start >= end
        {
            faults.invalid("ingest_time.end_time", "must be after start_time");
        }
        faults.check()?;
        let bound = (query.start_time, query.end_time, query.ascending, &query.filter);
        let fingerprint = Fingerprint::of(&("event logs", &scope.tenant_id, bound));
        let mut after: Option<LogCursor> = read_page_token(&query.page_token, fingerprint)?;

        let Some(scan) = self.scan(scope, &query.filter) else {
            return Ok(LogPage { records: Vec::new(), next_page_token: String::new() });
        };
        let (mut records, mut seen, mut more) = (Vec::new(), 0, true);
        while more && records.len() < size && seen < SCAN {
            // Where all that is read fits, as of one webhook, no more is read than is shown.
            let limit = (size - records.len()).max(seen.min(CHUNK));
            let LogQuery { start_time: start, end_time: end, ascending, .. } = query;
            let range = LogRange { start, end, ascending, after, limit: limit + 1 };
            let mut chunk = self.store.scan_log(scope.tenant_key, &scan, range).await?;
            more = chunk.len() > limit;
            chunk.truncate(limit);
            seen += chunk.len();
            for record in chunk {
                if records.len() == size {
                    more = true;
                    break;
                }
                after = Some(LogCursor::of(&record));
                if query.filter.takes(&record) {
                    records.push(record);
                }
            }
        }
        if query.full {
            self.store.add_attempts(records.iter_mut()).await?;
        }
        let next = after.filter(|_| more);
        let next_page_token = next.map_or_else(String::new, |next| page_token(fingerprint, &next));
        Ok(LogPage { records, next_page_token })
    }

    /// The index that narrows the filter best; `None` where nothing can fit it.
    fn scan(&self, scope: &Scope, filter: &EventLogFilter) -> Option<LogScan> {
        if let Some(id) = filter.event_id {
            return Some(LogScan::Event(id));
        }
        if !filter.ref_id.is_empty() {
            return Some(LogScan::Ref(filter.ref_id.clone()));
        }
        if !filter.request_id.is_empty() {
            return Some(LogScan::Request(filter.request_id.clone()));
        }
        if let Some(group) = filter.consumer_group_id
            && let Some(webhook) = scope.config.webhook_of_group(group)
        {
            return Some(LogScan::Webhook(webhook.key));
        }
        if let [only] = filter.webhook_ids[..]
            && let Some(webhook) = scope.config.webhook(only)
        {
            return Some(LogScan::Webhook(webhook.key));
        }
        // Of a deleted webhook the log is still readable, by the general index.
        Some(LogScan::All)
    }

    /// Asks for one more attempt of a delivery now.
    ///
    /// # Errors
    ///
    /// `EVENT_LOG_NOT_FOUND`; `WEBHOOK_STATE_CONFLICT` while an attempt is running,
    /// or where the webhook is stopped or deleted; `STORE_UNAVAILABLE`.
    pub async fn retry(&self, scope: &Scope, event_log_id: &str) -> Result<LogRecord> {
        if event_log_id.is_empty() {
            return Err(Error::field("event_log_id", Reason::FieldRequired, "is required"));
        }
        let missing = || Error::new(Reason::EventLogNotFound, "no such delivery record");
        let id: EventLogId = event_log_id.parse().map_err(|_| missing())?;
        let webhook_id = id.webhook_id.to_string();
        let found = self.store.record_of(scope.tenant_key, id.event_id, Some(&webhook_id)).await?;
        let mut record = found.and_then(|(record, _)| record).ok_or_else(missing)?;
        scope.config.refresh_if_stale(&self.store).await?;
        let takes = webhooks::find(scope, &webhook_id).is_ok_and(|w| w.takes_events());
        if !takes {
            let message = "the webhook is stopped or deleted";
            return Err(Error::new(Reason::WebhookStateConflict, message));
        }
        let by = scope.actor.clone();
        record.state = self.engine.retry(record.webhook.key, record.event.key, by).await?.state;
        Ok(record)
    }

    /// Follows the log: messages in order; an error is the last one. It ends when
    /// the receiver is dropped.
    ///
    /// # Errors
    ///
    /// Faults of the request, `RESUME_TOKEN_INVALID`, `RESUME_TOKEN_EXPIRED`,
    /// `OVERLOADED` where too many tails are open, `SERVER_DRAINING`, `STORE_UNAVAILABLE`.
    pub async fn tail(
        &self,
        scope: &Scope,
        request: TailRequest,
        mut faults: Faults,
    ) -> Result<mpsc::Receiver<Result<TailMessage>>> {
        request.filter.check(&mut faults);
        faults.check()?;
        let open = self.tails.open(scope.tenant_key);
        let open = open.ok_or_else(|| Error::overloaded("too many tails are open"))?;
        let source = tail::Source::new(&self.store, &self.feeds, &self.clock, scope, self.tail_lag);
        tail::start(source, request, open, self.draining.clone()).await
    }
}
