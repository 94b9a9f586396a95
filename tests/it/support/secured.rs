//! Clients that speak TLS. `tls/` has, beside the pair of the sender's tests, a renewed server
//! certificate under another root, the root of clients, a client's pair, and a stranger's. They are
//! good until 2125; the keys of the roots are thrown away.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

pub(crate) const CA: &str = include_str!("../tls/ca.pem");
pub(crate) const CERT: &str = include_str!("../tls/leaf.pem");
pub(crate) const KEY: &str = include_str!("../tls/leaf.key");
pub(crate) const RENEWED_CA: &str = include_str!("../tls/renewed-ca.pem");
pub(crate) const RENEWED_CERT: &str = include_str!("../tls/renewed.pem");
pub(crate) const RENEWED_KEY: &str = include_str!("../tls/renewed.key");
pub(crate) const CLIENTS_CA: &str = include_str!("../tls/clients-ca.pem");

/// A client's certificate and its key.
pub(crate) type Pair = (&'static str, &'static str);

pub(crate) const CLIENT: Pair =
    (include_str!("../tls/client.pem"), include_str!("../tls/client.key"));
pub(crate) const STRANGER: Pair =
    (include_str!("../tls/stranger.pem"), include_str!("../tls/stranger.key"));

/// A gRPC channel that connects when it is first used.
pub(crate) fn channel(address: SocketAddr, root: &str, pair: Option<Pair>) -> Channel {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root));
    if let Some((cert, key)) = pair {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    let endpoint = Channel::from_shared(format!("https://{address}")).expect("a URI");
    endpoint.tls_config(tls).expect("TLS").connect_lazy()
}

/// A TLS connection from an address of this machine, offering these protocols.
pub(crate) async fn connect(
    from: &str,
    to: SocketAddr,
    protocols: &[&str],
) -> TlsStream<tokio::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).expect("PEM")).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("bound");
    let tcp = socket.connect(to).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake")
}

/// Asks over HTTP/1.1 and gives the status.
pub(crate) async fn get(tls: TlsStream<tokio::net::TcpStream>, path: &str, token: &str) -> u16 {
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.expect("HTTP");
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").header("x-token", token);
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let answer = client.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    answer.into_body().collect().await.expect("a whole answer");
    status
}
