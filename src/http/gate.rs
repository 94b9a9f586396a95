//! Looks at the credentials of each request before anything else of it is read: who is
//! calling, whether that is enough for this route, and in which tenant.

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::{parameters::Parameters, refusal::Cause, tenant};
use crate::{
    domain::{access::Access, error::Error},
    service::{
        Services,
        auth::{Credentials, Peer},
    },
};

/// What a path calls the tenant that it names.
pub(super) const TENANT: &str = "tenantLocator";
/// What a query calls its token.
pub(super) const QUERY_TOKEN: &str = "access_token";

/// How a dialect refuses.
pub(super) trait Refuse: From<Error> + From<Cause> + IntoResponse + Send + 'static {}

impl<R: From<Error> + From<Cause> + IntoResponse + Send + 'static> Refuse for R {}

/// Stands before one route.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) services: Services,
    pub(super) access: Access,
    /// Whether credentials, and the tenant, may be in the query too.
    pub(super) reads_query: bool,
}

/// Middleware: lets those requests through that may be made. Handlers find who is calling
/// (`Caller`) among the extensions of their request, and where the route needs a permission,
/// in which tenant (`Scope`).
pub(super) async fn admit<R: Refuse>(
    State(gate): State<Gate>,
    request: Request,
    next: Next,
) -> Result<Response, R> {
    let Gate { services, access, .. } = &gate;
    let (mut parts, body) = request.into_parts();
    if let Some(caller) = services.auth.admit(*access, &gate.credentials(&parts)).await? {
        if let Access::Needs(permission) = access {
            let path = named_tenant(&mut parts).await.ok_or(Cause::NotFound)?;
            let tenant = tenant::of(path, &parts.headers, gate.query(&parts))?;
            let scope = services.scopes.enter(&caller, &tenant, *permission).await?;
            parts.extensions.insert(scope);
        }
        parts.extensions.insert(caller);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

impl Gate {
    fn credentials(&self, parts: &Parts) -> Credentials {
        let from = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let credentials = Credentials::read(&parts.headers, from);
        let tokens = self.query(parts).texts(QUERY_TOKEN);
        tokens.iter().fold(credentials, |credentials, token| credentials.with_token(token))
    }

    /// What may be looked at of the query here.
    fn query(&self, parts: &Parts) -> Parameters {
        Parameters::of(parts.uri.query().filter(|_| self.reads_query))
    }
}

/// The tenant that the path names; empty where it names none, absent where the path cannot
/// be decoded.
async fn named_tenant(parts: &mut Parts) -> Option<String> {
    let named = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let tenant = named.iter().find(|(name, _)| *name == TENANT);
    Some(tenant.map(|(_, tenant)| tenant.to_owned()).unwrap_or_default())
}
