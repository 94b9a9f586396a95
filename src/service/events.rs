//! Publishing: check, match, store; and reading events back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{event_types, quotas, scope::Scope};
use crate::{
    domain::{
        error::{Error, Faults, Reason, Result, Violation},
        event::{Event, EventDraft},
        id::{EventId, EventKey},
        time::Timestamp,
    },
    engine::Clock,
    store::{self, NewEvent, Store},
};

/// How often an event is matched again when webhooks change all the time.
const MATCH_TRIES: usize = 16;

/// The use cases of events.
#[derive(Clone)]
pub struct Events {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    draining: CancellationToken,
}

/// An event as a transport read it, with the faults that it found in doing so.
pub struct Incoming {
    /// The event.
    pub draft: EventDraft,
    /// The faults, with their final paths.
    pub faults: Faults,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub event_id: EventId,
    /// When it was accepted.
    pub ingest_time: Timestamp,
    /// An event of that id was there before; nothing was added.
    pub duplicate: bool,
    /// How many webhooks it goes to.
    pub matched: usize,
    /// Remarks.
    pub warnings: Vec<String>,
}

/// An event that passed all checks.
pub(super) struct Checked {
    pub(super) event: Arc<Event>,
    warnings: Vec<String>,
}

impl Events {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, draining: CancellationToken) -> Self {
        Self { store, clock, draining }
    }

    /// Publishes one event. When this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// All faults of the event, `EVENT_NAME_UNKNOWN`, `PAYLOAD_SCHEMA_MISMATCH`,
    /// `OVERLOADED`, `STORE_UNAVAILABLE`.
    pub async fn publish(
        &self,
        scope: &Scope,
        event: Incoming,
        validate_only: bool,
    ) -> Result<Published> {
        let ingest = self.clock.now();
        self.refuse_while_draining()?;
        self.know_names(scope, [&event]).await?;
        let checked = self.check(scope, "event", event, ingest)?;
        if validate_only {
            let matched = scope.config.matching(&checked.event).len();
            return Ok(checked.published(matched));
        }
        quotas::check_events(&self.store, scope, 1, ingest).await?;
        let mut published = self.store_all(scope, vec![checked]).await?;
        published.pop().ok_or_else(|| Error::new(Reason::Internal, "an event without an outcome"))
    }

    /// Publishes events in one transaction: one outcome per event, in order. Where
    /// `atomic`, one bad event fails all, with paths under `events[i]`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::publish`] that are nobody's fault alone; where `atomic`, all.
    pub async fn publish_batch(
        &self,
        scope: &Scope,
        events: Vec<Incoming>,
        atomic: bool,
    ) -> Result<Vec<Result<Published>>> {
        self.refuse_while_draining()?;
        let ingest = self.clock.now();
        let mut outcomes: Vec<Result<Published>> = Vec::with_capacity(events.len());
        self.know_names(scope, &events).await?;
        let (mut good, mut places, mut faults) = (Vec::new(), Vec::new(), Faults::default());
        for (i, event) in events.into_iter().enumerate() {
            let at = if atomic { format!("events[{i}]") } else { "event".to_owned() };
            match self.check(scope, &at, event, ingest) {
                Ok(checked) => {
                    places.push(i);
                    good.push(checked);
                    // Replaced once it is stored.
                    outcomes.push(Err(Error::store_unavailable()));
                }
                Err(error) => {
                    for Violation { field, reason, message } in &error.violations {
                        faults.add(field, *reason, message);
                    }
                    outcomes.push(Err(error));
                }
            }
        }
        if atomic {
            faults.check()?;
        }
        if !good.is_empty() {
            quotas::check_events(&self.store, scope, good.len(), ingest).await?;
        }
        for (place, published) in places.into_iter().zip(self.store_all(scope, good).await?) {
            outcomes[place] = Ok(published);
        }
        Ok(outcomes)
    }

    /// Reads an event, payload included.
    ///
    /// # Errors
    ///
    /// `EVENT_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(&self, scope: &Scope, event_id: &str) -> Result<Event> {
        Ok(self.find(scope, event_id).await?.1)
    }

    pub(super) async fn find(&self, scope: &Scope, event_id: &str) -> Result<(EventKey, Event)> {
        if event_id.is_empty() {
            return Err(Error::field("event_id", Reason::FieldRequired, "is required"));
        }
        let missing = || Error::new(Reason::EventNotFound, "no such event");
        let id = event_id.parse().map_err(|_| missing())?;
        self.store.event(scope.tenant_key, id).await?.ok_or_else(missing)
    }

    /// Resolves when the server has begun to drain: no more events are accepted.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    fn refuse_while_draining(&self) -> Result<()> {
        if self.draining.is_cancelled() { Err(Error::draining()) } else { Ok(()) }
    }

    /// Looks again for event types that are not known, where that decides: another node may
    /// have made them.
    async fn know_names(
        &self,
        scope: &Scope,
        events: impl IntoIterator<Item = &Incoming>,
    ) -> Result<()> {
        let unknown = |event: &Incoming| scope.config.event_type(&event.draft.event_name).is_none();
        if !scope.registers_names && events.into_iter().any(unknown) {
            scope.config.refresh_if_stale(&self.store).await?;
        }
        Ok(())
    }

    /// Checks an event against form, event type and schema; `at` is its path.
    pub(super) fn check(
        &self,
        scope: &Scope,
        at: &str,
        event: Incoming,
        ingest: Timestamp,
    ) -> Result<Checked> {
        let Incoming { draft, mut faults } = event;
        draft.check(at, &mut faults);
        faults.check()?;
        let event_type = scope.config.event_type(&draft.event_name);
        let warnings = match event_type {
            Some(event_type) if event_type.metadata.spec.active => {
                event_type.check(at, &draft.payload)?
            }
            Some(_) => {
                let message = format!("event type {:?} is not active", draft.event_name);
                return Err(Error::field(
                    format!("{at}.event_name"),
                    Reason::EventNameUnknown,
                    message,
                ));
            }
            // It is registered once all is well.
            None if scope.registers_names => Vec::new(),
            None => {
                let message = format!("{:?} is no event type of the tenant", draft.event_name);
                let at = format!("{at}.event_name");
                return Err(Error::field(at, Reason::EventNameUnknown, message));
            }
        };
        let event = Event {
            event_id: draft.event_id.unwrap_or_else(|| EventId::new(ingest, rand::random())),
            event_name: draft.event_name,
            ref_id: draft.ref_id,
            request_id: draft.request_id,
            payload: draft.payload,
            enrichments: draft.enrichments,
            occur_time: draft.occur_time,
            ingest_time: ingest,
            ordering_key: draft.ordering_key,
            attributes: draft.attributes,
        };
        Ok(Checked { event: Arc::new(event), warnings })
    }

    /// Registers unknown names, matches and stores; matches again where webhooks changed in between.
    async fn store_all(&self, scope: &Scope, events: Vec<Checked>) -> Result<Vec<Published>> {
        let Some(first) = events.first() else { return Ok(Vec::new()) };
        let names = events.iter().map(|checked| &checked.event.event_name);
        let now = first.event.ingest_time;
        event_types::register_missing(&self.store, scope, names, now).await?;
        for _ in 0..MATCH_TRIES {
            // All are matched as of one version, or the older one is found stale.
            let version = scope.config.version();
            let matched: Vec<NewEvent> = events
                .iter()
                .map(|checked| {
                    let event = Arc::clone(&checked.event);
                    let targets = scope.config.matching(&event);
                    NewEvent { event, targets }
                })
                .collect();
            let counts: Vec<usize> = matched.iter().map(|new| new.targets.len()).collect();
            match self.store.publish(scope.tenant_key, version, matched).await? {
                store::Published::StaleConfig => scope.config.refresh(&self.store).await?,
                store::Published::Stored(new) => {
                    quotas::add_waiting(scope, counts.iter().sum());
                    let mut published = Vec::with_capacity(events.len());
                    for ((checked, matched), is_new) in events.into_iter().zip(counts).zip(new) {
                        published.push(if is_new {
                            checked.published(matched)
                        } else {
                            self.duplicate(scope, checked).await?
                        });
                    }
                    return Ok(published);
                }
            }
        }
        Err(Error::overloaded("webhooks are being changed all the time"))
    }

    /// What the event of that id was answered that was there before.
    async fn duplicate(&self, scope: &Scope, checked: Checked) -> Result<Published> {
        let earlier = self.store.event(scope.tenant_key, checked.event.event_id).await?;
        let Some((key, earlier)) = earlier else {
            // Retention removed it at this very moment: publishing again would be new.
            return Err(Error::store_unavailable());
        };
        Ok(Published {
            event_id: earlier.event_id,
            ingest_time: earlier.ingest_time,
            duplicate: true,
            matched: self.store.delivery_count(scope.tenant_key, key).await?,
            warnings: checked.warnings,
        })
    }
}

impl Checked {
    fn published(self, matched: usize) -> Published {
        Published {
            event_id: self.event.event_id,
            ingest_time: self.event.ingest_time,
            duplicate: false,
            matched,
            warnings: self.warnings,
        }
    }
}
