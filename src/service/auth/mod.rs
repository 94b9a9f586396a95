//! Who is calling: the one place that makes callers of credentials, for all transports.
//!
//! What a caller may do is asked in two steps: [`Auth::admit`] for what an RPC or a route
//! needs, and [`Scopes::enter`](super::scope::Scopes::enter) for the tenant.

mod caller;
mod credentials;
mod identity_provider;
mod known_keys;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

pub use self::{
    caller::Caller,
    credentials::Credentials,
    identity_provider::{IdentityProvider, KeySource, ProviderSettings},
};
use self::{
    credentials::{Presented, unauthenticated},
    known_keys::{FRESH, KnownKeys, Lookup},
};
use crate::{
    domain::{
        access,
        api_key::{ApiKey, ApiKeyId},
        claims::Identity,
        credential::{Credential, SessionSigner},
        error::{Error, Result},
        failed_logins::FailedLogins,
        limits,
        time::Timestamp,
    },
    engine::Clock,
    store::Store,
};

/// The other side of a request's connection, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Who is let in.
#[derive(Clone)]
pub enum Access {
    /// Everybody, as this caller, whatever credentials they send: for development.
    Open(Caller),
    /// Who proves to be somebody: by a key, or by a token of the identity provider, if there is
    /// one.
    Credentials(Option<Arc<IdentityProvider>>),
}

impl Access {
    /// Whether tenants and event types come into being on first use.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// Makes callers of credentials. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    parts: Arc<Parts>,
}

struct Parts {
    access: Access,
    keys: KnownKeys,
    signer: SessionSigner,
    failed: Mutex<FailedLogins>,
    clock: Arc<dyn Clock>,
}

/// A token that stands for a key for a while.
pub struct Session {
    /// The token.
    pub token: String,
    /// How long it works; never longer than its key.
    pub ttl: Duration,
}

/// Who sends a credential that turned out to be good.
enum Bearer {
    /// Who has this key.
    Key(Arc<ApiKey>),
    /// Whom the identity provider knows.
    Identity(Arc<Identity>),
}

/// A credential that turned out to be good, and when it ends.
struct Proof {
    bearer: Bearer,
    end: Option<Timestamp>,
}

impl Auth {
    pub(super) fn new(store: Store, access: Access, clock: Arc<dyn Clock>) -> Self {
        let signer = SessionSigner::new(store.session_key());
        let keys = KnownKeys::new(store, Arc::clone(&clock));
        let parts = Parts { access, keys, signer, failed: Mutex::default(), clock };
        Self { parts: Arc::new(parts) }
    }

    /// Who sends these credentials. All of them have to be those of one caller. The answer to
    /// credentials that are not good waits for longer and longer where they keep coming
    /// from one address; those that were good before are never held up.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED`, `OVERLOADED` where too many bad ones came from the address,
    /// `STORE_UNAVAILABLE`.
    pub async fn caller(&self, credentials: &Credentials) -> Result<Caller> {
        match &self.parts.access {
            Access::Open(caller) => Ok(caller.clone()),
            Access::Credentials(_) => self.prove(credentials).await.map(|proof| proof.caller()),
        }
    }

    /// Who sends these credentials, where they are enough for what is asked for. Absent where
    /// nobody is asked who they are.
    ///
    /// # Errors
    ///
    /// As [`Self::caller`]; `PERMISSION_DENIED`.
    pub async fn admit(
        &self,
        needed: access::Access,
        credentials: &Credentials,
    ) -> Result<Option<Caller>> {
        if needed == access::Access::Open {
            return Ok(None);
        }
        let caller = self.caller(credentials).await?;
        if let access::Access::Needs(permission) = needed {
            caller.require(permission)?;
        }
        Ok(Some(caller))
    }

