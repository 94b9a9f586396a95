//! Event types: the standard ones, and a tenant's own.

use std::{collections::BTreeSet, sync::Arc};

use super::{event_type::EventType, idempotency::Call, paging::page_size, scope::Scope};
use crate::{
    domain::{
        actor::{Actor, Attribution},
        error::{Error, Faults, Reason, Result},
        event_metadata::{EventMetadata, EventMetadataSpec, EventOrigin},
        schema::Schema,
        subscription, text,
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
    },
    engine::Clock,
    store::Store,
};

/// How often a change is tried again when others change the same event type.
const CHANGE_TRIES: usize = 8;

/// The use cases of event types.
#[derive(Clone)]
pub struct EventTypes {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// A custom event type to be made.
pub struct CreateEventType {
    /// Its name.
    pub event_name: String,
    /// Its definition.
    pub spec: EventMetadataSpec,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
    /// Makes a repeated call safe; a UUID or empty.
    pub idempotency_key: String,
}

/// Computes the new definition from the current one and notes faults. May be
/// called more than once.
pub type Change = Box<dyn Fn(&EventMetadataSpec, &mut Faults) -> EventMetadataSpec + Send + Sync>;

/// A change of an event type.
pub struct UpdateEventType {
    /// Which one.
    pub event_name: String,
    /// Only this version; any when empty.
    pub etag: String,
    /// The change.
    pub change: Change,
}

/// Conditions on event types, joined with AND.
#[derive(Clone, Debug, Default)]
pub struct EventTypeQuery {
    /// At most this many; 50 when 0, capped at 1000.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// Active or not.
    pub active: Option<bool>,
    /// Only this origin.
    pub origin: Option<EventOrigin>,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
}

/// A page of event types.
pub struct EventTypePage {
    /// By name.
    pub event_types: Vec<EventMetadata>,
    /// Empty on the last page.
    pub next_page_token: String,
    /// All matches, whatever the page.
    pub total_size: usize,
}

impl EventTypes {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Makes a custom event type.
    ///
    /// # Errors
    ///
    /// All faults of the definition, `SCHEMA_INVALID`, `EVENT_METADATA_EXISTS`,
    /// `IDEMPOTENCY_KEY_REUSED`, `STORE_UNAVAILABLE`.
    pub async fn create(&self, scope: &Scope, request: CreateEventType) -> Result<EventMetadata> {
        let CreateEventType { event_name, spec, mut faults, idempotency_key } = request;
        let asked = (
            &event_name,
            &spec.description,
            &spec.schema_json,
            spec.active,
            spec.enforcement as i32,
        );
        let call = Call::new("CreateEventMetadata", &idempotency_key, &asked, &mut faults);
        text::check_event_name(&mut faults, "event_metadata.event_name", &event_name);
        check(&spec, &mut faults);
        faults.check()?;
        let now = self.clock.now();
        if let Some(call) = &call
            && let Some(answer) = call.answered(&self.store, scope, now).await?
        {
            return Ok(answer);
        }
        let new = custom(&event_name, spec, Attribution::new(now, scope.actor.clone()));
        let made = self.make(scope, new, call.as_ref()).await;
        if let (Err(_), Some(call)) = (&made, &call)
            && let Some(answer) = call.answered(&self.store, scope, now).await?
        {
            // Another call of the same key was faster: its answer is this one's.
            return Ok(answer);
        }
        made?;
        self.get(scope, &event_name).await
    }

    async fn make(&self, scope: &Scope, new: EventMetadata, call: Option<&Call>) -> Result<()> {
        scope.config.refresh_if_stale(&self.store).await?;
        if scope.config.event_type(&new.event_name).is_some() {
            let message = format!("the tenant has an event type {:?} already", new.event_name);
            return Err(Error::new(Reason::EventMetadataExists, message));
        }
        let stored = call.map(Call::stored);
        self.store.create_event_types(scope.tenant_key, &[new], false, stored.as_ref()).await
    }

