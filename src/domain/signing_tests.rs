use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

const SCHEMES: [SigningScheme; 4] = [
    SigningScheme::StandardWebhooks,
    SigningScheme::HmacSha256Hex,
    SigningScheme::HmacSha256Base64,
    SigningScheme::StandardWebhooksEd25519,
];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn signing(scheme: SigningScheme, values: &[&str]) -> Signing {
    let secrets = values.iter().map(|v| SigningSecret::draft((*v).to_owned(), None)).collect();
    Signing { scheme, header_name: String::new(), secrets }
}

fn faults(signing: &Signing) -> Vec<String> {
    let mut faults = Faults::default();
    signing.check(&mut faults);
    let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
    violations.into_iter().map(|v| v.field).collect()
}

/// Bytes that differ from call to call.
fn counter() -> impl FnMut() -> [u8; 32] {
    let mut n = 0;
    move || {
        n += 1;
        [n; 32]
    }
}

#[test]
fn bad_secrets_are_faults_and_good_ones_are_not() {
    let secret = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![9; bytes]));
    let private = |bytes: usize| format!("whsk_{}", STANDARD.encode(vec![9; bytes]));
    let [standard, hex, base64, ed25519] = SCHEMES;
    for (scheme, value, good) in [
        (standard, secret(24), true),
        (standard, secret(64), true),
        (standard, secret(32).trim_end_matches('=').to_owned(), true),
        (standard, secret(23), false),
        (standard, secret(65), false),
        (standard, "whsec_".to_owned(), false),
        (standard, "whsec_%%%".to_owned(), false),
        (standard, STANDARD.encode([9; 32]), false),
        (standard, private(32), false),
        (standard, "a\0b".to_owned(), false),
        (hex, "x".to_owned(), true),
        (base64, "größe".to_owned(), true),
        (hex, "x".repeat(255), true),
        (hex, "x".repeat(256), false),
        (base64, "a\0b".to_owned(), false),
        (ed25519, private(32), true),
        (ed25519, signature::generate(ed25519, [3; 32]), true),
        (ed25519, private(31), false),
        // The second half is not the first one's public key.
        (ed25519, private(64), false),
        (ed25519, secret(32), false),
    ] {
        let found = faults(&signing(scheme, &[&value]));
        let expected: &[&str] = if good { &[] } else { &["webhook.signing.secrets[0].value"] };
        assert_eq!(found, expected, "{scheme:?} {value:?}");
    }
}

#[test]
fn what_the_server_makes_follows_its_own_rules() {
    for scheme in SCHEMES {
        let mut made = signing(scheme, &["", ""]);
        made.complete(at(1), &mut counter());
        assert_eq!(faults(&made), [""; 0]);
        assert_ne!(made.secrets[0].secret_id, made.secrets[1].secret_id);
        assert_ne!(made.secrets[0].value, made.secrets[1].value);
    }
}

#[test]
fn names_of_headers_belong_to_the_plain_schemes() {
    for (name, good) in [
        ("X-Sign", true),
        ("bad name", false),
        ("Content-Length", false),
        ("content-type", false),
        ("Tidings-Event-Id", false),
    ] {
        let plain = Signing {
            header_name: name.to_owned(),
            ..signing(SigningScheme::HmacSha256Hex, &["x"])
        };
        assert_eq!(faults(&plain).is_empty(), good, "{name}");
    }
    let standard = Signing { header_name: "X-Sign".to_owned(), ..Signing::standard() };
    assert_eq!(faults(&standard), ["webhook.signing.header_name"]);
}

#[test]
fn too_many_secrets_and_the_same_one_twice_are_faults() {
    let twice = signing(SigningScheme::HmacSha256Hex, &["x", "y", "x"]);
    assert_eq!(faults(&twice), ["webhook.signing.secrets[2].value"]);
    let many = signing(SigningScheme::HmacSha256Hex, &[""; limits::SECRETS + 1]);
    assert_eq!(faults(&many), ["webhook.signing.secrets"]);
}

#[test]
fn a_rotation_lets_the_older_ones_expire_but_never_later_than_they_would() {
    let mut random = counter();
    let mut rotated = signing(SigningScheme::HmacSha256Hex, &["a"]);
    rotated.secrets.push(SigningSecret::draft("b".to_owned(), Some(at(50))));
    rotated.complete(at(0), &mut random);
    rotated
        .rotate("c".to_owned(), at(10), Duration::from_secs(100), &mut random)
        .expect("a rotation");
    let shown: Vec<_> = rotated.secrets.iter().map(|s| (&*s.value, s.expire_time)).collect();
    assert_eq!(shown, [("c", None), ("a", Some(at(110))), ("b", Some(at(50)))]);
    assert_eq!(rotated.secrets[0].create_time, at(10));
    rotated.rotate(String::new(), at(60), Duration::ZERO, &mut random).expect("a rotation");
    assert_eq!(rotated.secrets.len(), 1, "what has expired is dropped");
    assert!(rotated.secrets[0].value.starts_with("whsec_"));
}

#[test]
fn a_rotation_refuses_a_known_value_and_one_secret_too_many() {
    let mut random = counter();
    let mut rotated = signing(SigningScheme::HmacSha256Hex, &["a"]);
    let day = Duration::from_secs(86_400);
    for (value, good) in [("a", false), ("b", true), ("", true), ("\0", false)] {
        let mut faults = Faults::default();
        rotated.check_next(value, &mut faults);
        assert_eq!(faults.is_empty(), good, "{value:?}");
    }
    for round in 2..=limits::SECRETS {
        rotated.rotate(round.to_string(), at(1), day, &mut random).expect("a rotation");
    }
    let refused = rotated.clone().rotate("z".to_owned(), at(1), day, &mut random);
    assert_eq!(refused.expect_err("too many").reason, Reason::WebhookStateConflict);
    rotated.rotate("z".to_owned(), at(1), Duration::ZERO, &mut random).expect("no overlap");
}

#[test]
fn values_do_not_reach_debug_output() {
    let shown = format!("{:?}", signing(SigningScheme::HmacSha256Hex, &["s3cret"]));
    assert!(!shown.contains("s3cret"), "{shown}");
}
