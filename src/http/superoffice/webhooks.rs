//! Webhooks: made, listed, shown, tested and deleted.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use serde::Serialize;

use super::{
    Named, accept,
    change::{Unmodified, is_race},
    definition::Definition,
    document,
    entity::{Entity, View},
    refusal::Refusal,
    state,
};
use crate::{
    domain::{
        delivery::{AttemptOutcome, AttemptSummary},
        error::{Error, Faults, Reason},
        webhook::{Webhook, WebhookSpec, WebhookState},
    },
    http::{Facades, answer, parameters::Parameters},
    service::{
        scope::Scope,
        webhook_pings::Tested,
        webhooks::{CreateWebhook, WebhookQuery},
    },
};

/// How often a webhook is made again when others are faster to take its name.
const TRIES: usize = 8;
/// Webhooks read at a time for the list, which has no pages here.
const PAGE: i32 = 1_000;

pub(super) async fn default(
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let view = View::of(&request, &scope)?;
    Ok(accept::json(StatusCode::OK, &view.cut(&Entity::default())?))
}

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(request.uri().query());
    let mut faults = Faults::default();
    let view = View::with(&request, &mut parameters, &scope, &mut faults)?;
    let name = parameters.text("nameFilter", &mut faults).unwrap_or_default().to_lowercase();
    let mut query = WebhookQuery {
        page_size: PAGE,
        event_names: parameters.text("eventFilter", &mut faults).into_iter().collect(),
        states: read_states(&mut parameters, &mut faults),
        ..WebhookQuery::default()
    };
    for unknown in parameters.left() {
        faults.invalid(unknown, "is not known");
    }
    query.faults = faults;
    let mut shown = Vec::new();
    loop {
        let page = facades.services.webhooks.list(&scope, query.clone()).await?;
        let named =
            |webhook: &&Arc<Webhook>| webhook.spec.shown_name().to_lowercase().contains(&name);
        for webhook in page.webhooks.iter().filter(named) {
            shown.push(view.cut(&view.entity(webhook))?);
        }
        query.page_token = page.next_page_token;
        if query.page_token.is_empty() {
            return Ok(accept::json(StatusCode::OK, &shown));
        }
    }
}

fn read_states(parameters: &mut Parameters, faults: &mut Faults) -> Vec<WebhookState> {
    let wanted = "Active, Stopped or TooManyErrors, or 1, 2 or 3";
    let state = parameters.one::<state::State>("statusFilter", wanted, faults);
    state.map(state::State::states).unwrap_or_default()
}

pub(super) async fn create(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let scope = scope.registering_names();
    let view = View::of(&request, &scope)?;
    let mut faults = Faults::default();
    let spec = Definition::read(document::read(request).await?, &mut faults).create(&mut faults);
    let webhooks = &facades.services.webhooks;
    let create = |validate_only| {
        let (spec, faults) = (spec.clone(), faults.clone());
        let idempotency_key = String::new();
        webhooks.create(&scope, CreateWebhook { spec, faults, idempotency_key, validate_only })
    };
    create(true).await?;
    greet(&facades, &scope, &spec).await?;
    let mut made = create(false).await;
    for _ in 1..TRIES {
        match &made {
            Err(error) if is_race(error) => made = create(false).await,
            _ => break,
        }
    }
    Ok(view.answer(&made?.webhook)?)
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let view = View::of(&request, &scope)?;
    Ok(view.answer(&*find(&facades, &scope, &id).await?)?)
}

pub(super) async fn remove(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named(id): Named<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let unmodified = Unmodified::read(request.headers())?;
    let webhook = find(&facades, &scope, &id).await?;
    unmodified.check(&webhook)?;
    let (id, etag) = (webhook.webhook_id.to_string(), webhook.etag());
    let etag = if unmodified.is_asked() { etag.as_str() } else { "" };
    match facades.services.webhooks.delete(&scope, &id, etag, false).await {
        Err(error) if error.reason == Reason::EtagMismatch => Err(Refusal::Modified),
        deleted => {
            deleted?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
    }
}

/// What came of a test.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tried {
    success: bool,
    message: String,
}

/// Sends the test event of a definition that need not be stored.
pub(super) async fn test(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let spec = Definition::read(document::read(request).await?, &mut faults).create(&mut faults);
    let AttemptSummary { outcome, http_status, error, .. } =
        ping(&facades, &scope, &spec, faults).await?;
    let success = outcome == AttemptOutcome::Success;
    let message = if success { format!("answered {http_status}") } else { error };
    Ok(accept::json(StatusCode::OK, &Tried { success, message }))
}

/// Sends the test event of a definition, which has to be taken before deliveries go there.
pub(super) async fn greet(
    facades: &Facades,
    scope: &Scope,
    spec: &WebhookSpec,
) -> Result<(), Error> {
    let AttemptSummary { outcome, error, .. } =
        ping(facades, scope, spec, Faults::default()).await?;
    if outcome == AttemptOutcome::Success {
        return Ok(());
    }
    let message = format!("did not take the test event: {error}");
    Err(Error::field("TargetUrl", Reason::FieldInvalid, message))
}

async fn ping(
    facades: &Facades,
    scope: &Scope,
    spec: &WebhookSpec,
    faults: Faults,
) -> Result<AttemptSummary, Error> {
    let tested = Tested::Definition(Box::new(spec.clone()));
    let outcome = facades.services.webhooks.test(scope, tested, "", faults).await?;
    Ok(outcome.attempt.summary)
}

/// The webhook of that number.
pub(super) async fn find(
    facades: &Facades,
    scope: &Scope,
    id: &str,
) -> Result<Arc<Webhook>, Error> {
    let number = id.parse().map_err(|_| Error::new(Reason::WebhookNotFound, "no such webhook"))?;
    facades.services.webhooks.numbered(scope, number).await
}
