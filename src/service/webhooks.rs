//! Webhooks: making, changing, finding, holding and deleting them.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    destinations,
    diverted_events::DivertedEvents,
    event_types,
    idempotency::Call,
    paging::page_size,
    quotas,
    scope::Scope,
    webhook_notices::{ALERT_URL, alerts, check_emails},
    webhook_secrets,
};
use crate::{
    domain::{
        actor::Attribution,
        error::{Error, Faults, Reason, Result},
        id::{WebhookId, WebhookKey},
        limits, subscription, text,
        time::Timestamp,
        token::{Fingerprint, page_token, read_page_token},
        webhook::{Webhook, WebhookSpec},
    },
    engine::{Clock, Engine},
    sender::{HttpSender, Target},
    store::{NewWebhook, Store},
};

pub use super::{
    webhook_changes::{Change, Replacement, UpdateWebhook},
    webhook_query::{WebhookPage, WebhookQuery},
    webhook_secrets::Rotated,
};

/// Where requests name the destination.
pub(super) const URL: &str = "webhook.destination.http.url";
/// How often a change is tried again when others change the same webhook.
pub(super) const CHANGE_TRIES: usize = 8;

/// The use cases of webhooks.
#[derive(Clone)]
pub struct Webhooks {
    pub(super) store: Store,
    pub(super) engine: Engine,
    pub(super) sender: Arc<HttpSender>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether e-mails can be sent.
    pub(super) mail: bool,
    pub(super) diverted_events: DivertedEvents,
}

/// A webhook to be made.
pub struct CreateWebhook {
    /// Its definition.
    pub spec: WebhookSpec,
    /// Faults that the transport found while reading the request.
    pub faults: Faults,
    /// Makes a repeated call safe; a UUID or empty.
    pub idempotency_key: String,
    /// Check only.
    pub validate_only: bool,
}

/// A remark on a request that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Field path in the request.
    pub field: String,
    /// `UPPER_SNAKE_CASE` reason.
    pub reason: &'static str,
    /// Text for humans.
    pub message: String,
}

/// A webhook that was made or changed.
pub struct Written {
    /// As it is now.
    pub webhook: Arc<Webhook>,
    /// The ids of secrets that this call set: their values are part of its answer.
    pub new_secrets: Vec<String>,
    /// Things accepted but changed or ignored.
    pub warnings: Vec<Warning>,
}

impl Written {
    /// Nothing of it was made by this call, or nothing was made.
    pub(super) fn unchanged(webhook: Arc<Webhook>) -> Self {
        Self { webhook, new_secrets: Vec::new(), warnings: Vec::new() }
    }

    /// All of it is the answer of the call that made it.
    fn created(webhook: Arc<Webhook>) -> Self {
        let new_secrets = webhook_secrets::ids(&webhook.spec).map(str::to_owned).collect();
        Self { webhook, new_secrets, warnings: Vec::new() }
    }
}

impl Webhooks {
    pub(super) fn new(
        store: Store,
        engine: Engine,
        sender: Arc<HttpSender>,
        clock: Arc<dyn Clock>,
        mail: bool,
        diverted_events: DivertedEvents,
    ) -> Self {
        Self { store, engine, sender, clock, mail, diverted_events }
    }

