//! Who is calling: the one place that makes callers of credentials, for all transports.
//!
//! What a caller may do is asked in two steps: [`Auth::admit`] for what an RPC or a route
//! needs, and [`Scopes::enter`](super::scope::Scopes::enter) for the tenant.

mod caller;
mod credentials;
mod known_keys;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

pub use self::{caller::Caller, credentials::Credentials};
use self::{
    credentials::{Presented, unauthenticated},
    known_keys::{FRESH, KnownKeys, Lookup},
};
use crate::{
    domain::{
        access,
        api_key::{ApiKey, ApiKeyId},
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
    /// Who proves to be somebody.
    Credentials,
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

/// A credential that turned out to be good: its key, and when it ends.
struct Proof {
    key: Arc<ApiKey>,
    end: Option<Timestamp>,
}

impl Auth {
    pub(super) fn new(store: Store, access: Access, clock: Arc<dyn Clock>) -> Self {
        let signer = SessionSigner::new(store.session_key());
        let keys = KnownKeys::new(store, Arc::clone(&clock));
        let parts = Parts { access, keys, signer, failed: Mutex::default(), clock };
        Self { parts: Arc::new(parts) }
    }

    /// Who sends these credentials. All of them have to be those of one key. The answer to
    /// credentials that are not good waits for longer and longer where they keep coming
    /// from one address; those of a key that was used before are never held up.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED`, `OVERLOADED` where too many bad ones came from the address,
    /// `STORE_UNAVAILABLE`.
    pub async fn caller(&self, credentials: &Credentials) -> Result<Caller> {
        match &self.parts.access {
            Access::Open(caller) => Ok(caller.clone()),
            Access::Credentials => self.prove(credentials).await.map(|proof| proof.caller()),
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
        let now = self.parts.clock.now();
        let end = now.plus(limits::SESSION_SPAN);
        let end = proof.end.map_or(end, |of_key| of_key.min(end));
        let token = self.parts.signer.sign(proof.key.id, end);
        Ok(Session { token, ttl: Duration::from_secs(end.since(now).as_secs()) })
    }

    /// Resolves when a caller's credentials have ceased to be good, with what it is to be
    /// told: within two seconds, and at once where this process revoked them.
    pub async fn until_revoked(&self, caller: &Caller) -> Error {
        let Some(id) = caller.key else { return std::future::pending().await };
        let mut revocations = self.parts.keys.watch();
        loop {
            let now = self.parts.clock.now();
            let expired = caller.end.is_some_and(|end| end <= now);
            // While the database is away nobody can be asked; it is asked again.
            let key = self.parts.keys.find(Lookup::Id(id)).await;
            if expired
                || matches!(&key, Ok(key) if !key.as_ref().is_some_and(|key| key.is_live(now)))
            {
                return unauthenticated("the credentials have expired or were revoked");
            }
            let next = now.plus(FRESH);
            let next = caller.end.map_or(next, |end| end.min(next));
            tokio::select! {
                () = self.parts.clock.sleep_until(next) => {}
                _ = revocations.changed() => {}
            }
        }
    }

    /// Takes note of a key that was revoked here.
    pub(super) fn revoked(&self, key: &ApiKey) {
        self.parts.keys.revoked(key);
    }

    fn read(&self, token: &str) -> Option<Credential> {
        Credential::read(token, &self.parts.signer)
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
            None => return false,
        };
        self.parts.keys.knows(lookup)
    }

    /// Absent where one of them is bad, or they are those of different keys.
    async fn prove_all(&self, presented: &[Presented], now: Timestamp) -> Result<Option<Proof>> {
        let mut proven: Option<Proof> = None;
        for one in presented {
            let Some(proof) = self.prove_one(one, now).await? else { return Ok(None) };
            if proven.as_ref().is_some_and(|other| other.key.id != proof.key.id) {
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
            Some(Credential::Session(..)) | None => return Ok(None),
        };
        let Some(key) = self.parts.keys.find(lookup).await? else { return Ok(None) };
        let named = presented.key_id.as_ref();
        let is_named = named.is_none_or(|id| id.parse::<ApiKeyId>() == Ok(key.id));
        if !is_named || !key.is_live(now) {
            return Ok(None);
        }
        let end = [end, key.expire_time].into_iter().flatten().min();
        Ok(Some(Proof { key, end }))
    }
}

impl Proof {
    fn caller(self) -> Caller {
        Caller::of_key(&self.key, self.end)
    }
}

#[cfg(test)]
mod tests;
