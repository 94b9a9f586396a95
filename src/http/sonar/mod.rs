//! The dialect of Sonar's webhooks API: `/api/v1/webhooks`.

mod definition;
mod refusal;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::StatusCode;

use self::{
    definition::{Definition, Shown},
    refusal::Refusal,
};
use super::{Facades, Presented, answer, body, refusal::Cause};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        permission::Permission,
        webhook::Webhook,
    },
    service::{
        scope::Scope,
        webhooks::{CreateWebhook, UpdateWebhook, WebhookQuery},
    },
};

/// Webhooks read at a time for the list, which has no pages here.
const PAGE: i32 = 1_000;

/// The routes of this dialect.
pub(super) fn routes() -> Router<Facades> {
    let one = get(show).put(change).patch(change).delete(remove).fallback(wrong_method);
    Router::new()
        .route("/api/v1/webhooks", get(list).post(create).fallback(wrong_method))
        .route("/api/v1/webhooks/{id}", one)
        .route("/api/v1/webhooks/{id}/{*rest}", any(nothing_here))
}

async fn wrong_method() -> Refusal {
    Cause::Method.into()
}

async fn nothing_here() -> Refusal {
    Cause::NotFound.into()
}

async fn create(
    State(facades): State<Facades>,
    presented: Presented,
    request: Request,
) -> Result<Response, Refusal> {
    let scope = facades.scope(&presented, Permission::WebhooksWrite).await?;
    let mut faults = Faults::default();
    let spec = Definition::read(body::read_json(request).await?, &mut faults)?.create(&mut faults);
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let request =
        CreateWebhook { spec, faults, idempotency_key: String::new(), validate_only: false };
    let made = facades.services.webhooks.create(&scope, request).await?;
    Ok(shown(&made.webhook))
}

async fn list(State(facades): State<Facades>, presented: Presented) -> Result<Response, Refusal> {
    let scope = facades.scope(&presented, Permission::WebhooksRead).await?;
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let query = WebhookQuery { page_size: PAGE, page_token, ..WebhookQuery::default() };
        let page = facades.services.webhooks.list(&scope, query).await?;
        all.extend(page.webhooks.iter().map(|webhook| Shown::of(webhook)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(answer::json(StatusCode::OK, &all));
        }
    }
}

async fn show(
    State(facades): State<Facades>,
    presented: Presented,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let scope = facades.scope(&presented, Permission::WebhooksRead).await?;
    Ok(shown(&*find(&facades, &scope, &id).await?))
}

async fn change(
    State(facades): State<Facades>,
    presented: Presented,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let scope = facades.scope(&presented, Permission::WebhooksWrite).await?;
    let webhook_id = find(&facades, &scope, &id).await?.webhook_id.to_string();
    let mut faults = Faults::default();
    let definition = Definition::read(body::read_json(request).await?, &mut faults)?;
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let request = UpdateWebhook {
        webhook_id,
        etag: String::new(),
        change: Box::new(move |current, faults| definition.change(current, faults)),
        validate_only: false,
    };
    let changed = facades.services.webhooks.update(&scope, request).await?;
    Ok(shown(&changed.webhook))
}

async fn remove(
    State(facades): State<Facades>,
    presented: Presented,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let scope = facades.scope(&presented, Permission::WebhooksWrite).await?;
    let webhook_id = find(&facades, &scope, &id).await?.webhook_id.to_string();
    facades.services.webhooks.delete(&scope, &webhook_id, "", false).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

async fn find(facades: &Facades, scope: &Scope, id: &str) -> Result<Arc<Webhook>, Error> {
    let number = id.parse().map_err(|_| Error::new(Reason::WebhookNotFound, "no such webhook"))?;
    facades.services.webhooks.numbered(scope, number).await
}

fn shown(webhook: &Webhook) -> Response {
    answer::json(StatusCode::OK, &Shown::of(webhook)).into_response()
}
