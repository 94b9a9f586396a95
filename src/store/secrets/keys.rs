//! The keys, and sealing and opening with them.

use std::{fmt, sync::Arc};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sea_orm::DbErr;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::place::Place;
use crate::store::failure::corrupt;

/// What sealed values begin with; then the key's id, a colon, and nonce and ciphertext
/// in base64. JSON and hex digests never do, so what was written without a key is told apart.
const PREFIX: &str = "enc:v1:";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// Bytes of the digest that a key is called by.
const ID_BYTES: usize = 6;
/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys of a database's secrets: the first seals, all open. Without a key (the
/// default) secrets are written in clear. Cheap to clone.
#[derive(Clone, Default)]
pub struct SecretKeys(Arc<[Key]>);

struct Key {
    /// Derived from the key, so that nobody has to name keys and no two get the same name.
    id: String,
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl std::str::FromStr for SecretKeys {
    type Err = String;

    /// 32 bytes each in base64, separated by commas. No message has a key in it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys: Vec<Key> = Vec::new();
        for (i, text) in text.split(',').enumerate() {
            let number = i + 1;
            let bytes = LENIENT.decode(text.trim()).map(Zeroizing::new).ok();
            let key = bytes.and_then(|bytes| Key::new(&bytes)).ok_or_else(|| {
                format!("key {number} must be {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` makes them")
            })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(format!("key {number} is there twice"));
            }
            keys.push(key);
        }
        Ok(Self(keys.into()))
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        let digest = Sha256::new().chain_update(b"tidings secret key\0").chain_update(bytes);
        let digest = digest.finalize();
        let id = digest[..ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, cipher })
    }
}

impl SecretKeys {
    /// The id of the key that seals; none where there is no key.
    pub fn current_id(&self) -> Option<&str> {
        self.ids().next()
    }

    /// The ids of all keys.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.id)
    }

    /// Whether the value is as [`Self::seal`] would write it now.
    pub(super) fn is_current(&self, stored: &str) -> bool {
        let sealed_with = stored.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'));
        sealed_with.map(|(id, _)| id) == self.current_id()
    }

    /// What is to be stored for a clear text.
    pub(in crate::store) fn seal(&self, place: &Place, clear: String) -> Result<String, DbErr> {
        let Some(key) = self.0.first() else { return Ok(clear) };
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: clear.as_bytes(), aad: place.bytes() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| DbErr::Type(format!("{} is too long", place.column())))?;
        let sealed = STANDARD.encode([&nonce[..], &sealed].concat());
        Ok(format!("{PREFIX}{}:{sealed}", key.id))
    }

    /// The clear text of what is stored.
    ///
    /// # Errors
    ///
    /// Where no key fits, or it was changed or belongs elsewhere.
    pub(in crate::store) fn open(&self, place: &Place, stored: String) -> Result<String, DbErr> {
        let Some(sealed) = stored.strip_prefix(PREFIX) else { return Ok(stored) };
        let (id, sealed) = sealed.split_once(':').unwrap_or_default();
        let fault = |what| corrupt(&format!("{}: {what} (key {id:?})", place.column()));
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| fault("no such key"))?;
        let sealed = STANDARD.decode(sealed).map_err(|_| fault("no base64"))?;
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| fault("too short"))?;
        let payload = Payload { msg: sealed, aad: place.bytes() };
        let clear = key.cipher.decrypt(&XNonce::from(*nonce), payload);
        clear
            .ok()
            .and_then(|clear| String::from_utf8(clear).ok())
            .ok_or_else(|| fault("changed, or from another place"))
    }

    /// Seals a value as JSON.
    pub(in crate::store) fn seal_json(
        &self,
        place: &Place,
        value: &impl Serialize,
    ) -> Result<String, DbErr> {
        self.seal(place, serde_json::to_string(value).map_err(|e| DbErr::Json(e.to_string()))?)
    }

    /// Opens a value that is JSON. No message has any of it: it holds secrets.
    pub(in crate::store) fn open_json<T: DeserializeOwned>(
        &self,
        place: &Place,
        stored: String,
    ) -> Result<T, DbErr> {
        let clear = Zeroizing::new(self.open(place, stored)?);
        serde_json::from_str(&clear)
            .map_err(|e| corrupt(&format!("{}: column {}", place.column(), e.column())))
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