    /// Makes a webhook.
    ///
    /// # Errors
    ///
    /// All faults of the definition; `WEBHOOK_NAME_TAKEN`, `IDEMPOTENCY_KEY_REUSED`,
    /// `STORE_UNAVAILABLE`.
    pub async fn create(&self, scope: &Scope, request: CreateWebhook) -> Result<Written> {
        let CreateWebhook { mut spec, mut faults, idempotency_key, validate_only } = request;
        let call = Call::new("CreateWebhook", &idempotency_key, &spec, &mut faults);
        self.complete_name(scope, &mut spec, None).await?;
        let now = self.clock.now();
        let target = check(&spec, now, self.mail, &mut faults);
        if let Some(call) = &call
            && faults.is_empty()
            && let Some(webhook) = call.answered::<Webhook>(&self.store, scope, now).await?
        {
            return Ok(Written::created(Arc::new(webhook)));
        }
        let unknown = event_types::named(&spec.event_names);
        event_types::refuse_unknown(&self.store, scope, unknown, &mut faults).await?;
        // Not for a repeated call: its answer does not depend on what a name resolves to by now.
        destinations::check(&self.sender, URL, target.as_ref(), &mut faults).await;
        destinations::check(&self.sender, ALERT_URL, alerts(&spec).as_ref(), &mut faults).await;
        faults.check()?;
        if validate_only {
            self.refuse_taken_name(scope, &spec, None).await?;
            return Ok(Written::unchanged(Arc::new(draft(scope, spec, now))));
        }
        let made = self.make(scope, spec, call.as_ref(), now).await;
        if let (Err(_), Some(call)) = (&made, &call)
            && let Some(webhook) = call.answered::<Webhook>(&self.store, scope, now).await?
        {
            // Another call of the same key was faster: its answer is this one's.
            return Ok(Written::created(Arc::new(webhook)));
        }
        Ok(Written::created(self.tell(scope, made?).await?))
    }

    async fn make(
        &self,
        scope: &Scope,
        mut spec: WebhookSpec,
        call: Option<&Call>,
        now: Timestamp,
    ) -> Result<Webhook> {
        // What is refused registers no names.
        self.refuse_taken_name(scope, &spec, None).await?;
        quotas::check_webhooks(scope)?;
        event_types::register_missing(
            &self.store,
            scope,
            event_types::exact(&spec.event_names),
            now,
        )
        .await?;
        complete(&mut spec, now);
        let new = NewWebhook {
            webhook_id: WebhookId::new(now, rand::random()),
            consumer_group_id: Uuid::new_v4(),
            spec,
            attribution: Attribution::new(now, scope.actor.clone()),
        };
        let stored = call.map(Call::stored);
        self.store.create_webhook(scope.tenant_key, new, stored.as_ref()).await
    }

    /// Finds a webhook.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn get(&self, scope: &Scope, webhook_id: &str) -> Result<Arc<Webhook>> {
        scope.config.refresh_if_stale(&self.store).await?;
        find(scope, webhook_id)
    }

    /// Finds a webhook by its number.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn numbered(&self, scope: &Scope, number: i32) -> Result<Arc<Webhook>> {
        scope.config.refresh_if_stale(&self.store).await?;
        let missing = || Error::new(Reason::WebhookNotFound, "no such webhook");
        scope.config.numbered_webhook(number).ok_or_else(missing)
    }

    /// Lists webhooks, oldest first.
    ///
    /// # Errors
    ///
    /// Faults of the query, `PAGE_TOKEN_INVALID`, `STORE_UNAVAILABLE`.
    pub async fn list(&self, scope: &Scope, mut query: WebhookQuery) -> Result<WebhookPage> {
        let mut faults = std::mem::take(&mut query.faults);
        let size = page_size(query.page_size, &mut faults);
        let skip = usize::try_from(query.skip).unwrap_or_else(|_| {
            faults.invalid("skip", "must not be negative");
            0
        });
        text::check(&mut faults, "name", &query.name, limits::NAME_CHARS);
        for (i, name) in query.event_names.iter().enumerate() {
            subscription::check_pattern(&mut faults, &format!("event_names[{i}]"), name);
        }
        text::check_map(&mut faults, "labels", query.labels.iter());
        faults.check()?;
        let bound = WebhookQuery { page_size: 0, page_token: String::new(), ..query.clone() };
        let fingerprint = Fingerprint::of(&("webhooks", &scope.tenant_id, &bound));
        let after: Option<WebhookKey> = read_page_token(&query.page_token, fingerprint)?;
        scope.config.refresh_if_stale(&self.store).await?;

        let matches: Vec<_> =
            scope.config.webhooks().into_iter().filter(|w| query.takes(w)).collect();
        let total_size = matches.len();
        // What is to be skipped was skipped before the first page.
        let rest = matches
            .into_iter()
            .skip(skip)
            .skip_while(|w| after.is_some_and(|after| w.key <= after));
        let mut webhooks: Vec<_> = rest.take(size + 1).collect();
        let more = webhooks.len() > size;
        webhooks.truncate(size);
        let last = webhooks.last().filter(|_| more);
        let next_page_token =
            last.map_or_else(String::new, |last| page_token(fingerprint, &last.key));
        Ok(WebhookPage { webhooks, next_page_token, total_size })
    }

    /// Tells the index and the lane before the caller hears of it.
    pub(super) async fn tell(&self, scope: &Scope, webhook: Webhook) -> Result<Arc<Webhook>> {
        tracing::info!(
            tenant = %scope.tenant_id,
            webhook = %webhook.webhook_id,
            version = webhook.version,
            state = ?webhook.state(),
            deleted = webhook.delete_time.is_some(),
            "webhook written"
        );
        let webhook = Arc::new(webhook);
        self.engine.configure(scope.tenant_id.clone(), Arc::clone(&webhook));
        scope.config.refresh(&self.store).await?;
        Ok(webhook)
    }

    /// Ahead of everything else; the database has the last word when something is stored.
    pub(super) async fn refuse_taken_name(
        &self,
        scope: &Scope,
        spec: &WebhookSpec,
        of: Option<WebhookKey>,
    ) -> Result<()> {
        scope.config.refresh_if_stale(&self.store).await?;
        let taken = |w: &Arc<Webhook>| w.spec.name == spec.name && Some(w.key) != of;
        if scope.config.webhooks().iter().any(taken) {
            let message = format!("the tenant has a webhook named {:?} already", spec.name);
            return Err(Error::field("webhook.name", Reason::WebhookNameTaken, message));
        }
        Ok(())
    }
}

