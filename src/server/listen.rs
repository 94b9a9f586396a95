//! The one listener: gRPC, gRPC-Web and plain HTTP, over HTTP/1.1 and HTTP/2, with TLS or
//! without.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use http::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes, transport::Server};
use tower::{ServiceExt, layer::layer_fn, service_fn};

use super::{config::Config, incoming, local_only, peer, tls::Tls};

/// A connection without a sign of life is asked for one this often, and closed
/// when none comes.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests that one connection may have open at once.
const STREAMS: u32 = 1_024;

/// Binds the configured address.
pub(super) async fn bind(config: &Config) -> Result<TcpListener, String> {
    let wanted = &config.listen;
    let failed = |e: std::io::Error| format!("cannot listen on {wanted}: {e}");
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host(wanted).await.map_err(failed)?.collect();
    if config.dev
        && let Some(public) = addresses.iter().find(|address| !address.ip().is_loopback())
    {
        return Err(format!(
            "listen: --dev asks for no credentials and refuses to bind {public}; use a loopback address"
        ));
    }
    TcpListener::bind(&addresses[..]).await.map_err(failed)
}

/// Serves until `draining`, and then until the last call has ended; only what is local, if so
/// wanted.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    routes: Router,
    only_local: bool,
    draining: CancellationToken,
) -> Result<(), String> {
    // Before all routes at once: a layer of theirs would be a box for every request.
    let before = layer_fn(move |routes: Routes| {
        service_fn(move |request: Request<Body>| {
            let routes = routes.clone();
            async move {
                if only_local && !local_only::is_local(&request) {
                    return Ok(local_only::refused());
                }
                routes.oneshot(peer::tell(request)).await
            }
        })
    });
    let server = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(STREAMS))
        .layer(before)
        .add_routes(Routes::from(routes));
    let draining = draining.cancelled_owned();
    let served = match tls {
        Some(tls) => {
            let secured = incoming::secured(listener, tls);
            server.serve_with_incoming_shutdown(secured, draining).await
        }
        None => server.serve_with_incoming_shutdown(incoming::plain(listener), draining).await,
    };
    served.map_err(|e| format!("the listener failed: {e}"))
}