    /// Finds an event type.
    ///
    /// # Errors
    ///
    /// `EVENT_METADATA_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(&self, scope: &Scope, event_name: &str) -> Result<EventMetadata> {
        Ok(self.find(scope, event_name).await?.metadata.clone())
    }

    async fn find(&self, scope: &Scope, event_name: &str) -> Result<Arc<EventType>> {
        if event_name.is_empty() {
            return Err(Error::field("event_name", Reason::FieldRequired, "is required"));
        }
        scope.config.refresh_if_stale(&self.store).await?;
        let missing = || Error::new(Reason::EventMetadataNotFound, "no such event type");
        scope.config.event_type(event_name).ok_or_else(missing)
    }

    /// Lists standard and custom event types, by name.
    ///
    /// # Errors
    ///
    /// Faults of the query, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, scope: &Scope, mut query: EventTypeQuery) -> Result<EventTypePage> {
        let mut faults = std::mem::take(&mut query.faults);
        let size = page_size(query.page_size, &mut faults);
        faults.check()?;
        let fingerprint =
            Fingerprint::of(&("event types", &scope.tenant_id, query.active, query.origin));
        let after: Option<String> = read_page_token(&query.page_token, fingerprint)?;
        scope.config.refresh_if_stale(&self.store).await?;

        let matches: Vec<_> = (scope.config.event_types().into_iter())
            .filter(|t| query.active.is_none_or(|wanted| wanted == t.metadata.spec.active))
            .filter(|t| query.origin.is_none_or(|wanted| wanted == t.metadata.origin))
            .collect();
        let total_size = matches.len();
        let rest = matches
            .into_iter()
            .skip_while(|t| after.as_ref().is_some_and(|a| t.metadata.event_name <= *a));
        let mut page: Vec<_> = rest.take(size + 1).collect();
        let more = page.len() > size;
        page.truncate(size);
        let last = page.last().filter(|_| more);
        Ok(EventTypePage {
            next_page_token: last
                .map_or_else(String::new, |t| page_token(fingerprint, &t.metadata.event_name)),
            event_types: page.iter().map(|t| t.metadata.clone()).collect(),
            total_size,
        })
    }

    /// Changes an event type; of a standard one only whether it is active, for
    /// this tenant.
    ///
    /// # Errors
    ///
    /// `EVENT_METADATA_NOT_FOUND`, `ETAG_MISMATCH`, `EVENT_METADATA_READ_ONLY`, all
    /// faults of the new definition, `STORE_UNAVAILABLE`.
    pub async fn update(&self, scope: &Scope, request: UpdateEventType) -> Result<EventMetadata> {
        for _ in 0..CHANGE_TRIES {
            let current = self.get(scope, &request.event_name).await?;
            check_etag(&current, &request.etag)?;
            let mut faults = Faults::default();
            let spec = (request.change)(&current.spec, &mut faults);
            check(&spec, &mut faults);
            faults.check()?;
            if spec == current.spec {
                return Ok(current);
            }
            let only_active = EventMetadataSpec { active: current.spec.active, ..spec.clone() };
            if current.origin == EventOrigin::Standard && only_active != current.spec {
                let message = "of a standard event type only active can change";
                return Err(Error::new(Reason::EventMetadataReadOnly, message));
            }
            let (now, actor) = (self.clock.now(), scope.actor.clone());
            let attribution = Some(match &current.attribution {
                Some(attribution) => attribution.changed(now, actor),
                None => Attribution::new(now, actor),
            });
            let next = EventMetadata { spec, attribution, ..current.clone() };
            match self.store.update_event_type(scope.tenant_key, current.version, &next, None).await
            {
                Ok(()) => return self.get(scope, &request.event_name).await,
                Err(error) if error.reason == Reason::EtagMismatch && request.etag.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            Reason::EtagMismatch,
            "the event type is being changed by others all the time",
        ))
    }

    /// Deletes a custom event type that no webhook names.
    ///
    /// # Errors
    ///
    /// `EVENT_METADATA_NOT_FOUND`, `ETAG_MISMATCH`, `EVENT_METADATA_READ_ONLY`,
    /// `EVENT_METADATA_IN_USE`, `STORE_UNAVAILABLE`.
    pub async fn delete(&self, scope: &Scope, event_name: &str, etag: &str) -> Result<()> {
        let current = self.get(scope, event_name).await?;
        check_etag(&current, etag)?;
        if current.origin == EventOrigin::Standard {
            let message = "a standard event type cannot be deleted";
            return Err(Error::new(Reason::EventMetadataReadOnly, message));
        }
        if scope.config.is_named(event_name) {
            return Err(Error::new(Reason::EventMetadataInUse, "a webhook names this event type"));
        }
        let now = self.clock.now();
        self.store
            .update_event_type(scope.tenant_key, current.version, &current, Some(now))
            .await?;
        scope.config.refresh(&self.store).await
    }
}

