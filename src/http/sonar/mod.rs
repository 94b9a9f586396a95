//! The dialect of Sonar's webhooks API: `/api/v1/webhooks`.

mod definition;
mod refusal;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};

use self::{
    definition::{Definition, Shown},
    refusal::Refusal,
};
use super::{
    Facades, answer, body, pages,
    routes::{Dialect, Routes},
};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        webhook::Webhook,
    },
    service::{
        Services,
        scope::Scope,
        webhooks::{CreateWebhook, UpdateWebhook, WebhookQuery},
    },
};

/// Its part of the OpenAPI document.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The routes of this dialect.
pub(super) fn routes(services: &Services) -> Dialect {
    Routes::<Refusal>::new(services)
        .serve(Method::GET, "/api/v1/webhooks", list)
        .serve(Method::POST, "/api/v1/webhooks", create)
        .serve(Method::GET, "/api/v1/webhooks/{id}", show)
        .serve(Method::PUT, "/api/v1/webhooks/{id}", change)
        .serve(Method::PATCH, "/api/v1/webhooks/{id}", change)
        .serve(Method::DELETE, "/api/v1/webhooks/{id}", remove)
        .nothing_at(["/api/v1/webhooks/{id}/{*path}"])
        .finish()
}

async fn create(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut faults = Faults::default();
    let spec = Definition::read(body::read_json(request).await?, &mut faults)?.create(&mut faults);
    faults.check()?;
    let request = CreateWebhook {
        spec,
        faults: Faults::default(),
        idempotency_key: String::new(),
        validate_only: false,
    };
    let made = facades.services.webhooks.create(&scope, request).await?;
    Ok(shown(&made.webhook))
}

async fn list(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
) -> Result<Response, Refusal> {
    let (service, scope) = (&facades.services.webhooks, &scope);
    let read = |page_token| {
        let page_size = pages::LARGEST;
        let query = WebhookQuery { page_size, page_token, ..WebhookQuery::default() };
        async move {
            let page = service.list(scope, query).await?;
            Ok((page.webhooks, page.next_page_token))
        }
    };
    let found = pages::all(read).await?;
    let all: Vec<_> = found.iter().map(|webhook| Shown::of(webhook)).collect();
    Ok(answer::json(StatusCode::OK, &all))
}

async fn show(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    Ok(shown(&*find(&facades, &scope, &id).await?))
}

async fn change(
    State(facades): State<Facades>,
    Extension(scope): Extension<Scope>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let webhook_id = find(&facades, &scope, &id).await?.webhook_id.to_string();
    let mut faults = Faults::default();
    let definition = Definition::read(body::read_json(request).await?, &mut faults)?;
    faults.check()?;
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
    Extension(scope): Extension<Scope>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
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
