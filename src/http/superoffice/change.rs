//! Changes of a webhook: all of its definition, or a part.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, header};
use serde_json::Value;

use super::{
    Named,
    definition::{Definition, Revision},
    document::{self, Document},
    entity::View,
    patch::Patch,
    refusal::Refusal,
    state,
    webhooks::{find, greet},
};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        webhook::{Webhook, WebhookState},
    },
    http::Facades,
    service::{scope::Scope, webhooks::Replacement},
};

/// How often a change is tried again when others change the same webhook.
const TRIES: usize = 8;

/// Replaces the definition.
pub(super) async fn put(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let scope = scope.registering_names();
    let change = Change::of(&request, &facades, &scope, &id)?;
    change.current().await?;
    let document = document::read(request).await?;
    change.make(|_| Ok(document.clone())).await
}

/// Changes a part of the definition.
pub(super) async fn patch(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let scope = scope.registering_names();
    let change = Change::of(&request, &facades, &scope, &id)?;
    change.current().await?;
    let patch = Patch::read(request).await?;
    change
        .make(|mut document| {
            patch.apply(&mut document)?;
            Ok(Document::of(document))
        })
        .await
}

/// A change that is being made.
struct Change<'a> {
    facades: &'a Facades,
    scope: &'a Scope,
    view: View,
    unmodified: Unmodified,
    id: &'a str,
}

impl<'a> Change<'a> {
    /// What a request asks for beside its body.
    fn of(
        request: &Request,
        facades: &'a Facades,
        scope: &'a Scope,
        id: &'a str,
    ) -> Result<Self, Error> {
        let view = View::of(request, scope)?;
        let unmodified = Unmodified::read(request.headers())?;
        Ok(Self { facades, scope, view, unmodified, id })
    }

    /// The webhook as it is now, where it may be changed.
    async fn current(&self) -> Result<Arc<Webhook>, Refusal> {
        let current = find(self.facades, self.scope, self.id).await?;
        self.unmodified.check(&current)?;
        Ok(current)
    }

    /// Makes it. `change` gives the new document for the one that is shown now; it is asked
    /// again where others were faster.
    async fn make(
        self,
        change: impl Fn(Value) -> Result<Document, Refusal>,
    ) -> Result<Response, Refusal> {
        for _ in 0..TRIES {
            let current = self.current().await?;
            // What cannot be written as a value is no object, and refused as such.
            let shown = serde_json::to_value(self.view.entity(&current)).unwrap_or_default();
            let document = change(shown)?;
            match self.store(&current, document).await {
                Ok(changed) => return Ok(self.view.answer(&changed)?),
                Err(error) if is_race(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = "the webhook is being changed by others all the time";
        Err(Error::new(Reason::EtagMismatch, message).into())
    }

    async fn store(
        &self,
        current: &Arc<Webhook>,
        document: Document,
    ) -> Result<Arc<Webhook>, Error> {
        let mut faults = Faults::default();
        let definition = Definition::read(document, &mut faults);
        let state = state::State::of(current.state());
        let Revision { spec, resume } = definition.change(&current.spec, state, &mut faults);
        let replace = |validate_only| {
            let (spec, faults) = (spec.clone(), faults.clone());
            let replacement = Replacement { spec, faults, resume, validate_only };
            self.facades.services.webhooks.replace(self.scope, current, replacement)
        };
        let next = replace(true).await?.webhook;
        if is_to_be_tested(current, &next) {
            greet(self.facades, self.scope, &next.spec).await?;
        }
        Ok(replace(false).await?.webhook)
    }
}

/// Whether a change makes deliveries go where none went before.
fn is_to_be_tested(before: &Webhook, after: &Webhook) -> bool {
    let active = |webhook: &Webhook| webhook.state() == WebhookState::Active;
    let moved = before.spec.destination.url != after.spec.destination.url;
    active(after) && (moved || !active(before))
}

/// Whether the same may go well when it is tried again.
pub(super) fn is_race(error: &Error) -> bool {
    // Names are free when they are chosen.
    matches!(error.reason, Reason::EtagMismatch | Reason::WebhookNameTaken)
}

/// `If-Unmodified-Since` of a request.
pub(super) struct Unmodified(Option<SystemTime>);

impl Unmodified {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// `FIELD_INVALID` where it is no time: a condition that is not looked at would be worse.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let Some(value) = headers.get(header::IF_UNMODIFIED_SINCE) else { return Ok(Self(None)) };
        let time = value.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
        time.map(|time| Self(Some(time))).ok_or_else(|| {
            let message = "must be a time such as Sat, 21 Nov 2026 15:25:00 GMT";
            Error::field("If-Unmodified-Since", Reason::FieldInvalid, message)
        })
    }

    /// Whether there is such a condition.
    pub(super) fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// Refuses where the webhook was changed later.
    pub(super) fn check(&self, webhook: &Webhook) -> Result<(), Refusal> {
        match self.0 {
            Some(since) if modified(webhook) > since => Err(Refusal::Modified),
            _ => Ok(()),
        }
    }
}

/// When a webhook was changed last, in whole seconds as HTTP has them.
pub(super) fn modified(webhook: &Webhook) -> SystemTime {
    let micros = webhook.attribution.update_time.micros();
    UNIX_EPOCH + Duration::from_secs(u64::try_from(micros / 1_000_000).unwrap_or(0))
}
