//! From a target to a byte stream: resolve, connect, TLS handshake.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::addresses::{Addresses, ForbiddenDestination};
use super::failure::{Fault, Phase, plain};
use super::stream::Stream;
use super::target::{HostName, Origin, Target};

/// What all connections share: the TLS configuration, and which addresses they may lead to.
pub struct HttpSender {
    addresses: Addresses,
    tls: TlsConnector,
    trusted_roots: usize,
}

/// The TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub struct TlsSetupError(#[from] rustls::Error);

impl HttpSender {
    /// Trusts the root certificates of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// override where they are read from). Reads files: for the start of the process.
    ///
    /// Certificates that cannot be read are left out. A machine that has none is no error, because
    /// `http` works without them; see [`trusted_roots`](Self::trusted_roots).
    ///
    /// # Errors
    ///
    /// When the cryptography that was compiled in supports no usable version of TLS.
    pub fn new(addresses: Addresses) -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::with_roots(addresses, roots)
    }

    /// Trusts exactly these root certificates.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_roots(addresses: Addresses, roots: RootCertStore) -> Result<Self, TlsSetupError> {
        let trusted_roots = roots.len();
        // The provider is named, so that nothing depends on a process-wide default.
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { addresses, tls: TlsConnector::from(Arc::new(config)), trusted_roots })
    }

    /// With the same trust, for requests to other addresses.
    #[must_use]
    pub fn to(&self, addresses: Addresses) -> Self {
        Self { addresses, tls: self.tls.clone(), trusted_roots: self.trusted_roots }
    }

    /// How many root certificates are trusted. With 0, every `https` request fails.
    pub fn trusted_roots(&self) -> usize {
        self.trusted_roots
    }

    /// Whether requests may go to a target, as far as can be said now: for URLs that are to be
    /// stored. Whatever is said here, every connection is checked again when it is opened.
    ///
    /// Ends within two seconds; a name that is not resolved by then, or has no address, is let
    /// through.
    ///
    /// # Errors
    ///
    /// When the host is an address that is refused, or a name with such an address.
    pub async fn check(&self, target: &Target) -> Result<(), ForbiddenDestination> {
        self.addresses.check(target).await
    }

    /// Opens a new stream. `deadline` only shares out the time between several addresses; the
    /// caller enforces it.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        deadline: Instant,
        phase: &mut Phase,
    ) -> Result<Stream, Fault> {
        *phase = Phase::Resolving;
        let addresses = self.addresses.of(origin).await?;
        *phase = Phase::Connecting;
        let tcp = connect_to_any(&addresses, deadline)
            .await
            .map_err(|why| Fault::connection(format_args!("cannot connect to {origin}: {why}")))?;
        // Requests are written whole: waiting for more to send can only cost time. Where it cannot
        // be set, requests still work.
        let _ = tcp.set_nodelay(true);
        if !origin.https {
            return Ok(Stream::Plain(tcp));
        }
        *phase = Phase::Handshake;
        let name = match &origin.host {
            HostName::Name(name) => ServerName::try_from(name.clone()).map_err(Fault::tls)?,
            HostName::Address(address) => ServerName::IpAddress((*address).into()),
        };
        match self.tls.connect(name, tcp).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => Err(Fault::tls(plain(&error))),
        }
    }
}

/// Connects to the first address that answers, or says why the last one did not.
async fn connect_to_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, String> {
    let mut why = String::new();
    for (tried, address) in addresses.iter().enumerate() {
        // Each address gets an equal share of what is left, so that one that swallows packets does
        // not use up the time of those behind it.
        let now = Instant::now();
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / left;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => why = plain(&error),
            // For the last address its share is all the time there was: leave it to the caller to
            // call that a timeout.
            Err(_) if left == 1 => std::future::pending().await,
            Err(_) => why = "no answer in time".to_owned(),
        }
    }
    Err(why)
}
