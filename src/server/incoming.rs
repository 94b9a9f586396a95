//! Connections as they come in, with TLS or without.
//!
//! Handshakes run beside each other, and nobody waits for one of another. There is a limit on
//! how long one takes, and on how many are under way: beyond it the oldest is given up, so
//! that peers who connect and say nothing do not keep those out who do.

use std::{collections::VecDeque, convert::Infallible, io, net::SocketAddr, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::server::TlsStream;

use super::tls::Tls;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const HANDSHAKES: usize = 1_024;
/// Pause where a connection cannot be taken: there may be no file descriptor left.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Connections without TLS.
pub(super) fn plain(listener: TcpListener) -> impl Stream<Item = Result<TcpStream, Infallible>> {
    stream::unfold(listener, async |listener| {
        let (tcp, _) = accept(&listener).await;
        Some((Ok(tcp), listener))
    })
}

/// Connections whose handshake was good.
pub(super) fn secured(
    listener: TcpListener,
    tls: Tls,
) -> impl Stream<Item = Result<TlsStream<TcpStream>, Infallible>> {
    let handshakes = Handshakes::new(tls, HANDSHAKE, HANDSHAKES);
    stream::unfold((listener, handshakes), async |(listener, mut handshakes)| {
        let tls = handshakes.next(&listener).await;
        Some((Ok(tls), (listener, handshakes)))
    })
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                // Without it, small answers wait for the other side's delayed acknowledgement.
                let _ = tcp.set_nodelay(true);
                return (tcp, peer);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Whether a peer was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Handshakes under way. Dropped, they end.
struct Handshakes {
    tls: Tls,
    limit: Duration,
    most: usize,
    running: JoinSet<Option<TlsStream<TcpStream>>>,
    /// Oldest first; some may have ended.
    begun: VecDeque<AbortHandle>,
}

impl Handshakes {
    fn new(tls: Tls, limit: Duration, most: usize) -> Self {
        Self { tls, limit, most, running: JoinSet::new(), begun: VecDeque::new() }
    }

    /// Accepts until a handshake has come to a good end. Cancel safe.
    async fn next(&mut self, listener: &TcpListener) -> TlsStream<TcpStream> {
        loop {
            tokio::select! {
                (tcp, peer) = accept(listener) => self.begin(tcp, peer),
                Some(ended) = self.running.join_next() => {
                    if let Ok(Some(tls)) = ended {
                        return tls;
                    }
                }
            }
        }
    }

    fn begin(&mut self, tcp: TcpStream, peer: SocketAddr) {
        if self.begun.len() >= self.most {
            self.begun.retain(|handshake| !handshake.is_finished());
        }
        if self.begun.len() >= self.most
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
        }
        let (accept, limit) = (self.tls.acceptor().accept(tcp), self.limit);
        self.begun.push_back(self.running.spawn(async move {
            match tokio::time::timeout(limit, accept).await {
                Ok(Ok(tls)) => return Some(tls),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
            None
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore,
            crypto::ring,
            pki_types::{CertificateDer, ServerName, pem::PemObject},
        },
    };

    use super::*;
    use crate::server::config::Config;

    fn tls() -> Tls {
        let file =
            |name| Some(format!("{}/tests/it/tls/{name}", env!("CARGO_MANIFEST_DIR")).into());
        let config =
            Config { tls_cert: file("leaf.pem"), tls_key: file("leaf.key"), ..Config::default() };
        Tls::load(&config).expect("good").expect("configured").0
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// Whether the other side has closed; that is waited for.
    async fn is_closed(mut tcp: TcpStream) -> bool {
        !matches!(tcp.read(&mut [0; 64]).await, Ok(1..))
    }

    /// A client that knows how to speak.
    async fn speak(address: SocketAddr) {
        let pem = include_bytes!("../../tests/it/tls/ca.pem");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem).expect("PEM")).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
    }

    #[tokio::test]
    async fn who_says_nothing_is_given_up_after_the_limit() {
        let (listener, address) = listener().await;
        let mut handshakes = Handshakes::new(tls(), Duration::from_millis(50), 10);
        let silent = TcpStream::connect(address).await.expect("a connection");
        tokio::select! {
            _ = handshakes.next(&listener) => panic!("it said nothing"),
            closed = is_closed(silent) => assert!(closed),
        }
    }

    #[tokio::test]
    async fn beyond_the_limit_of_handshakes_the_oldest_is_given_up() {
        let (listener, address) = listener().await;
        let mut handshakes = Handshakes::new(tls(), Duration::from_secs(3600), 2);
        let mut silent = Vec::new();
        for _ in 0..2 {
            silent.push(TcpStream::connect(address).await.expect("a connection"));
        }
        let oldest = silent.remove(0);
        let (_, (), closed) = tokio::join!(
            async { handshakes.next(&listener).await },
            speak(address),
            is_closed(oldest),
        );
        assert!(closed);
        assert!(handshakes.begun.len() <= 2);
        let mut byte = [0];
        assert!(silent[0].try_read(&mut byte).is_err(), "the younger one is still waited for");
    }
}
