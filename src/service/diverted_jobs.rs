//! Jobs that replay or discard many diverted events. The engine does their work.

use uuid::Uuid;

use super::{
    diverted_events::{CHUNK, DivertedEvents, Page, beginning, no_such_event},
    idempotency::Call,
    paging::page_size,
    scope::Scope,
};
use crate::{
    domain::{
        actor::Attribution,
        diverted::{DivertedSelector, DivertedState, Job, JobKind, JobState, Selection},
        error::{Error, Faults, Reason, Result},
        limits,
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    store::{DivertedScan, NewJob},
};

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

impl DivertedEvents {
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

fn read_job_id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::new(Reason::JobNotFound, "no such job"))
}
