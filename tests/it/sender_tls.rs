//! The sender and TLS.
//!
//! `tls/` has a certificate for `localhost` and 127.0.0.1, its key, and the root it is signed by,
//! whose key is thrown away. They are good for a hundred years.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tidings::sender::{Connection, FailureKind, HttpSender, Target};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::support::receiver::{Receiver, Reply};
use crate::support::sending::{connection, fails, limits, local, post, request};

fn trusting(root: &[u8]) -> Arc<HttpSender> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).expect("a certificate")).expect("a root");
    let sender = HttpSender::with_roots(local(), roots).expect("a sender");
    assert_eq!(sender.trusted_roots(), 1);
    Arc::new(sender)
}

/// Puts TLS before a receiver and gives its URL.
async fn tls_before(receiver: &Receiver) -> String {
    let chain = CertificateDer::from_pem_slice(include_bytes!("tls/leaf.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/leaf.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain.expect("a certificate")], key.expect("a key"))
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    // On all addresses, so that it can be reached under one that its certificate is not for.
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("https://127.0.0.1:{port}/hook");
    let behind = Target::parse(&receiver.url()).expect("a target").to_string();
    let behind = behind.replace("http://", "");
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            // A sender that does not trust us hangs up.
            if let Ok(mut tls) = acceptor.accept(tcp).await {
                let mut plain = TcpStream::connect(&behind).await.expect("the receiver");
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
                });
            }
        }
    });
    url
}

#[tokio::test]
async fn https_is_spoken_on_one_connection() {
    let receiver = Receiver::with(|_| Reply::status(200).body("secret")).await;
    let url = tls_before(&receiver).await;
    let mut connection = Connection::new(trusting(include_bytes!("tls/ca.pem")));
    for url in [&url, &url, &url.replace("127.0.0.1", "localhost")] {
        let answer = post(&mut connection, url).await.expect("an answer");
        assert_eq!(answer.excerpt, "secret");
    }
    assert_eq!((receiver.count(), receiver.connections()), (3, 2));
}

#[tokio::test]
async fn certificate_that_is_not_trusted_is_a_tls_failure() {
    let receiver = Receiver::start().await;
    let url = tls_before(&receiver).await;
    let words = "UnknownIssuer";
    fails(&mut connection(), &url, FailureKind::Tls, words).await;

    // The certificate is for 127.0.0.1 only.
    let trusting = trusting(include_bytes!("tls/ca.pem"));
    let url = url.replace("127.0.0.1", "127.0.0.2");
    let words = "certificate";
    fails(&mut Connection::new(trusting), &url, FailureKind::Tls, words).await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn https_to_a_plain_receiver_is_a_tls_failure() {
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("http", "https");
    let words = "TLS handshake failed";
    fails(&mut connection(), &url, FailureKind::Tls, words).await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn timeout_covers_the_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let target = Target::parse(&url).expect("a target");
    let limits = limits(Duration::from_millis(50));
    let failure = connection()
        .send(&target, request(Method::POST, ""), &limits)
        .await
        .expect_err("a timeout");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.ends_with("while in the TLS handshake"), "{failure}");
}
