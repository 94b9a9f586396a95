//! Session tokens, and keys that other processes revoke.

use std::{future::Future, pin::Pin};

use http::{HeaderMap, HeaderValue};
use tempfile::TempDir;

use super::*;
use crate::{
    domain::{actor::Actor, api_key::Realm, credential::key_token, permission::Permissions},
    store::SecretKeys,
};

/// Moved by hand; nobody waits for it here.
struct Watch(Mutex<Timestamp>);

impl Watch {
    fn advance(&self, seconds: u64) {
        let mut now = self.0.lock();
        *now = now.plus(Duration::from_secs(seconds));
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

struct Node {
    auth: Auth,
    store: Store,
    clock: Arc<Watch>,
    _directory: TempDir,
}

impl Node {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = crate::store::DatabaseUrl::file(directory.path().join("t.db"));
        let (store, _) = Store::open(&url, SecretKeys::default()).await.expect("a store");
        let clock = Arc::new(Watch(Mutex::new(Timestamp::from_micros(1_000_000_000))));
        let auth = Auth::new(store.clone(), Access::Credentials(None), clock.clone());
        Self { auth, store, clock, _directory: directory }
    }

    /// A new key and its token.
    async fn key(&self, expire_time: Option<Timestamp>) -> (ApiKey, String) {
        let key = ApiKey {
            id: ApiKeyId::new(rand::random()),
            realm: Realm::Everywhere,
            actor: Actor::default(),
            permissions: Permissions::all(),
            create_time: self.clock.now(),
            expire_time,
            revoke_time: None,
        };
        let (token, hash) = key_token(rand::random());
        self.store.create_api_key(&key, hash).await.expect("stored");
        (key, token)
    }

    async fn lets_in(&self, token: &str) -> bool {
        let mut headers = HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).expect("a value");
        headers.insert("authorization", bearer);
        let caller = self.auth.caller(&Credentials::read(&headers, None)).await;
        let in_query = Credentials::read(&HeaderMap::new(), None).with_token(token);
        assert_eq!(self.auth.caller(&in_query).await.is_ok(), caller.is_ok());
        caller.is_ok()
    }
}

#[tokio::test]
async fn a_session_stands_for_its_key_for_an_hour_and_makes_no_other() {
    let node = Node::start().await;
    let (key, token) = node.key(None).await;
    let id = key.id.to_string();
    let session = node.auth.issue_session(&id, &token, None).await.expect("a session");
    assert_eq!(session.ttl, Duration::from_secs(3600));
    assert!(node.lets_in(&session.token).await);
    assert!(node.auth.issue_session(&id, &session.token, None).await.is_err());
    assert!(node.auth.issue_session("ak_0000000000000000", &token, None).await.is_err());
    node.clock.advance(3599);
    assert!(node.lets_in(&session.token).await);
    node.clock.advance(1);
    assert!(!node.lets_in(&session.token).await && node.lets_in(&token).await);
}

#[tokio::test]
async fn a_session_ends_with_its_key() {
    let node = Node::start().await;
    let end = node.clock.now().plus(Duration::from_secs(60));
    let (key, token) = node.key(Some(end)).await;
    let session = node.auth.issue_session(&key.id.to_string(), &token, None).await;
    assert_eq!(session.expect("a session").ttl, Duration::from_secs(60));

    let (key, token) = node.key(None).await;
    let session = node.auth.issue_session(&key.id.to_string(), &token, None).await;
    let session = session.expect("a session").token;
    assert!(node.lets_in(&session).await);
    let revoked = node.store.revoke_api_key(key.id, None, node.clock.now()).await.expect("done");
    node.auth.revoked(&revoked);
    assert!(!node.lets_in(&session).await && !node.lets_in(&token).await);
}

#[tokio::test]
async fn what_another_process_revokes_is_dead_after_two_seconds() {
    let node = Node::start().await;
    let (key, token) = node.key(None).await;
    assert!(node.lets_in(&token).await);
    node.store.revoke_api_key(key.id, None, node.clock.now()).await.expect("revoked");
    node.clock.advance(2);
    assert!(!node.lets_in(&token).await);
}
