//! Signing: what an owner says, and what an owner sees.

use super::{
    time::{read_timestamp, show_timestamp},
    value,
};
use crate::{
    domain::{
        error::Faults,
        signature,
        signing::{Signing, SigningScheme, SigningSecret},
    },
    grpc::proto,
};

/// Reads how requests are to be signed. `stored` is what ids of secrets refer to;
/// absent while a webhook is made, when ids are ignored as output-only.
pub(crate) fn read_signing(
    given: &proto::Signing,
    stored: Option<&[SigningSecret]>,
    faults: &mut Faults,
) -> Option<Signing> {
    let proto::Signing { scheme, header_name, secrets } = given;
    let at = "webhook.signing.scheme";
    let scheme = match value::read_enum(*scheme, at, faults)? {
        proto::SigningScheme::Unspecified if secrets.is_empty() => {
            if !header_name.is_empty() {
                faults.required(at);
            }
            return None;
        }
        proto::SigningScheme::Unspecified | proto::SigningScheme::StandardWebhooks => {
            SigningScheme::StandardWebhooks
        }
        proto::SigningScheme::HmacSha256Hex => SigningScheme::HmacSha256Hex,
        proto::SigningScheme::HmacSha256Base64 => SigningScheme::HmacSha256Base64,
        proto::SigningScheme::StandardWebhooksEd25519 => SigningScheme::StandardWebhooksEd25519,
    };
    let read =
        |(i, secret)| read_secret(secret, stored, &format!("webhook.signing.secrets[{i}]"), faults);
    let mut secrets: Vec<_> = secrets.iter().enumerate().filter_map(read).collect();
    for i in 1..secrets.len() {
        if secrets[i].is_made() && secrets[..i].iter().any(|s| s.secret_id == secrets[i].secret_id)
        {
            faults.invalid(format!("webhook.signing.secrets[{i}].secret_id"), "is named twice");
        }
    }
    if secrets.is_empty() {
        secrets.push(SigningSecret::draft(String::new(), None));
    }
    Some(Signing { scheme, header_name: header_name.clone(), secrets })
}

/// A secret that is stored keeps its value and, unless another is given, its end.
fn read_secret(
    given: &proto::SigningSecret,
    stored: Option<&[SigningSecret]>,
    at: &str,
    faults: &mut Faults,
) -> Option<SigningSecret> {
    let proto::SigningSecret { secret_id, value, create_time: _, expire_time, public_key: _ } =
        given;
    let expire_time = read_timestamp(expire_time.as_ref(), &format!("{at}.expire_time"), faults);
    let stored = match stored {
        Some(stored) if !secret_id.is_empty() => stored,
        Some(_) | None => return Some(SigningSecret::draft(value.clone(), expire_time)),
    };
    let Some(known) = stored.iter().find(|secret| secret.secret_id == *secret_id) else {
        let message = "is no secret of this webhook; leave it empty for a new one";
        faults.invalid(format!("{at}.secret_id"), message);
        return None;
    };
    if !value.is_empty() && *value != known.value {
        let message = "cannot be changed: a new value is a new secret, without secret_id";
        faults.invalid(format!("{at}.value"), message);
    }
    let expire_time = expire_time.or(known.expire_time);
    Some(SigningSecret { expire_time, ..known.clone() })
}

/// Signing for the wire, with the values of those secrets that `reveal` names.
pub(crate) fn show_signing(
    signing: &Signing,
    reveal: impl Fn(&SigningSecret) -> bool,
) -> proto::Signing {
    let Signing { scheme, header_name, secrets } = signing;
    let show = |secret| show_secret(secret, *scheme, reveal(secret));
    proto::Signing {
        // The domain's numbers are the contract's.
        scheme: *scheme as i32,
        header_name: header_name.clone(),
        secrets: secrets.iter().map(show).collect(),
    }
}

