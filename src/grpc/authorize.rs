//! Looks at the credentials of each call before anything else is done with it: who is
//! calling, and whether that is enough for this RPC.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tonic::Status;

use super::{access, ending::Ending, status::not_built};
use crate::{
    domain::{access::Access, permission::Permission},
    service::auth::{Auth, Caller, Credentials, Peer},
};

/// A caller that was let in. Handlers find it among the extensions of their request.
#[derive(Clone)]
pub(super) struct Authorized {
    pub(super) caller: Caller,
    /// What it has for this RPC.
    pub(super) permission: Permission,
}

/// Middleware: lets those calls through that may be made.
pub(super) async fn authorize(
    State(auth): State<Auth>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(access) = access::of(request.uri().path()) else {
        return not_built("this method").into_http::<Body>();
    };
    let is_stream = access::is_stream(request.uri().path());
    let from = request.extensions().get::<Peer>().map(|peer| peer.0);
    let credentials = Credentials::read(request.headers(), from);
    let caller = match auth.admit(access, &credentials).await {
        Ok(caller) => caller,
        Err(error) => return Status::from(error).into_http::<Body>(),
    };
    if let (Some(caller), Access::Needs(permission)) = (&caller, access) {
        request.extensions_mut().insert(Authorized { caller: caller.clone(), permission });
    }
    let response = next.run(request).await;
    match caller {
        Some(caller) if is_stream && caller.is_revocable() => response.map(|inner| {
            let revoked = async move { auth.until_revoked(&caller).await };
            Body::new(Ending::at_once(inner, revoked))
        }),
        _ => response,
    }
}