fn check(spec: &EventMetadataSpec, faults: &mut Faults) {
    spec.check(faults);
    if !spec.schema_json.is_empty()
        && let Err(fault) = Schema::compile(&spec.schema_json)
    {
        faults.add("event_metadata.schema_json", Reason::SchemaInvalid, fault);
    }
}

fn check_etag(metadata: &EventMetadata, etag: &str) -> Result<()> {
    if etag.is_empty() || etag == metadata.etag() {
        return Ok(());
    }
    Err(Error::new(Reason::EtagMismatch, "the event type has another version by now"))
}

fn custom(name: &str, spec: EventMetadataSpec, attribution: Attribution) -> EventMetadata {
    EventMetadata {
        event_name: name.to_owned(),
        origin: EventOrigin::Custom,
        spec,
        version: 1,
        attribution: Some(attribution),
    }
}

/// The names among a webhook's patterns.
pub(super) fn exact(patterns: &[String]) -> impl Iterator<Item = &String> {
    patterns.iter().filter(|pattern| !subscription::is_wildcard(pattern))
}

/// The same with their paths in requests.
pub(super) fn named(patterns: &[String]) -> impl Iterator<Item = (String, &String)> {
    let exact = patterns.iter().enumerate().filter(|(_, name)| !subscription::is_wildcard(name));
    exact.map(|(i, name)| (format!("webhook.event_names[{i}]"), name))
}

/// Notes names that the tenant does not know, where they are not registered when they are
/// used. Each has its path.
pub(super) async fn refuse_unknown<'a>(
    store: &Store,
    scope: &Scope,
    names: impl Iterator<Item = (String, &'a String)>,
    faults: &mut Faults,
) -> Result<()> {
    if scope.registers_names {
        return Ok(());
    }
    let unknown = |name: &str| scope.config.event_type(name).is_none();
    let mut missing: Vec<_> = names.filter(|(_, name)| unknown(name)).collect();
    if !missing.is_empty() {
        // Another node may have made them.
        scope.config.refresh_if_stale(store).await?;
        missing.retain(|(_, name)| unknown(name));
    }
    for (at, _) in missing {
        faults.add(at, Reason::EventNameUnknown, "is no event type of the tenant");
    }
    Ok(())
}

/// Registers the names that the tenant does not know as custom event types.
pub(super) async fn register_missing<'a>(
    store: &Store,
    scope: &Scope,
    names: impl Iterator<Item = &'a String>,
    now: Timestamp,
) -> Result<()> {
    let missing: BTreeSet<_> =
        names.filter(|name| scope.config.event_type(name).is_none()).collect();
    if missing.is_empty() || !scope.registers_names {
        return Ok(());
    }
    let attribution = Attribution::new(now, Actor::system());
    let missing: Vec<_> = missing
        .into_iter()
        .map(|name| custom(name, EventMetadataSpec::default(), attribution.clone()))
        .collect();
    store.create_event_types(scope.tenant_key, &missing, true, None).await?;
    scope.config.refresh(store).await
}
