//! Diverted events: single ones and lists.

use std::{sync::Arc, time::Duration};

pub use super::diverted_jobs::JobRequest;
use super::{paging::page_size, scope::Scope};
use crate::{
    domain::{
        diverted::{
            Conditions, DivertedAt, DivertedEvent, DivertedLabel, DivertedSelector, DivertedState,
        },
        error::{Error, Faults, Reason, Result},
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::{Clock, Engine},
    store::{DivertedScan, Store},
};

/// Diverted events that a list looks at for one page, however few of them are
/// selected: a page may be short, or empty, and still have a next one.
const SCAN: usize = 20_000;
/// Diverted events read at a time.
pub(super) const CHUNK: usize = 1_000;
/// With payloads, so many are read at a time,
const FULL_CHUNK: usize = 8;
/// and a page ends once it has so many bytes of them.
const FULL_BYTES: usize = 2 * 1024 * 1024;

/// The use cases of diverted events.
#[derive(Clone)]
pub struct DivertedEvents {
    pub(super) store: Store,
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
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
    pub fn expire_time(&self, scope: &Scope, event: &DivertedEvent) -> Option<Timestamp> {
        let retention = scope.retention().unwrap_or(self.retention);
        (event.state != DivertedState::Replayed).then(|| event.at.divert_time.plus(retention))
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
    pub(super) async fn listed(
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
    pub(super) async fn conditions(
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
}

/// Just before the first diverted event that conditions can take.
pub(super) fn beginning(conditions: &Conditions) -> DivertedAt {
    let divert_time = conditions.start.unwrap_or(Timestamp::MIN);
    DivertedAt { divert_time, ..DivertedAt::default() }
}

pub(super) fn no_such_event() -> Error {
    Error::new(Reason::DivertedEventNotFound, "no such diverted event")
}
