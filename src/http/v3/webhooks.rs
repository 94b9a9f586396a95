//! `/v3/webHooks`: making, finding, changing and deleting webhooks.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, Uri};

use super::{
    codes::Code, definition::Definition, envelope, envelope::Remark, object::Object,
    refusal::Refusal, segment::Segment, shown::Shown, zone,
};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        webhook::Webhook,
    },
    http::{Facades, body, pages, parameters::Parameters},
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
    let text = body::read_json_text(request).await?;
    let (mut faults, mut warnings) = (Faults::default(), Vec::new());
    let mut object = Object::read(&text, &mut faults)?;
    let definition = Definition::read(&mut object, &mut faults, &mut warnings);
    let spec = definition.create(&mut faults);
    let request =
        CreateWebhook { spec, faults, idempotency_key: String::new(), validate_only: false };
    let made = facades.services.webhooks.create(&scope, request).await?;
    Ok(shown(&scope, &made.webhook, warnings))
}

pub(super) async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut parameters = Parameters::of(uri.query());
    let mut faults = Faults::default();
    let limit = parameters.count("limit", 1..=1_000, &mut faults);
    let mut query = WebhookQuery {
        page_size: limit.unwrap_or(pages::LARGEST),
        skip: parameters.one("offset", "a number from 0", &mut faults).unwrap_or_default(),
        name: parameters.text("name", &mut faults).unwrap_or_default(),
        enabled: parameters.one("active", "true or false", &mut faults),
        event_names: parameters.texts("eventName"),
        consumer_group_id: parameters.one("consumerGroupId", "a UUID", &mut faults),
        ..WebhookQuery::default()
    };
    query.faults = faults;
    let (service, zone, scope) = (&facades.services.webhooks, zone(&scope), &scope);
    let read = |page_token| {
        let query = WebhookQuery { page_token, ..query.clone() };
        async move {
            let page = service.list(scope, query).await?;
            Ok::<_, Error>((page.webhooks, page.next_page_token))
        }
    };
    let found = match limit {
        Some(_) => read(String::new()).await?.0,
        None => pages::all(read).await?,
    };
    let all: Vec<_> = found.iter().map(|webhook| Shown::of(webhook, &zone)).collect();
    Ok(envelope::done(StatusCode::OK, all, envelope::ignored(&parameters)))
}

pub(super) async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(id): Segment,
) -> Result<Response, Refusal> {
    let webhook = facades.services.webhooks.get(&scope, &id).await?;
    Ok(shown(&scope, &webhook, Vec::new()))
}

pub(super) async fn change(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(id): Segment,
    request: Request,
) -> Result<Response, Refusal> {
    let current = match facades.services.webhooks.get(&scope, &id).await {
        Err(error) if error.reason == Reason::WebhookNotFound => Err(Refusal::NoSuchWebhook),
        found => found.map_err(Refusal::from),
    }?;
    let text = body::read_json_text(request).await?;
    let (mut found, mut warnings) = (Faults::default(), Vec::new());
    let mut object = Object::read(&text, &mut found)?;
    let definition = Definition::read(&mut object, &mut found, &mut warnings);
    warnings.extend(kept(&current, &definition));
    let request = UpdateWebhook {
        webhook_id: id,
        etag: String::new(),
        change: Box::new(move |current, faults| {
            faults.append(found.clone());
            definition.change(current, faults)
        }),
        validate_only: false,
    };
    match facades.services.webhooks.update(&scope, request).await {
        Ok(changed) => Ok(shown(&scope, &changed.webhook, warnings)),
        // Deleted just now.
        Err(error) if error.reason == Reason::WebhookNotFound => Err(Refusal::NoSuchWebhook),
        Err(error) => Err(error.into()),
    }
}

/// Warnings for what a change asks for that no change does.
fn kept(current: &Webhook, asked: &Definition) -> Vec<Remark> {
    let name = asked.name.as_ref().is_some_and(|name| *name != current.spec.name);
    let retries =
        asked.retries.is_some_and(|retries| retries != super::shown::retries(&current.spec));
    let ignored = [("name", name), ("noOfRetryAttempts", retries)];
    let told = ignored.iter().filter(|(_, differs)| *differs).map(|(member, _)| {
        Remark::warning(Code::MemberIgnored, format!("{member} cannot be changed and was ignored"))
    });
    told.collect()
}

pub(super) async fn remove(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Segment(id): Segment,
) -> Result<Response, Refusal> {
    let deleted = facades.services.webhooks.delete(&scope, &id, "", false).await?;
    let missing = || Error::new(Reason::WebhookNotFound, "no such webhook");
    let webhook: Arc<Webhook> = deleted.ok_or_else(missing)?;
    let shown = Shown::of(&webhook, &zone(&scope)).deleted();
    Ok(envelope::done(StatusCode::OK, shown, Vec::new()))
}

fn shown(scope: &Scope, webhook: &Webhook, warnings: Vec<Remark>) -> Response {
    envelope::done(StatusCode::OK, Shown::of(webhook, &zone(scope)), warnings)
}