/// Finds a webhook in what is known.
pub(super) fn find(scope: &Scope, webhook_id: &str) -> Result<Arc<Webhook>> {
    if webhook_id.is_empty() {
        return Err(Error::field("webhook_id", Reason::FieldRequired, "is required"));
    }
    let found = webhook_id.parse().ok().and_then(|id| scope.config.webhook(id));
    found.ok_or_else(|| Error::new(Reason::WebhookNotFound, "no such webhook"))
}

/// Makes the secrets that are still to be made.
pub(super) fn complete(spec: &mut WebhookSpec, now: Timestamp) {
    if let Some(signing) = &mut spec.signing {
        signing.complete(now, &mut rand::random);
    }
}

/// What can be said of a definition by itself. Gives the target, where the URL is one.
pub(super) fn check(
    spec: &WebhookSpec,
    now: Timestamp,
    mail: bool,
    faults: &mut Faults,
) -> Option<Target> {
    spec.check(faults);
    if let Some(signing) = &spec.signing {
        signing.check_times(now, faults);
    }
    if let Some(handling) = &spec.failure_handling {
        destinations::parse(ALERT_URL, &handling.alert_url, faults);
    }
    check_emails(spec, mail, faults);
    destinations::parse(URL, &spec.destination.url, faults)
}

pub(super) fn check_etag(webhook: &Webhook, etag: &str) -> Result<()> {
    if etag.is_empty() || etag == webhook.etag() {
        return Ok(());
    }
    Err(Error::new(Reason::EtagMismatch, "the webhook has another version by now"))
}

pub(super) fn contended() -> Error {
    Error::new(Reason::EtagMismatch, "the webhook is being changed by others all the time")
}

/// What a webhook would be that is not made.
pub(super) fn draft(scope: &Scope, spec: WebhookSpec, now: Timestamp) -> Webhook {
    Webhook {
        key: WebhookKey(0),
        tenant_key: scope.tenant_key,
        webhook_id: WebhookId::new(now, [0; 8]),
        number: 0,
        consumer_group_id: Uuid::nil(),
        spec,
        suspension: None,
        holds: Vec::new(),
        version: 0,
        attribution: Attribution::new(now, scope.actor.clone()),
        delete_time: None,
    }
}
