//! Looks at the credentials of each call before anything else is done with it: who is
//! calling, and whether that is enough for this RPC.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt};

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

/// Lets those calls through to a service that may be made.
pub(super) async fn authorize<S>(
    auth: Auth,
    service: S,
    mut request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Some(access) = access::of(request.uri().path()) else {
        return Ok(not_built("this method").into_http());
    };
    let is_stream = access::is_stream(request.uri().path());
    let from = request.extensions().get::<Peer>().map(|peer| peer.0);
    let credentials = Credentials::read(request.headers(), from);
    let caller = match auth.admit(access, &credentials).await {
        Ok(caller) => caller,
        Err(error) => return Ok(Status::from(error).into_http()),
    };
    if let (Some(caller), Access::Needs(permission)) = (&caller, access) {
        request.extensions_mut().insert(Authorized { caller: caller.clone(), permission });
    }
    let response = service.oneshot(request).await?;
    Ok(match caller {
        Some(caller) if is_stream && caller.is_revocable() => response.map(|inner| {
            let revoked = async move { auth.until_revoked(&caller).await };
            Body::new(Ending::at_once(inner, revoked))
        }),
        _ => response,
    })
}
