//! A provider's public keys, read from a JSON Web Key Set (RFC 7517).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::verifier::ALGORITHMS;

/// Keys of a set that are kept; providers have two or three.
const MOST: usize = 100;

/// Those keys of a set that can check signatures.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    /// What it may be used with; never a symmetric algorithm.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys for other uses and of unknown kinds are left out; none left is an error.
    pub(super) fn parse(json: &[u8]) -> Result<Self, &'static str> {
        let written: Written =
            serde_json::from_slice(json).map_err(|_| "what it gives is no JSON Web Key Set")?;
        let keys: Vec<Key> = written.keys.into_iter().filter_map(Key::read).take(MOST).collect();
        if keys.is_empty() {
            return Err("its key set has no key that checks signatures");
        }
        Ok(Self { keys })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is a key of that id. A token that names none asks for no particular one.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.keys.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    /// The key that a token names; where it names none, the only one for its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let is_meant = |key: &&Key| {
            key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id)
        };
        let mut meant = self.keys.iter().filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(only), None) => Some(&only.key),
            _ => None,
        }
    }
}

impl Key {
    fn read(written: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(written).ok()?;
        let common = &jwk.common;
        let for_signatures =
            common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let operations = common.key_operations.as_ref();
        let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        let mut algorithms = of_kind(&jwk.algorithm);
        if let Some(only) = common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        if algorithms.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithms, key })
    }
}

/// The algorithms that a kind of key can be used with.
fn of_kind(parameters: &AlgorithmParameters) -> Vec<Algorithm> {
    let curve = match parameters {
        AlgorithmParameters::RSA(_) => {
            let is_rsa = |algorithm: &Algorithm| {
                !matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA)
            };
            return ALGORITHMS.into_iter().filter(is_rsa).collect();
        }
        AlgorithmParameters::EllipticCurve(key) => &key.curve,
        AlgorithmParameters::OctetKeyPair(key) => &key.curve,
        _ => return Vec::new(),
    };
    match (parameters, curve) {
        (AlgorithmParameters::EllipticCurve(_), EllipticCurve::P256) => vec![Algorithm::ES256],
        (AlgorithmParameters::EllipticCurve(_), EllipticCurve::P384) => vec![Algorithm::ES384],
        (AlgorithmParameters::OctetKeyPair(_), EllipticCurve::Ed25519) => vec![Algorithm::EdDSA],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POINT: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";

    fn ec(id: &str, more: &Value) -> Value {
        let mut key = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": POINT, "y": POINT});
        for (name, value) in more.as_object().into_iter().flatten() {
            key[name] = value.clone();
        }
        key
    }

    fn set(keys: &[Value]) -> Result<KeySet, &'static str> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn keys_are_found_by_id_and_algorithm() {
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": POINT});
        let rsa = json!({"kty": "RSA", "kid": "rsa", "n": POINT, "e": "AQAB", "alg": "RS256"});
        let set = set(&[ec("a", &json!({})), ec("b", &json!({"use": "sig"})), ed, rsa]);
        let set = set.expect("a set");
        assert_eq!(set.len(), 4);
        assert!(set.knows(Some("a")) && !set.knows(Some("c")) && set.knows(None));
        for (id, algorithm, found) in [
            (Some("a"), Algorithm::ES256, true),
            (Some("a"), Algorithm::ES384, false),
            (Some("a"), Algorithm::HS256, false),
            (Some("ed"), Algorithm::EdDSA, true),
            (Some("rsa"), Algorithm::RS256, true),
            (Some("rsa"), Algorithm::PS256, false),
            (Some("rsa"), Algorithm::HS256, false),
            (None, Algorithm::EdDSA, true),
            (None, Algorithm::ES256, false),
            (Some("c"), Algorithm::ES256, false),
        ] {
            assert_eq!(set.find(id, algorithm).is_some(), found, "{id:?} {algorithm:?}");
        }
    }

    #[test]
    fn what_does_not_check_signatures_is_left_out() {
        for other in [
            ec("a", &json!({"use": "enc"})),
            ec("a", &json!({"key_ops": ["encrypt"]})),
            ec("a", &json!({"alg": "HS256"})),
            ec("a", &json!({"alg": "ECDH-ES"})),
            ec("a", &json!({"crv": "P-521"})),
            ec("a", &json!({"crv": "secp256k1"})),
            ec("a", &json!({"x": 1})),
            ec("a", &json!({"x": "!"})),
            json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}),
            json!({"kty": "new", "kid": "a"}),
            json!("a"),
            json!(null),
        ] {
            assert!(set(std::slice::from_ref(&other)).is_err(), "{other}");
            let both = set(&[other, ec("good", &json!({}))]).expect("the other is good");
            assert_eq!(both.len(), 1);
        }
        for json in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
            assert!(KeySet::parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
