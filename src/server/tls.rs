//! TLS on the listener: what the files say, and again when they change.
//!
//! Who acts here: [`Tls`] has the configuration that new connections get, the [`Reloader`]
//! looks after the files. What they hold is compared, not their times: that finds files that
//! were written over or replaced, and directories that a symbolic link was turned away from. A
//! connection keeps what it began with.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};
use zeroize::Zeroizing;

use super::config::Config;
use crate::engine::Clock;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// The longest file that is read.
const LONGEST: u64 = 1024 * 1024;
/// What is spoken inside, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What new connections are secured with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// As configured; absent where it is not.
    ///
    /// # Errors
    ///
    /// Names the key of the configuration, the file, and what is wrong with it.
    pub(super) fn load(config: &Config) -> Result<Option<(Self, Reloader)>, String> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let client_ca = config.tls_client_ca.clone();
        let files = Files { cert: cert.clone(), key: key.clone(), client_ca };
        let failed = |fault: String| format!("configuration: {fault}");
        let contents = files.read().map_err(failed)?;
        let tls = Self(Arc::new(RwLock::new(Arc::new(contents.config().map_err(failed)?))));
        let seen = Ok(contents.digest());
        Ok(Some((tls.clone(), Reloader { files, seen, tls })))
    }

    /// For one connection, as of now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.read()))
    }
}

/// In PEM. Whoever changes them may do so one after the other: until they fit together, what
/// was there before is used.
#[derive(Clone)]
struct Files {
    /// The server's certificate, then those that lead to a root.
    cert: PathBuf,
    key: PathBuf,
    /// Roots of clients' certificates; with it, every client needs one.
    client_ca: Option<PathBuf>,
}

/// What stood in the files.
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(&self) -> Result<Contents, String> {
        let client_ca = self.client_ca.as_deref().map(|path| read("tls_client_ca", path));
        Ok(Contents {
            cert: read("tls_cert", &self.cert)?,
            key: Zeroizing::new(read("tls_key", &self.key)?),
            client_ca: client_ca.transpose()?,
        })
    }
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text));
    match read {
        Ok(_) if text.len() as u64 > LONGEST => {
            Err(format!("{key}: {} is longer than {LONGEST} bytes", path.display()))
        }
        Ok(_) => Ok(text),
        Err(e) => Err(format!("{key}: cannot read {}: {e}", path.display())),
    }
}

/// No message has anything of what stood there: by mistake it could be the key.
impl Contents {
    fn digest(&self) -> [u8; 32] {
        let parts = [&self.cert, &*self.key, self.client_ca.as_deref().unwrap_or_default()];
        let each = parts.iter().fold(Sha256::new(), |all, part| {
            all.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
        });
        each.finalize().into()
    }

    fn config(&self) -> Result<ServerConfig, String> {
        let chain = certificates(&self.cert).ok_or("tls_cert has no certificate in PEM")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| "tls_key has no private key in PEM")?;
        // The provider is named, so that nothing depends on a process-wide default.
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?;
        let builder = match &self.client_ca {
            Some(roots) => builder.with_client_cert_verifier(verifier(roots)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|e| format!("tls_cert and tls_key cannot be used together: {e}"))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

/// Absent where there is none, or one that cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

fn verifier(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem).ok_or("tls_client_ca has no certificate in PEM")? {
        roots.add(root).map_err(|e| format!("tls_client_ca: {e}"))?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|e| format!("tls_client_ca: {e}"))
}

/// Takes over what changes in the files.
pub(super) struct Reloader {
    files: Files,
    /// The digest of what was read last, or why nothing was.
    seen: Result<[u8; 32], String>,
    tls: Tls,
}

/// What a look at the files came to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    Taken,
    /// They cannot be used, and why; told once.
    Refused(String),
}