/// A secret for the wire; its value only where that is asked for. What was only
/// checked was not made.
pub(crate) fn show_secret(
    secret: &SigningSecret,
    scheme: SigningScheme,
    reveal: bool,
) -> proto::SigningSecret {
    let SigningSecret { secret_id, value, create_time, expire_time } = secret;
    proto::SigningSecret {
        secret_id: secret_id.clone(),
        value: if reveal { value.clone() } else { String::new() },
        create_time: secret.is_made().then(|| show_timestamp(*create_time)),
        expire_time: expire_time.map(show_timestamp),
        public_key: signature::public_key(scheme, value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{error::Reason, time::Timestamp};

    fn stored() -> Vec<SigningSecret> {
        vec![SigningSecret {
            secret_id: "one".to_owned(),
            value: "s3cret".to_owned(),
            create_time: Timestamp::from_micros(5),
            expire_time: Some(Timestamp::from_micros(9)),
        }]
    }

    fn given(id: &str, value: &str) -> proto::SigningSecret {
        proto::SigningSecret { secret_id: id.into(), value: value.into(), ..Default::default() }
    }

    fn read(scheme: i32, secrets: Vec<proto::SigningSecret>) -> (Option<Signing>, Vec<String>) {
        let mut faults = Faults::default();
        let given = proto::Signing { scheme, secrets, ..Default::default() };
        let read = read_signing(&given, Some(&stored()), &mut faults);
        let faults = faults.check().err().map(|e| e.violations).unwrap_or_default();
        (read, faults.into_iter().map(|v| v.field).collect())
    }

    #[test]
    fn a_known_id_keeps_the_secret_as_it_is() {
        for value in ["", "s3cret"] {
            let (signing, faults) = read(2, vec![given("one", value)]);
            assert_eq!(faults, [""; 0]);
            assert_eq!(signing.expect("signing").secrets, stored());
        }
    }

    #[test]
    fn unknown_ids_changed_values_and_repetitions_are_faults() {
        for (secrets, field) in [
            (vec![given("two", "")], "webhook.signing.secrets[0].secret_id"),
            (vec![given("two", "x")], "webhook.signing.secrets[0].secret_id"),
            (vec![given("one", "x")], "webhook.signing.secrets[0].value"),
            (vec![given("one", ""), given("one", "")], "webhook.signing.secrets[1].secret_id"),
        ] {
            assert_eq!(read(2, secrets).1, [field]);
        }
    }

    #[test]
    fn an_unspecified_scheme_is_the_standard_one_where_there_is_a_secret() {
        assert_eq!(read(0, vec![]), (None, vec![]));
        let signing = read(0, vec![given("", "")]).0.expect("signing");
        assert_eq!(signing.scheme, SigningScheme::StandardWebhooks);
        let signing = read(3, vec![]).0.expect("signing");
        assert_eq!(signing.secrets, [SigningSecret::draft(String::new(), None)]);
        assert_eq!(read(9, vec![]).1, ["webhook.signing.scheme"]);
    }

    #[test]
    fn a_header_without_a_scheme_is_not_ignored() {
        let mut faults = Faults::default();
        let given = proto::Signing { header_name: "X".into(), ..Default::default() };
        assert_eq!(read_signing(&given, None, &mut faults), None);
        let fault = faults.check().expect_err("a fault").violations.remove(0);
        assert_eq!(
            (&*fault.field, fault.reason),
            ("webhook.signing.scheme", Reason::FieldRequired)
        );
    }

    #[test]
    fn values_are_shown_only_where_asked_for() {
        let secret = &stored()[0];
        let shown = show_secret(secret, SigningScheme::HmacSha256Hex, false);
        assert_eq!((&*shown.secret_id, &*shown.value), ("one", ""));
        assert!(shown.create_time.is_some() && shown.expire_time.is_some());
        assert_eq!(show_secret(secret, SigningScheme::HmacSha256Hex, true).value, "s3cret");
    }
}
