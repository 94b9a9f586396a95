//! Tells handlers who is on the other side of a request's connection.

use http::Request;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::service::auth::Peer;

/// Adds a [`Peer`] to the extensions of a request.
pub(super) fn tell<B>(mut request: Request<B>) -> Request<B> {
    let extensions = request.extensions();
    let secured = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>();
    let connection =
        extensions.get::<TcpConnectInfo>().or_else(|| secured().map(TlsConnectInfo::get_ref));
    if let Some(address) = connection.and_then(TcpConnectInfo::remote_addr) {
        request.extensions_mut().insert(Peer(address.ip()));
    }
    request
}
