//! Diverted events: single ones, lists, and jobs that replay or discard many.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{idempotency::Call, paging::page_size, scope::Scope};
use crate::{
    domain::{
        actor::Attribution,
        diverted::{
            Conditions, DivertedAt, DivertedEvent, DivertedLabel, DivertedSelector, DivertedState,
            Job, JobKind, JobState, Selection,
        },
        error::{Error, Faults, Reason, Result},
        limits,
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::{Clock, Engine},
    store::{DivertedScan, NewJob, Store},
};

/// Diverted events that a list looks at for one page, however few of them are
/// selected: a page may be short, or empty, and still have a next one.
const SCAN: usize = 20_000;
/// Diverted events read at a time.
const CHUNK: usize = 1_000;
/// With payloads, so many are read at a time,
const FULL_CHUNK: usize = 8;
/// and a page ends once it has so many bytes of them.
const FULL_BYTES: usize = 2 * 1024 * 1024;

/// The use cases of diverted events.
#[derive(Clone)]
pub struct DivertedEvents {
    store: Store,
    engine: Engine,
    clock: Arc<dyn Clock>,
    retention: Duration,
}

/// Which diverted events a list has.
#[derive(Clone, Debug, Default)]
pub struct DivertedQuery {
    /// At most this many; 50 when 0, capped at 1000.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// Which ones.
    pub selector: DivertedSelector,
    /// In any of these states; pending when empty.
    pub states: Vec<DivertedState>,
    /// Payloads and sent headers too.
    pub full: bool,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A request for a job.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// What to do.
    pub kind: JobKind,
    /// To which ones.
    pub selector: DivertedSelector,
    /// Most per second; 0 means no limit.
    pub max_per_second: f64,
    /// Makes a repeated call safe; a UUID or empty.
    pub idempotency_key: String,
    /// Count only.
    pub validate_only: bool,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A page of a list.
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Empty on the last page.
    pub next_page_token: String,
}

impl DivertedEvents {
    pub(super) fn new(
        store: Store,
        engine: Engine,
        clock: Arc<dyn Clock>,
        retention: Duration,
    ) -> Self {
        Self { store, engine, clock, retention }
    }

    /// When retention will delete a diverted event; absent where it was replayed, as
    /// its record goes on.
    pub fn expire_time(&self, event: &DivertedEvent) -> Option<Timestamp> {
        (event.state != DivertedState::Replayed).then(|| event.at.divert_time.plus(self.retention))
    }

    /// One diverted event, in full.
    ///
    /// # Errors
    ///
    /// `DIVERTED_EVENT_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(&self, scope: &Scope, id: &str) -> Result<DivertedEvent> {
        let id = id.parse().map_err(|_| no_such_event())?;
        let label = self.store.find_diverted(scope.tenant_key, id).await?;
        let found = self.store.diverted(label.as_slice(), true).await?;
        found.into_iter().next().ok_or_else(no_such_event)
    }

    /// Lists diverted events, oldest first.
    ///
    /// # Errors
    ///
    /// Faults of the query, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, scope: &Scope, query: DivertedQuery) -> Result<Page<DivertedEvent>> {
        let DivertedQuery { page_size: size, page_token: token, selector, mut states, .. } = query;
        let mut faults = query.faults;
        let size = page_size(size, &mut faults);
        selector.check(&mut faults);
        faults.check()?;
        if states.is_empty() {
            states.push(DivertedState::Pending);
        }
        let bound = (&scope.tenant_id, &selector, &states);
        let fingerprint = Fingerprint::of(&("diverted events", bound));
        let after: Option<DivertedAt> = read_page_token(&token, fingerprint)?;
        let (labels, mut next) = self.page(scope, &selector, &states, after, size).await?;

        let (mut items, mut bytes) = (Vec::new(), 0);
        for chunk in labels.chunks(if query.full { FULL_CHUNK } else { CHUNK }) {
            if bytes >= FULL_BYTES {
                // The rest comes with the next page.
                next = items.last().map(|event: &DivertedEvent| event.at);
                break;
            }
            let read = self.store.diverted(chunk, query.full).await?;
            bytes += read.iter().map(|event| event.event.payload.len()).sum::<usize>();
            items.extend(read);
        }
        let next_page_token = next.map_or_else(String::new, |at| page_token(fingerprint, &at));
        Ok(Page { items, next_page_token })
    }

    /// What a page has, and after which place the next one begins.
    async fn page(
        &self,
        scope: &Scope,
        selector: &DivertedSelector,
        states: &[DivertedState],
        after: Option<DivertedAt>,
        size: usize,
    ) -> Result<(Vec<DivertedLabel>, Option<DivertedAt>)> {
        if !selector.ids.is_empty() {
            let mut labels = self.listed(scope, selector).await?;
            labels.retain(|l| states.contains(&l.state) && after.is_none_or(|a| l.at > a));
            let more = labels.len() > size;
            labels.truncate(size);
            let next = labels.last().filter(|_| more).map(|label| label.at);
            return Ok((labels, next));
        }
        let Some(conditions) = self.conditions(scope, selector).await? else {
            return Ok((Vec::new(), None));
        };
        let resolved = states.iter().any(|state| *state != DivertedState::Pending);
        let (mut after, until) =
            (after.unwrap_or(beginning(&conditions)), conditions.end.unwrap_or(Timestamp::MAX));
        let (mut labels, mut seen) = (Vec::new(), 0);
        loop {
            let scan = DivertedScan { resolved, after, until, limit: CHUNK };
            let found = self.store.scan_diverted(scope.tenant_key, scan).await?;
            let last = found.len() < CHUNK;
            seen += found.len();
            for label in found {
                if labels.len() == size {
                    return Ok((labels, Some(after)));
                }
                after = label.at;
                if states.contains(&label.state) && conditions.take(&label) {
                    labels.push(label);
                }
            }
            if last {
                return Ok((labels, None));
            }
            if seen >= SCAN {
                return Ok((labels, Some(after)));
            }
        }
    }

    /// Those of the named ones that exist, oldest first.
    async fn listed(
        &self,
        scope: &Scope,
        selector: &DivertedSelector,
    ) -> Result<Vec<DivertedLabel>> {
        let mut labels = Vec::with_capacity(selector.ids.len());
        for id in &selector.ids {
            labels.extend(self.store.find_diverted(scope.tenant_key, *id).await?);
        }
        labels.sort_unstable_by_key(|label| label.at);
        labels.dedup_by_key(|label| label.at);
        Ok(labels)
    }

    /// The selector in the store's terms; `None` where it names webhooks and none of
    /// them exists.
    async fn conditions(
        &self,
        scope: &Scope,
        selector: &DivertedSelector,
    ) -> Result<Option<Conditions>> {
        let webhooks = match &selector.webhook_ids[..] {
            [] => Vec::new(),
            ids => self.store.webhook_keys(scope.tenant_key, ids).await?,
        };
        if webhooks.is_empty() && !selector.webhook_ids.is_empty() {
            return Ok(None);
        }
        Ok(Some(Conditions {
            webhooks,
            event_names: selector.event_names.clone(),
            reasons: selector.reasons.iter().map(|reason| reason.number()).collect(),
            start: selector.start_time,
            end: selector.end_time,
        }))
    }

    /// Starts a job, or says what it would be.
    ///
    /// # Errors
    ///
    /// Faults of the request, `DIVERTED_EVENT_NOT_FOUND` and `WEBHOOK_NOT_FOUND` where
    /// the selector names what does not exist, `IDEMPOTENCY_KEY_REUSED`, `OVERLOADED`
    /// where too many jobs run, `STORE_UNAVAILABLE`.
    pub async fn start(&self, scope: &Scope, request: JobRequest) -> Result<Job> {
        let JobRequest { kind, selector, max_per_second, .. } = request;
        let mut faults = request.faults;
        if selector.is_empty() && faults.is_empty() {
            faults.required("selector");
        }
        selector.check(&mut faults);
        let in_bounds = (limits::MIN_RATE..=limits::MAX_RATE).contains(&max_per_second);
        if max_per_second != 0.0 && !in_bounds {
            faults.invalid(
                "max_per_second",
                format!("must be 0, or {} to {}", limits::MIN_RATE, limits::MAX_RATE),
            );
        }
        let operation = match kind {
            JobKind::Replay => "ReplayDivertedEvents",
            JobKind::Discard => "DiscardDivertedEvents",
        };
        let asked = format!("{selector:?} {max_per_second}");
        let call = Call::new(operation, &request.idempotency_key, &asked, &mut faults);
        faults.check()?;
        let now = self.clock.now();
        if let Some(call) = &call
            && let Some(id) = call.answered::<Uuid>(&self.store, scope, now).await?
        {
            return self.store.job(scope.tenant_key, id).await;
        }
        let (selection, selected) = self.select(scope, &selector, now).await?;
        let attribution = Attribution::new(now, scope.actor.clone());
        let job_id = Uuid::new_v4();
        let new = NewJob { job_id, kind, selection, selected, max_per_second, attribution };
        if request.validate_only {
            return Ok(draft(new));
        }
        let key = call.as_ref().map(Call::stored);
        let made = self.store.create_job(scope.tenant_key, new, key.as_ref()).await;
        if let (Err(_), Some(call)) = (&made, &call)
            && let Some(id) = call.answered::<Uuid>(&self.store, scope, now).await?
        {
            // Another call of the same key was faster: its job is this one's.
            return self.store.job(scope.tenant_key, id).await;
        }
        self.engine.job_made();
        made
    }

    /// A job that replays what the selector takes, to be made by the caller.
    pub(super) async fn replay_job(
        &self,
        scope: &Scope,
        selector: &DivertedSelector,
        now: Timestamp,
    ) -> Result<NewJob> {
        let (selection, selected) = self.select(scope, selector, now).await?;
        Ok(NewJob {
            job_id: Uuid::new_v4(),
            kind: JobKind::Replay,
            selection,
            selected,
            max_per_second: 0.0,
            attribution: Attribution::new(now, scope.actor.clone()),
        })
    }

    /// What a job would cover, and how many these are.
    async fn select(
        &self,
        scope: &Scope,
        selector: &DivertedSelector,
        now: Timestamp,
    ) -> Result<(Selection, u64)> {
        if !selector.ids.is_empty() {
            for id in &selector.ids {
                if self.store.find_diverted(scope.tenant_key, *id).await?.is_none() {
                    return Err(no_such_event().with("divertedEventId", id.to_string()));
                }
            }
            let labels = self.listed(scope, selector).await?;
            let pending = labels.iter().filter(|label| label.state == DivertedState::Pending);
            let places: Vec<_> = pending.map(|label| label.at).collect();
            let selected = places.len() as u64;
            return Ok((Selection::Listed(places), selected));
        }
        let conditions = self.conditions(scope, selector).await?.unwrap_or_default();
        let mut wanted = selector.webhook_ids.clone();
        wanted.sort_unstable();
        wanted.dedup();
        if conditions.webhooks.len() < wanted.len() {
            return Err(Error::new(Reason::WebhookNotFound, "no such webhook"));
        }
        let (mut after, mut selected) = (beginning(&conditions), 0);
        loop {
            let until = conditions.end.map_or(now, |end| end.min(now));
            let scan = DivertedScan { resolved: false, after, until, limit: CHUNK };
            let found = self.store.scan_diverted(scope.tenant_key, scan).await?;
            selected += found.iter().filter(|label| conditions.take(label)).count() as u64;
            match found.last() {
                Some(last) if found.len() == CHUNK => after = last.at,
                _ => return Ok((Selection::Where(conditions), selected)),
            }
        }
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// `JOB_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn job(&self, scope: &Scope, job_id: &str) -> Result<Job> {
        self.store.job(scope.tenant_key, read_job_id(job_id)?).await
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    ///
    /// Faults of the request, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn jobs(&self, scope: &Scope, size: i32, token: &str) -> Result<Page<Job>> {
        let mut faults = Faults::default();
        let size = page_size(size, &mut faults);
        faults.check()?;
        let fingerprint = Fingerprint::of(&("diverted event jobs", &scope.tenant_id));
        let before: i64 = read_page_token(token, fingerprint)?.unwrap_or(i64::MAX);
        let mut items = self.store.jobs_before(scope.tenant_key, before, size + 1).await?;
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(|job| job.key);
        let next_page_token = next.map_or_else(String::new, |key| page_token(fingerprint, &key));
        Ok(Page { items, next_page_token })
    }

    /// Stops a running job; what it has done stays done.
    ///
    /// # Errors
    ///
    /// `JOB_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn cancel(&self, scope: &Scope, job_id: &str) -> Result<Job> {
        let id = read_job_id(job_id)?;
        let job = self.store.job(scope.tenant_key, id).await?;
        let attribution = job.attribution.changed(self.clock.now(), scope.actor.clone());
        self.store.cancel_job(scope.tenant_key, id, &attribution).await
    }
}

/// Just before the first diverted event that conditions can take.
fn beginning(conditions: &Conditions) -> DivertedAt {
    let divert_time = conditions.start.unwrap_or(Timestamp::MIN);
    DivertedAt { divert_time, ..DivertedAt::default() }
}

fn draft(new: NewJob) -> Job {
    let NewJob { kind, selected, max_per_second, attribution, .. } = new;
    Job {
        key: 0,
        job_id: Uuid::nil(),
        kind,
        state: JobState::Running,
        selected,
        done: 0,
        skipped: 0,
        max_per_second,
        attribution,
        end_time: None,
    }
}

fn no_such_event() -> Error {
    Error::new(Reason::DivertedEventNotFound, "no such diverted event")
}

fn read_job_id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::new(Reason::JobNotFound, "no such job"))
}
