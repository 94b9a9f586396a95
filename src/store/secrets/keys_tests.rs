use super::*;
use crate::domain::{
    id::{TenantKey, WebhookId},
    time::Timestamp,
};

fn text(byte: u8) -> String {
    STANDARD.encode([byte; KEY_BYTES])
}

fn keys(bytes: &[u8]) -> SecretKeys {
    let list: Vec<_> = bytes.iter().map(|&byte| text(byte)).collect();
    list.join(",").parse().expect("keys")
}

fn spec(tenant: i64, webhook: u8) -> Place {
    Place::spec(TenantKey(tenant), WebhookId::new(Timestamp::default(), [webhook; 8]))
}

#[test]
fn what_was_sealed_opens_in_its_place_only() {
    let keys = keys(&[1]);
    let place = spec(1, 1);
    let sealed = keys.seal(&place, "s3cret".into()).expect("sealed");
    assert!(!sealed.contains("s3cret") && !sealed.contains(&STANDARD.encode("s3cret")));
    assert_ne!(keys.seal(&place, "s3cret".into()).expect("sealed"), sealed, "a nonce for each");
    assert_eq!(keys.open(&place, sealed.clone()).expect("opens"), "s3cret");
    let others = [
        spec(2, 1),
        spec(1, 2),
        Place::answer(TenantKey(1), "CreateWebhook", "k"),
        Place::digest(TenantKey(1), "CreateWebhook", "k"),
    ];
    for other in others {
        let refused = keys.open(&other, sealed.clone()).expect_err("swapped").to_string();
        assert!(refused.contains("another place") && !refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn what_was_changed_does_not_open() {
    let keys = keys(&[1]);
    let place = spec(1, 1);
    let sealed = keys.seal(&place, "s3cret".into()).expect("sealed");
    let (head, body) = sealed.rsplit_once(':').expect("a body");
    let body = STANDARD.decode(body).expect("base64");
    for i in 0..body.len() {
        let mut body = body.clone();
        body[i] ^= 1;
        let changed = format!("{head}:{}", STANDARD.encode(body));
        assert!(keys.open(&place, changed).is_err(), "byte {i}");
    }
    for cut in (PREFIX.len()..sealed.len()).step_by(5) {
        assert!(keys.open(&place, sealed[..cut].to_owned()).is_err(), "cut at {cut}");
    }
}

#[test]
fn older_keys_open_and_the_first_seals() {
    let place = spec(1, 1);
    let old = keys(&[1]).seal(&place, "s3cret".into()).expect("sealed");
    let rotated = keys(&[2, 1]);
    assert_eq!(rotated.open(&place, old.clone()).expect("opens"), "s3cret");
    assert!(!rotated.is_current(&old) && keys(&[1, 2]).is_current(&old));
    let new = rotated.seal(&place, "s3cret".into()).expect("sealed");
    assert!(rotated.is_current(&new) && keys(&[2]).open(&place, new).is_ok());
    for wrong in [keys(&[2]), SecretKeys::default()] {
        let refused = wrong.open(&place, old.clone()).expect_err("no key").to_string();
        assert!(refused.contains("no such key"), "{refused}");
    }
}

#[test]
fn what_was_written_in_clear_is_read() {
    let clear = r#"{"name":"w"}"#.to_owned();
    let keys = keys(&[1]);
    assert_eq!(keys.open(&spec(1, 1), clear.clone()).expect("read"), clear);
    assert!(!keys.is_current(&clear));
    let none = SecretKeys::default();
    assert_eq!(none.seal(&spec(1, 1), clear.clone()).expect("clear"), clear);
}

#[test]
fn bad_keys_are_refused_without_being_shown() {
    let short = STANDARD.encode([7; 31]);
    for bad in ["", "s3cret", &short, &format!("{},", text(1)), &format!("{0},{0}", text(9))] {
        let refused = bad.parse::<SecretKeys>().expect_err("refused");
        assert!(refused.starts_with("key "), "{refused}");
        let shown = |part: &str| !part.is_empty() && refused.contains(part);
        assert!(!bad.split(',').any(shown), "{refused}");
    }
    let lenient = format!(" {} ,{}\n", text(1).trim_end_matches('='), text(2));
    let parsed: SecretKeys = lenient.parse().expect("keys");
    assert_eq!(format!("{parsed:?}"), format!("{:?}", keys(&[1, 2])));
    assert!(!format!("{parsed:?}").contains(&text(1)));
}
