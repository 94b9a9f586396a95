//! Tokens that prove who is calling.
//!
//! A key's token is 256 random bits. Nobody can guess or enumerate so many, so one
//! round of SHA-256 is enough to store it safely: slow password hashes make up for
//! secrets that people choose. A session token is signed by the server instead of
//! stored; it stands for a key for a while and ends with it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{api_key::ApiKeyId, time::Timestamp};

/// Begins every key's token, so that scanners for leaked secrets know it.
const KEY_PREFIX: &str = "tk_";
/// Begins every session token.
const SESSION_PREFIX: &str = "ts_";
const RANDOM_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
const MAC_BYTES: usize = 32;

/// What is stored of a key's token.
#[derive(Clone, Copy, Debug, Eq)]
pub struct TokenHash([u8; 32]);

impl PartialEq for TokenHash {
    /// Takes the same time wherever they differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for TokenHash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl TokenHash {
    /// As stored: lower-case hex.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Makes a key's token from random bytes: the only time that it is known.
pub fn key_token(random: [u8; RANDOM_BYTES]) -> (String, TokenHash) {
    let mut bytes = random.to_vec();
    bytes.extend(checksum(&random));
    let token = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash(&token);
    (token, hash)
}

fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token).into())
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut short = [0; CHECKSUM_BYTES];
    short.copy_from_slice(&Sha256::digest(random)[..CHECKSUM_BYTES]);
    short
}

/// Signs and checks session tokens. All nodes on one database share it.
#[derive(Clone)]
pub struct SessionSigner(Hmac<Sha256>);

impl SessionSigner {
    /// With the database's key.
    pub fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::unwrap_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(key).unwrap())
    }

    /// A token that stands for a key until `end`, to the second.
    pub fn sign(&self, key: ApiKeyId, end: Timestamp) -> String {
        let mut bytes = key.bytes().to_vec();
        bytes.extend((end.micros() / 1_000_000).to_be_bytes());
        let mac = self.0.clone().chain_update(SESSION_PREFIX).chain_update(&bytes).finalize();
        bytes.extend(mac.into_bytes());
        format!("{SESSION_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn read(&self, rest: &str) -> Option<Credential> {
        let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
        let (signed, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let keyed = self.0.clone().chain_update(SESSION_PREFIX).chain_update(signed);
        // Compares in constant time.
        keyed.verify_slice(mac).ok()?;
        let (key, end) = signed.split_at_checked(8)?;
        let seconds = i64::from_be_bytes(end.try_into().ok()?);
        let end = Timestamp::from_micros(seconds.checked_mul(1_000_000)?);
        Some(Credential::Session(ApiKeyId::new(key.try_into().ok()?), end))
    }
}

/// What a token says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// It may be a key's.
    Key(TokenHash),
    /// It stands for this key until then.
    Session(ApiKeyId, Timestamp),
}

impl Credential {
    /// Reads a token. Most of what is no token is told from one without a database.
    pub fn read(token: &str, signer: &SessionSigner) -> Option<Self> {
        if let Some(rest) = token.strip_prefix(SESSION_PREFIX) {
            return signer.read(rest);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(KEY_PREFIX)?).ok()?;
        let (random, sum) = bytes.split_at_checked(RANDOM_BYTES)?;
        (checksum(random) == sum).then(|| Self::Key(hash(token)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer() -> SessionSigner {
        SessionSigner::new(&[7; 32])
    }

    proptest! {
        #[test]
        fn tokens_read_back_and_nothing_near_them_does(
            random: [u8; 32], id: [u8; 8], seconds in 0i64..4_000_000_000, at in 3usize..51, to in "[A-Za-z0-9_-]"
        ) {
            let (token, hash) = key_token(random);
            prop_assert_eq!(token.len(), 51);
            prop_assert_eq!(Credential::read(&token, &signer()), Some(Credential::Key(hash)));
            let end = Timestamp::from_micros(seconds * 1_000_000);
            let session = signer().sign(ApiKeyId::new(id), end);
            let expected = Some(Credential::Session(ApiKeyId::new(id), end));
            prop_assert_eq!(Credential::read(&session, &signer()), expected);
            prop_assert_eq!(Credential::read(&session, &SessionSigner::new(&[8; 32])), None);
            for good in [token, session] {
                let mut bad = good.clone();
                bad.replace_range(at..at + 1, &to);
                if bad != good {
                    prop_assert_eq!(Credential::read(&bad, &signer()), None);
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic_or_pass(text in "(tk_|ts_)?\\PC{0,80}") {
            prop_assert_eq!(Credential::read(&text, &signer()), None);
        }
    }
}
