//! Webhooks: made, listed, shown, changed, let go and deleted.

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, Uri};

use super::{
    DEFAULT_COUNT, MAX_COUNT, Named,
    definition::{self, Definition, Shown},
    refusal::Refusal,
    refuse_unknown,
};
use crate::{
    domain::error::Faults,
    http::{Facades, answer, body, parameters::Parameters},
    service::{
        scope::Scope,
        webhooks::{CreateWebhook, UpdateWebhook, WebhookQuery},
    },
};

pub(super) async fn create(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let spec = definition::read_new(body::read_json(request).await?, &mut faults);
    faults.check()?;
    let request = CreateWebhook {
        spec,
        faults: Faults::default(),
        idempotency_key: String::new(),
        validate_only: false,
    };
    let made = facades.services.webhooks.create(&scope, request).await?;
    Ok(answer::json(StatusCode::OK, &Shown::of(&made.webhook)))
}

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let mut parameters = Parameters::of(uri.query());
    let either = "true or false";
    let mut query = WebhookQuery {
        skip: parameters.count("offset", 0..=i32::MAX, &mut faults).unwrap_or(0),
        page_size: parameters.count("count", 1..=MAX_COUNT, &mut faults).unwrap_or(DEFAULT_COUNT),
        name: parameters.text("name", &mut faults).unwrap_or_default(),
        enabled: parameters.one("enabled", either, &mut faults),
        suspended: parameters.one("suspended", either, &mut faults),
        active: parameters.one("active", either, &mut faults),
        event_names: read_types(&mut parameters),
        ..WebhookQuery::default()
    };
    refuse_unknown(&parameters, &mut faults);
    query.faults = faults;
    let page = facades.services.webhooks.list(&scope, query).await?;
    let shown: Vec<_> = page.webhooks.iter().map(|webhook| Shown::of(webhook)).collect();
    Ok(answer::json(StatusCode::OK, &shown))
}

/// Event types, given one by one or with commas.
fn read_types(parameters: &mut Parameters) -> Vec<String> {
    let given = parameters.texts("eventTypes");
    let types = given.iter().flat_map(|types| types.split(',')).filter(|name| !name.is_empty());
    types.map(str::to_owned).collect()
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    let webhook = facades.services.webhooks.get(&scope, &locator).await?;
    Ok(answer::json(StatusCode::OK, &Shown::of(&webhook)))
}

pub(super) async fn change(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    facades.services.webhooks.get(&scope, &locator).await?;
    let mut faults = Faults::default();
    let definition = Definition::read_change(body::read_json(request).await?, &mut faults);
    faults.check()?;
    let request = UpdateWebhook {
        webhook_id: locator,
        etag: String::new(),
        change: Box::new(move |current, faults| definition.change(current, faults)),
        validate_only: false,
    };
    let changed = facades.services.webhooks.update(&scope, request).await?;
    Ok(answer::json(StatusCode::OK, &Shown::of(&changed.webhook)))
}

pub(super) async fn unsuspend(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    facades.services.webhooks.unsuspend(&scope, &locator, false).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Named((_, locator)): Named<(String, String)>,
) -> Result<Response, Refusal> {
    facades.services.webhooks.delete(&scope, &locator, "", false).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
