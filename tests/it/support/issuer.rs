//! An identity provider: keys of all kinds, and the tokens that it signs, good or bad.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};

use super::{
    keys::HOME,
    receiver::{Receiver, Reply},
};

pub(crate) const ISSUER: &str = "https://id.example/";
pub(crate) const AUDIENCE: &str = "tidings";

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A private key that signs tokens with one algorithm.
pub(crate) struct SigningKey {
    id: String,
    algorithm: &'static str,
    pair: Pair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl SigningKey {
    pub(crate) fn new(id: &str, algorithm: &'static str) -> Self {
        let ec = |curve: &'static EcdsaSigningAlgorithm| {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a key");
            Pair::Ec(EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).expect("a key"))
        };
        let rsa = |encoding| {
            let pair = RsaKeyPair::from_pkcs8(include_bytes!("../jwt/rsa.key.der"));
            Pair::Rsa(pair.expect("a key"), encoding)
        };
        let pair = match algorithm {
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
                Pair::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
            }
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            other => panic!("{other} is not signed with here"),
        };
        Self { id: id.to_owned(), algorithm, pair }
    }

    /// The public key as a set shows it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
            Pair::Rsa(pair, _) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm, "kid": self.id, "typ": "JWT"}), claims)
    }

    /// A token with this header, whatever it says.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, bytes).expect("signed").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, bytes, &mut signature).expect("signed");
                signature
            }
        };
        format!("{message}.{}", encode(signature))
    }

    /// What somebody makes up who takes the public key for a shared secret.
    pub(crate) fn confused_tokens(&self, claims: &Value) -> Vec<String> {
        let header = json!({"alg": "HS256", "kid": self.id, "typ": "JWT"});
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let jwk = self.jwk();
        let decode = |name: &str| {
            let text = jwk[name].as_str().unwrap_or_default();
            URL_SAFE_NO_PAD.decode(text).expect("base64")
        };
        let point = [vec![4], decode("x"), decode("y")].concat();
        [jwk.to_string().into_bytes(), point, decode("x"), decode("n"), Vec::new()]
            .into_iter()
            .map(|secret| {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                format!("{message}.{}", encode(hmac::sign(&secret, message.as_bytes())))
            })
            .collect()
    }
}

/// Claims of a user of the home tenant that hold for an hour from `now`, in seconds.
pub(crate) fn claims(now: i64) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "name": "Ada Lovelace", "exp": now + 3600,
        "nbf": now, "tenant_id": HOME, "permissions": ["all"],
    })
}

/// A set of keys.
pub(crate) fn key_set(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A key set at a URL, which can change or be away.
pub(crate) struct PublishedKeys {
    pub(crate) receiver: Receiver,
    shown: Arc<Mutex<Option<String>>>,
}

impl PublishedKeys {
    pub(crate) async fn new(set: String) -> Self {
        let shown = Arc::new(Mutex::new(Some(set)));
        let source = Arc::clone(&shown);
        let receiver = Receiver::with(move |_| match &*source.lock() {
            Some(set) => Reply::status(200).body(set.clone()),
            None => Reply::status(503),
        })
        .await;
        Self { receiver, shown }
    }

    /// Shows this from now on; nothing means that it is away.
    pub(crate) fn show(&self, set: Option<String>) {
        *self.shown.lock() = set;
    }
}