    /// Makes a token that stands for a key for an hour, or until the key ends.
    ///
    /// # Errors
    ///
    /// As [`Self::caller`]; session tokens make no further ones.
    pub async fn issue_session(
        &self,
        key_id: &str,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Session> {
        let credentials = Credentials::of_key(key_id, token, from);
        let proof = self.prove(&credentials).await?;
        if matches!(self.read(token), Some(Credential::Session(..))) {
            return Err(unauthenticated("the secret has to be the key's own token"));
        }
        let Bearer::Key(key) = proof.bearer else {
            return Err(unauthenticated("a session is made for a key only"));
        };
        let now = self.parts.clock.now();
        let end = now.plus(limits::SESSION_SPAN);
        let end = proof.end.map_or(end, |of_key| of_key.min(end));
        let token = self.parts.signer.sign(key.id, end);
        Ok(Session { token, ttl: Duration::from_secs(end.since(now).as_secs()) })
    }

    /// Resolves when a caller's credentials have ceased to be good, with what it is to be
    /// told: within two seconds, and at once where this process revoked them.
    pub async fn until_revoked(&self, caller: &Caller) -> Error {
        let Some(id) = caller.key else { return self.until_ended(caller).await };
        let mut revocations = self.parts.keys.watch();
        loop {
            let now = self.parts.clock.now();
            let expired = caller.end.is_some_and(|end| end <= now);
            // While the database is away nobody can be asked; it is asked again.
            let key = self.parts.keys.find(Lookup::Id(id)).await;
            if expired
                || matches!(&key, Ok(key) if !key.as_ref().is_some_and(|key| key.is_live(now)))
            {
                return ended();
            }
            let next = now.plus(FRESH);
            let next = caller.end.map_or(next, |end| end.min(next));
            tokio::select! {
                () = self.parts.clock.sleep_until(next) => {}
                _ = revocations.changed() => {}
            }
        }
    }

    /// As [`Self::until_revoked`], for credentials that nobody can revoke.
    async fn until_ended(&self, caller: &Caller) -> Error {
        let Some(end) = caller.end else { return std::future::pending().await };
        while self.parts.clock.now() < end {
            self.parts.clock.sleep_until(end).await;
        }
        ended()
    }

    /// Takes note of a key that was revoked here.
    pub(super) fn revoked(&self, key: &ApiKey) {
        self.parts.keys.revoked(key);
    }

    fn read(&self, token: &str) -> Option<Credential> {
        Credential::read(token, &self.parts.signer)
    }

    fn provider(&self) -> Option<&IdentityProvider> {
        match &self.parts.access {
            Access::Credentials(provider) => provider.as_deref(),
            Access::Open(_) => None,
        }
    }

    async fn prove(&self, credentials: &Credentials) -> Result<Proof> {
        let presented = credentials.check_form()?;
        let from = credentials.from.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let known = presented.iter().all(|one| self.is_known(one));
        let now = self.parts.clock.now();
        if !known && let Some(wait) = self.parts.failed.lock().blocked(from, now) {
            let mut error = Error::overloaded("too many bad credentials come from this address");
            error.retry_after = Some(wait);
            return Err(error);
        }
        if let Some(proof) = self.prove_all(presented, now).await? {
            return Ok(proof);
        }
        let wait = self.parts.failed.lock().note(from, now);
        let answer = now.plus(wait);
        while self.parts.clock.now() < answer {
            self.parts.clock.sleep_until(answer).await;
        }
        Err(unauthenticated("the credentials are not good, or no longer"))
    }

    fn is_known(&self, presented: &Presented) -> bool {
        let lookup = match self.read(&presented.token) {
            Some(Credential::Key(hash)) => Lookup::Token(hash),
            Some(Credential::Session(id, _)) => Lookup::Id(id),
            None => return self.provider().is_some_and(|p| p.knows(&presented.token)),
        };
        self.parts.keys.knows(lookup)
    }

    /// Absent where one of them is bad, or they are those of different callers.
    async fn prove_all(&self, presented: &[Presented], now: Timestamp) -> Result<Option<Proof>> {
        let mut proven: Option<Proof> = None;
        for one in presented {
            let Some(proof) = self.prove_one(one, now).await? else { return Ok(None) };
            if proven.as_ref().is_some_and(|other| !other.bearer.is_same(&proof.bearer)) {
                return Ok(None);
            }
            let end = proven.and_then(|other| other.end);
            let end = [end, proof.end].into_iter().flatten().min();
            proven = Some(Proof { end, ..proof });
        }
        Ok(proven)
    }

    async fn prove_one(&self, presented: &Presented, now: Timestamp) -> Result<Option<Proof>> {
        let (lookup, end) = match self.read(&presented.token) {
            Some(Credential::Key(hash)) => (Lookup::Token(hash), None),
            Some(Credential::Session(id, end)) if now < end => (Lookup::Id(id), Some(end)),
            Some(Credential::Session(..)) => return Ok(None),
            None => return Ok(self.prove_identity(presented, now).await),
        };
        let Some(key) = self.parts.keys.find(lookup).await? else { return Ok(None) };
        let named = presented.key_id.as_ref();
        let is_named = named.is_none_or(|id| id.parse::<ApiKeyId>() == Ok(key.id));
        if !is_named || !key.is_live(now) {
            return Ok(None);
        }
        let end = [end, key.expire_time].into_iter().flatten().min();
        Ok(Some(Proof { bearer: Bearer::Key(key), end }))
    }

    async fn prove_identity(&self, presented: &Presented, now: Timestamp) -> Option<Proof> {
        let provider = self.provider().filter(|_| presented.key_id.is_none())?;
        let identity = provider.prove(&presented.token, now).await?;
        Some(Proof { end: Some(identity.end), bearer: Bearer::Identity(identity) })
    }
}

fn ended() -> Error {
    unauthenticated("the credentials have expired or were revoked")
}

impl Bearer {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(one), Self::Key(other)) => one.id == other.id,
            // Two tokens of one caller may differ in their time.
            (Self::Identity(one), Self::Identity(other)) => {
                let end = one.end;
                **one == Identity { end, ..Identity::clone(other) }
            }
            _ => false,
        }
    }
}

impl Proof {
    fn caller(self) -> Caller {
        match &self.bearer {
            Bearer::Key(key) => Caller::of_key(key, self.end),
            Bearer::Identity(identity) => Caller::of_identity(identity, self.end),
        }
    }
}

#[cfg(test)]
mod tests;
