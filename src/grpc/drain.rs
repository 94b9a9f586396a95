//! Ends the streams of services that are not ours when the server drains: a watch of
//! its health would otherwise keep it from ending.

use std::convert::Infallible;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use super::ending::Ending;
use crate::domain::error::Error;

/// Lets the responses of such a service end with `SERVER_DRAINING`.
pub(super) async fn end_streams<S>(
    draining: CancellationToken,
    service: S,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let response = service.oneshot(request).await?;
    let drained = async move {
        draining.cancelled_owned().await;
        Error::draining()
    };
    // What was said before, NOT_SERVING among it, comes first.
    Ok(response.map(|inner| Body::new(Ending::when_idle(inner, drained))))
}
