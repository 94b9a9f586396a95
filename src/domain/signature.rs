//! Signatures of requests: Standard Webhooks 1.0.0, and plain HMAC-SHA256.

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{
    signing::{Signing, SigningScheme},
    time::Timestamp,
};

/// Header of Standard Webhooks: the event.
pub const ID: &str = "webhook-id";
/// Header of Standard Webhooks: the second of the attempt.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header of Standard Webhooks: the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

const SECRET_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of a Standard Webhooks secret.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret, parsed.
pub(super) enum Key {
    /// With the key in it: cloned for each message.
    Hmac(Hmac<Sha256>),
    Ed25519(SigningKey),
}

impl Key {
    /// Absent where the text is no key of that scheme.
    pub(super) fn parse(scheme: SigningScheme, value: &str) -> Option<Self> {
        let hmac = |key: &[u8]| Hmac::new_from_slice(key).ok().map(Self::Hmac);
        match scheme {
            SigningScheme::StandardWebhooks => {
                let key = LENIENT.decode(value.strip_prefix(SECRET_PREFIX)?).ok()?;
                hmac(&key).filter(|_| SECRET_BYTES.contains(&key.len()))
            }
            SigningScheme::StandardWebhooksEd25519 => {
                let key = LENIENT.decode(value.strip_prefix(PRIVATE_PREFIX)?).ok()?;
                if let Ok(seed) = <&[u8; 32]>::try_from(key.as_slice()) {
                    return Some(Self::Ed25519(SigningKey::from_bytes(seed)));
                }
                let pair = <&[u8; 64]>::try_from(key.as_slice()).ok()?;
                SigningKey::from_keypair_bytes(pair).ok().map(Self::Ed25519)
            }
            SigningScheme::HmacSha256Hex | SigningScheme::HmacSha256Base64 => {
                hmac(value.as_bytes()).filter(|_| !value.is_empty())
            }
        }
    }

    fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Hmac(keyed) => {
                let mut mac = keyed.clone();
                parts.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }
            Self::Ed25519(key) => {
                ed25519_dalek::Signer::sign(key, &parts.concat()).to_bytes().to_vec()
            }
        }
    }
}

/// The value of a new secret, of random bytes.
pub fn generate(scheme: SigningScheme, random: [u8; 32]) -> String {
    match scheme {
        SigningScheme::StandardWebhooksEd25519 => {
            let key = SigningKey::from_bytes(&random);
            format!("{PRIVATE_PREFIX}{}", STANDARD.encode(key.to_keypair_bytes()))
        }
        SigningScheme::StandardWebhooks
        | SigningScheme::HmacSha256Hex
        | SigningScheme::HmacSha256Base64 => format!("{SECRET_PREFIX}{}", STANDARD.encode(random)),
    }
}

/// What a receiver verifies with where the secret is a private key: `whpk_…`.
pub fn public_key(scheme: SigningScheme, value: &str) -> Option<String> {
    match Key::parse(scheme, value)? {
        Key::Ed25519(key) => {
            Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(key.verifying_key().as_bytes())))
        }
        Key::Hmac(_) => None,
    }
}

/// Signs requests, with keys that are parsed already.
pub struct Signer {
    scheme: SigningScheme,
    header: String,
    /// Newest first, with the time of their end.
    keys: Vec<(Key, Option<Timestamp>)>,
}

impl Signer {
    /// Secrets that are none of the scheme are left out; the rules let none be stored.
    pub fn new(signing: &Signing) -> Self {
        let key = |secret: &super::signing::SigningSecret| {
            Some((Key::parse(signing.scheme, &secret.value)?, secret.expire_time))
        };
        Self {
            scheme: signing.scheme,
            header: signing.plain_header().to_owned(),
            keys: signing.secrets.iter().filter_map(key).collect(),
        }
    }

    /// The headers of an attempt at `now` to send `body`; none where no secret is live.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> Vec<(&str, String)> {
        let mut live = self
            .keys
            .iter()
            .filter(|(_, end)| end.is_none_or(|end| now < end))
            .map(|(key, _)| key)
            .peekable();
        let Some(newest) = live.peek() else { return Vec::new() };
        let version = match self.scheme {
            SigningScheme::StandardWebhooks => "v1",
            SigningScheme::StandardWebhooksEd25519 => "v1a",
            SigningScheme::HmacSha256Hex => {
                let mac = newest.sign(&[body]);
                let hex = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                return vec![(&self.header, hex)];
            }
            SigningScheme::HmacSha256Base64 => {
                return vec![(&self.header, STANDARD.encode(newest.sign(&[body])))];
            }
        };
        let timestamp = now.micros().div_euclid(1_000_000).to_string();
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let signatures: Vec<String> =
            live.map(|key| format!("{version},{}", STANDARD.encode(key.sign(&parts)))).collect();
        vec![(ID, id.to_owned()), (TIMESTAMP, timestamp), (SIGNATURE, signatures.join(" "))]
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
