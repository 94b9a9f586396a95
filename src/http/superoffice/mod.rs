//! The dialect of SuperOffice's webhooks: `/api/v1/Webhook`.

mod accept;
mod change;
mod definition;
mod document;
mod entity;
mod events;
mod patch;
mod refusal;
mod select;
mod state;
mod time;
mod webhooks;

use axum::{
    extract::{FromRequestParts, Path},
    middleware,
};
use http::{Method, request::Parts};
use serde::de::DeserializeOwned;

use self::refusal::Refusal;
use super::{
    refusal::Cause,
    routes::{Dialect, Routes},
};
use crate::service::Services;

/// Where webhooks are.
const PATH: &str = "/api/v1/Webhook";

/// Its part of the OpenAPI document.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The routes of this dialect.
pub(super) fn routes(services: &Services) -> Dialect {
    let one = "/api/v1/Webhook/{id}";
    Routes::<Refusal>::new(services)
        .serve(Method::GET, PATH, webhooks::list)
        .serve(Method::POST, PATH, webhooks::create)
        .serve(Method::GET, "/api/v1/Webhook/default", webhooks::default)
        .serve(Method::POST, "/api/v1/Webhook/Test", webhooks::test)
        .serve(Method::GET, one, webhooks::show)
        .serve(Method::PUT, one, change::put)
        .serve(Method::PATCH, one, change::patch)
        .serve(Method::DELETE, one, webhooks::remove)
        .serve(Method::GET, "/api/v1/Webhook/{id}/LastError", events::last_error)
        .serve(Method::POST, "/api/v1/Webhook/{eventName}/{primaryKey}", events::publish)
        .nothing_at(["/api/v1/Webhook/", "/api/v1/Webhook/{eventName}/{primaryKey}/{*path}"])
        .finish()
        .layered(|routes| routes.layer(middleware::from_fn(accept::check)))
}

/// What a path names, decoded. A path that cannot be decoded names nothing.
struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|_| Cause::NotFound.into())
    }
}