impl Reloader {
    /// Looks after the files for ever.
    pub(super) async fn run(mut self, clock: Arc<dyn Clock>) {
        loop {
            clock.sleep_until(clock.now().plus(INTERVAL)).await;
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else {
                continue;
            };
            match self.take(read) {
                Look::Same => {}
                Look::Taken => tracing::info!("TLS: new connections get the changed files"),
                Look::Refused(fault) => {
                    tracing::error!(
                        fault,
                        "TLS: the changed files are not used; those before stay in use"
                    );
                }
            }
        }
    }

    fn take(&mut self, read: Result<Contents, String>) -> Look {
        let seen = read.as_ref().map(Contents::digest).map_err(Clone::clone);
        if seen == self.seen {
            return Look::Same;
        }
        self.seen = seen;
        match read.and_then(|contents| contents.config()) {
            Ok(config) => {
                *self.tls.0.write() = Arc::new(config);
                Look::Taken
            }
            Err(fault) => Look::Refused(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Files {
        Files { cert: directory.join("c"), key: directory.join("k"), client_ca: None }
    }

    fn write(files: &Files, cert: &str, key: &str) {
        std::fs::write(&files.cert, cert).expect("written");
        std::fs::write(&files.key, key).expect("written");
    }

    const OLD: (&str, &str) =
        (include_str!("../../tests/it/tls/leaf.pem"), include_str!("../../tests/it/tls/leaf.key"));
    const NEW: (&str, &str) = (
        include_str!("../../tests/it/tls/renewed.pem"),
        include_str!("../../tests/it/tls/renewed.key"),
    );

    #[test]
    fn what_changes_is_taken_once_and_what_is_broken_is_told_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = files(directory.path());
        write(&files, OLD.0, OLD.1);
        let config = Config {
            tls_cert: Some(files.cert.clone()),
            tls_key: Some(files.key.clone()),
            ..Config::default()
        };
        let (tls, mut reloader) = Tls::load(&config).expect("good").expect("configured");
        let mut look = || reloader.take(files.read());
        assert_eq!(look(), Look::Same);
        let in_use = || Arc::as_ptr(&tls.0.read());
        let first = in_use();
        // Half of the change, then nothing, then a text that is no certificate.
        write(&files, NEW.0, OLD.1);
        assert!(matches!(look(), Look::Refused(fault) if fault.contains("used together")));
        assert_eq!(look(), Look::Same);
        std::fs::remove_file(&files.key).expect("removed");
        assert!(matches!(look(), Look::Refused(fault) if fault.contains("cannot read")));
        assert_eq!(look(), Look::Same);
        write(&files, NEW.1, NEW.1);
        assert!(matches!(look(), Look::Refused(fault) if !fault.contains(NEW.1.trim())));
        assert_eq!(in_use(), first);
        write(&files, NEW.0, NEW.1);
        assert_eq!((look(), look()), (Look::Taken, Look::Same));
        assert_ne!(in_use(), first);
        write(&files, OLD.0, OLD.1);
        assert_eq!(look(), Look::Taken);
    }

    #[test]
    fn faults_name_the_key_of_the_configuration() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut files = files(directory.path());
        let fault = |files: &Files| {
            let read = files.read().and_then(|contents| contents.config());
            read.expect_err("a fault")
        };
        assert!(fault(&files).starts_with("tls_cert: cannot read "));
        write(&files, "", OLD.1);
        assert!(fault(&files).starts_with("tls_cert has no certificate"));
        write(&files, OLD.0, "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----");
        let told = fault(&files);
        assert!(told.contains("tls_key") && !told.contains("s3cret"), "{told}");
        write(&files, OLD.0, OLD.1);
        files.client_ca = Some(files.key.clone());
        assert!(fault(&files).starts_with("tls_client_ca has no certificate"));
        std::fs::write(&files.cert, vec![b'\n'; usize::try_from(LONGEST).expect("few") + 1])
            .expect("written");
        assert!(fault(&files).contains("is longer than"));
    }
}
