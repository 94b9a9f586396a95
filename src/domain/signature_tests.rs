use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;

use super::*;
use crate::domain::signing::SigningSecret;

fn signer(scheme: SigningScheme, secrets: &[(&str, Option<i64>)]) -> Signer {
    let secret =
        |&(value, end): &(&str, Option<i64>)| SigningSecret::draft(value.to_owned(), end.map(at));
    let secrets = secrets.iter().map(secret).collect();
    Signer::new(&Signing { scheme, header_name: String::new(), secrets })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[test]
fn the_public_vectors_of_standard_webhooks_hold() {
    for (secret, id, time, body, signature) in [
        (
            FIRST,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            SECOND,
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ] {
        let signer = signer(SigningScheme::StandardWebhooks, &[(secret, None)]);
        assert_eq!(
            signer.headers(id, at(time), body.as_bytes()),
            [(ID, id.to_owned()), (TIMESTAMP, time.to_string()), (SIGNATURE, signature.to_owned())]
        );
    }
}

#[test]
fn every_live_secret_signs_and_the_newest_comes_first() {
    let both = signer(SigningScheme::StandardWebhooks, &[(FIRST, None), (SECOND, Some(100))]);
    let alone = |secret| {
        let signer = signer(SigningScheme::StandardWebhooks, &[(secret, None)]);
        move |now| signer.headers("id", at(now), b"body")[2].1.clone()
    };
    let (first, second) = (alone(FIRST), alone(SECOND));
    let during = both.headers("id", at(99), b"body")[2].1.clone();
    assert_eq!(during, format!("{} {}", first(99), second(99)));
    assert_eq!(both.headers("id", at(100), b"body")[2].1, first(100), "expired");
}

#[test]
fn plain_schemes_sign_the_body_with_the_newest_live_secret() {
    // RFC 4231, test case 2.
    let hex = signer(SigningScheme::HmacSha256Hex, &[("Jefe", None), ("old", None)]);
    let digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let body = b"what do ya want for nothing?";
    assert_eq!(hex.headers("id", at(0), body), [("X-Tidings-Signature", digest.to_owned())]);
    let base64 = signer(SigningScheme::HmacSha256Base64, &[("new", Some(5)), ("Jefe", None)]);
    let value = base64.headers("id", at(5), body)[0].1.clone();
    assert_eq!(value, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

#[test]
fn without_a_live_secret_there_is_no_signature() {
    let signer = signer(SigningScheme::StandardWebhooks, &[(FIRST, Some(10))]);
    assert_eq!(signer.headers("id", at(10), b""), []);
}

#[test]
fn ed25519_verifies_with_the_public_key() {
    let scheme = SigningScheme::StandardWebhooksEd25519;
    let seed_only = format!("whsk_{}", STANDARD.encode([7; 32]));
    for secret in [generate(scheme, [7; 32]), seed_only] {
        let signer = signer(scheme, &[(&secret, None)]);
        let headers = signer.headers("id", at(12), b"body");
        let signature = headers[2].1.strip_prefix("v1a,").expect("a v1a signature");
        let signature = STANDARD.decode(signature).expect("base64");
        let public = public_key(scheme, &secret).expect("a public key");
        let public = STANDARD.decode(public.strip_prefix("whpk_").expect("a prefix"));
        let public: [u8; 32] = public.expect("base64").try_into().expect("32 bytes");
        let key = VerifyingKey::from_bytes(&public).expect("a key");
        let signature = Signature::from_slice(&signature).expect("64 bytes");
        key.verify_strict(b"id.12.body", &signature).expect("it verifies");
        assert!(key.verify_strict(b"id.12.bodY", &signature).is_err());
    }
}

proptest! {
    // Keys of ed25519 take their time where nothing is optimized.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_body_is_signed_and_no_other_verifies(
        body in prop::collection::vec(any::<u8>(), 0..80),
        id in "[ -~]{0,40}",
        seconds in 0i64..100_000_000_000,
        random: [u8; 32],
        old: [u8; 32],
        spoiled: prop::sample::Index,
    ) {
        let other = {
            let mut other = [&body[..], b" "].concat();
            other[spoiled.index(body.len() + 1)] ^= 1;
            other
        };
        for scheme in [
            SigningScheme::StandardWebhooks,
            SigningScheme::StandardWebhooksEd25519,
            SigningScheme::HmacSha256Hex,
            SigningScheme::HmacSha256Base64,
        ] {
            let secrets = [generate(scheme, random), generate(scheme, old)];
            let signer = signer(scheme, &[(&secrets[0], None), (&secrets[1], None)]);
            let headers = signer.headers(&id, at(seconds), &body);
            let signature = &headers.last().expect("a signature").1;
            prop_assert!(signature.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let text = |body: &[u8]| [id.as_bytes(), format!(".{seconds}.").as_bytes(), body].concat();
            let standard = matches!(
                scheme,
                SigningScheme::StandardWebhooks | SigningScheme::StandardWebhooksEd25519
            );
            let (signed, forged) = if standard {
                (text(&body), text(&other))
            } else {
                (body.clone(), other.clone())
            };
            // Only Standard Webhooks signs with all that are live.
            let signatures: Vec<_> = signature.split(' ').collect();
            prop_assert_eq!(signatures.len(), if standard { 2 } else { 1 });
            for (secret, signature) in secrets.iter().zip(signatures) {
                prop_assert!(verifies(scheme, secret, signature, &signed));
                prop_assert!(!verifies(scheme, secret, signature, &forged));
            }
        }
    }
}

/// What a receiver does, with the libraries alone.
fn verifies(scheme: SigningScheme, secret: &str, signature: &str, signed: &[u8]) -> bool {
    let hmac = |key: &[u8], signature: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(signed);
        mac.verify_slice(signature).is_ok()
    };
    let base64 = |text: &str| STANDARD.decode(text).expect("base64");
    match scheme {
        SigningScheme::StandardWebhooks => {
            let key = base64(secret.strip_prefix("whsec_").expect("a prefix"));
            hmac(&key, &base64(signature.strip_prefix("v1,").expect("v1")))
        }
        SigningScheme::HmacSha256Base64 => hmac(secret.as_bytes(), &base64(signature)),
        SigningScheme::HmacSha256Hex => {
            let byte = |at| u8::from_str_radix(&signature[at..at + 2], 16).expect("hex");
            let bytes: Vec<_> = (0..signature.len()).step_by(2).map(byte).collect();
            hmac(secret.as_bytes(), &bytes)
        }
        SigningScheme::StandardWebhooksEd25519 => {
            let public = public_key(scheme, secret).expect("a public key");
            let public = base64(public.strip_prefix("whpk_").expect("a prefix"));
            let key = VerifyingKey::from_bytes(&public.try_into().expect("32 bytes"));
            let signature = base64(signature.strip_prefix("v1a,").expect("v1a"));
            let signature = Signature::from_slice(&signature).expect("64 bytes");
            key.expect("a key").verify_strict(signed, &signature).is_ok()
        }
    }
}
