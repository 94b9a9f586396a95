//! Tokens of an identity provider: JSON Web Tokens (RFC 7519) that it has signed.
//!
//! Who acts here: [`IdentityProvider`] knows the provider's public keys and says who a token
//! stands for. Keys are read again from time to time, and when a token names one that is not
//! known, but not more often than every [`PAUSE`]; while they cannot be read, those that are known
//! stay good. Nothing in a token says where its key is to be found, and no algorithm with a
//! shared secret is known here.

mod key_set;
mod key_source;
mod verifier;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::{Header, Validation, decode, decode_header, errors::ErrorKind};
use parking_lot::RwLock;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use self::key_set::KeySet;
pub use self::key_source::KeySource;
use crate::{
    domain::{
        claims::{ClaimNames, Identity},
        time::Timestamp,
    },
    engine::Clock,
    sender::HttpSender,
};

/// Pause between two readings of the keys that tokens ask for, and after one that failed.
const PAUSE: Duration = Duration::from_secs(30);
/// How often a URL is asked without need: a key that the provider has given up ends with it.
const URL_INTERVAL: Duration = Duration::from_secs(600);
/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(10);
/// Good tokens that are remembered.
const REMEMBERED: usize = 10_000;

/// What is believed of whom.
#[derive(Clone)]
pub struct ProviderSettings {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of those that are meant for this service.
    pub audience: String,
    /// Where its public keys are.
    pub keys: KeySource,
    /// Where its tokens say what a caller may do.
    pub claims: ClaimNames,
}

/// An identity provider whose tokens are taken.
pub struct IdentityProvider {
    settings: ProviderSettings,
    sender: Arc<HttpSender>,
    clock: Arc<dyn Clock>,
    known: RwLock<Arc<Known>>,
    loading: Mutex<Loading>,
}

/// The keys, and the tokens that were found to be signed with one of them: they are forgotten
/// together.
#[derive(Default)]
struct Known {
    digest: Option<[u8; 32]>,
    keys: KeySet,
    proven: RwLock<HashMap<[u8; 32], Arc<Identity>>>,
}

#[derive(Default)]
struct Loading {
    last: Option<Timestamp>,
    /// Why the last reading failed; told once.
    fault: Option<String>,
}

impl IdentityProvider {
    /// A provider whose keys are asked for with `sender`. Keys in a file are read now.
    ///
    /// # Errors
    ///
    /// Where the file has no keys. A provider that is away is none: it is asked again.
    pub async fn open(
        settings: ProviderSettings,
        sender: Arc<HttpSender>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        verifier::install();
        let (known, loading) = (RwLock::default(), Mutex::default());
        let provider = Self { settings, sender, clock, known, loading };
        if let KeySource::File(path) = &provider.settings.keys {
            let fault = provider.load(&mut *provider.loading.lock().await).await.err();
            if let Some(fault) = fault {
                return Err(format!("{}: {fault}", path.display()));
            }
        }
        Ok(provider)
    }

    /// Keeps the keys up to date, for ever.
    pub async fn run(&self) {
        loop {
            let loaded = self.load(&mut *self.loading.lock().await).await;
            let wait = match (&self.settings.keys, loaded) {
                (KeySource::File(_), _) => FILE_INTERVAL,
                (KeySource::Url(_), Ok(())) => URL_INTERVAL,
                (KeySource::Url(_), Err(_)) => PAUSE,
            };
            let next = self.clock.now().plus(wait);
            while self.clock.now() < next {
                self.clock.sleep_until(next).await;
            }
        }
    }

    /// Whether a token was found to be good before: it costs next to nothing to ask again.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.known.read().proven.read().contains_key(&digest(token.as_bytes()))
    }

    /// Who a token stands for; absent where it is not good. Why is told to the operator alone,
    /// and only in a verbose log.
    pub(super) async fn prove(&self, token: &str, now: Timestamp) -> Option<Arc<Identity>> {
        match self.check(token, now).await {
            Ok(identity) => Some(identity),
            Err(reason) => {
                tracing::debug!(reason, "a token of the identity provider is refused");
                None
            }
        }
    }

    async fn check(&self, token: &str, now: Timestamp) -> Result<Arc<Identity>, &'static str> {
        let digest = digest(token.as_bytes());
        let mut known = Arc::clone(&self.known.read());
        let before = known.proven.read().get(&digest).cloned();
        if let Some(identity) = before {
            return if now < identity.end { Ok(identity) } else { Err("it has expired") };
        }
        let header = decode_header(token).map_err(|_| "it is malformed")?;
        if !is_access_token(&header) {
            return Err("it is for something else");
        }
        let key_id = header.kid.as_deref();
        if !known.keys.knows(key_id) {
            self.ask_for(key_id).await;
            known = Arc::clone(&self.known.read());
        }
        let key = known.keys.find(key_id, header.alg).ok_or("there is no such key")?;
        // Only with the algorithm that the key is for.
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library would ask the system for the time.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token = decode::<Value>(token, key, &validation).map_err(|e| reason(e.kind()))?;
        let identity = Arc::new(Identity::read(&token.claims, &self.settings.claims, now)?);
        known.remember(digest, &identity, now);
        Ok(identity)
    }

    /// Reads the keys because a token names one that is not known.
    async fn ask_for(&self, key_id: Option<&str>) {
        let mut loading = self.loading.lock().await;
        // Another token may have asked meanwhile.
        let now = self.clock.now();
        let is_recent = loading.last.is_some_and(|last| last <= now && now.since(last) < PAUSE);
        if !is_recent && !self.known.read().keys.knows(key_id) {
            let _ = self.load(&mut loading).await;
        }
    }

    async fn load(&self, loading: &mut Loading) -> Result<(), String> {
        loading.last = Some(self.clock.now());
        let read = self.settings.keys.read(&self.sender).await;
        let taken = read.and_then(|json| self.take(&json).map_err(str::to_owned));
        let fault = taken.as_ref().err().cloned();
        if let Some(fault) = fault.as_ref().filter(|fault| loading.fault.as_ref() != Some(fault)) {
            let from = &self.settings.keys;
            tracing::warn!(%from, fault, "no keys of the identity provider; those known before stay good");
        }
        loading.fault = fault;
        taken
    }

    fn take(&self, json: &[u8]) -> Result<(), &'static str> {
        let digest = Some(digest(json));
        if self.known.read().digest == digest {
            return Ok(());
        }
        let keys = KeySet::parse(json)?;
        tracing::info!(keys = keys.len(), from = %self.settings.keys, "keys of the identity provider");
        *self.known.write() = Arc::new(Known { digest, keys, proven: RwLock::default() });
        Ok(())
    }
}

impl Known {
    fn remember(&self, digest: [u8; 32], identity: &Arc<Identity>, now: Timestamp) {
        let mut proven = self.proven.write();
        if proven.len() >= REMEMBERED {
            proven.retain(|_, identity| now < identity.end);
        }
        if proven.len() < REMEMBERED {
            proven.insert(digest, Arc::clone(identity));
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether a token's type is one for calls, or not said (RFC 9068, section 2.1), and it asks for
/// nothing that has to be understood.
fn is_access_token(header: &Header) -> bool {
    let is_type = |known: &&str| {
        let typ = header.typ.as_deref().unwrap_or("JWT");
        typ.eq_ignore_ascii_case(known)
    };
    ["JWT", "at+jwt", "application/at+jwt"].iter().any(is_type) && header.crit.is_none()
}

/// In words without anything of the token.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "exp, iss, aud or sub is missing",
        _ => "it is malformed",
    }
}
