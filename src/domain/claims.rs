//! What the claims of an identity provider's token mean here: who is calling, where, to do
//! what, until when. Signature, issuer and audience were checked before.

use std::time::Duration;

use serde_json::{Number, Value};

use super::{
    actor::Actor,
    api_key::Realm,
    error::Faults,
    permission::{Permission, Permissions},
    text,
    time::Timestamp,
};

/// How far the provider's clock may be from ours.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Where the claims are that no standard names: a member of the token, or a JSON Pointer
/// (RFC 6901) into it where the name begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The tenant, a text; `*` means all tenants.
    pub tenant: String,
    /// Names of permissions: a list, or a text with blanks between them, as `scope` has it.
    /// Names that mean nothing here are for others.
    pub permissions: String,
}

/// Who a token says is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The tenants that it covers.
    pub realm: Realm,
    /// What it may do there; perhaps nothing.
    pub permissions: Permissions,
    /// Who it is: the subject, and the name where there is one.
    pub actor: Actor,
    /// When it is not to be believed any more, the leeway included.
    pub end: Timestamp,
}

impl Identity {
    /// Reads claims (RFC 7519, section 4).
    ///
    /// # Errors
    ///
    /// What is missing or wrong, for the operator's log and not for the caller.
    pub fn read(claims: &Value, names: &ClaimNames, now: Timestamp) -> Result<Self, &'static str> {
        let end = time(&claims["exp"]).ok_or("exp is no time")?.plus(LEEWAY);
        if end <= now {
            return Err("it has expired");
        }
        if !claims["nbf"].is_null() {
            let begin = time(&claims["nbf"]).ok_or("nbf is no time")?;
            if now.plus(LEEWAY) < begin {
                return Err("it is not valid yet");
            }
        }
        let tenant = find(claims, &names.tenant).and_then(Value::as_str);
        let realm = tenant.and_then(|id| id.parse().ok()).ok_or("it names no tenant")?;
        let granted = find(claims, &names.permissions).and_then(permissions);
        let code = name(&claims["sub"]).ok_or("it has no subject")?;
        let actor = Actor {
            code,
            name: name(&claims["name"]).unwrap_or_default(),
            kind: "JWT".to_owned(),
            ..Actor::default()
        };
        let permissions = granted.ok_or("it has no permissions")?;
        Ok(Self { realm, permissions, actor, end })
    }
}

fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// Seconds since 1970, perhaps with a fraction, which is dropped.
fn time(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_number().and_then(whole_seconds)?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}

/// A cast from `f64` stays within `i64`.
fn whole_seconds(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
}

/// A text that fits into attributions.
fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    let mut faults = Faults::default();
    text::check_name(&mut faults, "", name);
    faults.check().ok().map(|()| name.to_owned())
}

fn permissions(value: &Value) -> Option<Permissions> {
    let named: Vec<&str> = match value {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    if named.contains(&ALL) {
        return Some(Permissions::all());
    }
    Some(named.iter().filter_map(|name| name.parse::<Permission>().ok()).collect())
}

/// Means every permission.
const ALL: &str = "all";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn names() -> ClaimNames {
        ClaimNames { tenant: "tenant_id".into(), permissions: "permissions".into() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn good() -> Value {
        json!({
            "sub": "u1", "name": "Ada", "exp": NOW + 60, "tenant_id": "acme",
            "permissions": ["webhooks-read", "openid", "events-publish"],
        })
    }

    /// The good claims with one changed.
    fn with(claim: &str, value: Value) -> Result<Identity, &'static str> {
        let mut claims = good();
        claims[claim] = value;
        Identity::read(&claims, &names(), at(NOW))
    }

    #[test]
    fn claims_say_who_where_what_and_until_when() {
        let identity = Identity::read(&good(), &names(), at(NOW)).expect("good");
        assert_eq!(identity.realm.to_string(), "acme");
        assert_eq!(identity.permissions.to_string(), "webhooks-read,events-publish");
        assert_eq!((&*identity.actor.code, &*identity.actor.name), ("u1", "Ada"));
        assert_eq!(identity.end, at(NOW + 60 + 30));
        let scope = with("permissions", json!("openid admin  webhooks-read"));
        assert_eq!(scope.expect("good").permissions.to_string(), "webhooks-read,admin");
        assert_eq!(
            with("permissions", json!(["all"])).expect("good").permissions,
            Permissions::all()
        );
        assert!(with("permissions", json!("openid")).expect("good").permissions.is_empty());
        assert_eq!(with("tenant_id", json!("*")).expect("good").realm, Realm::Everywhere);
    }

    #[test]
    fn claims_are_found_by_name_or_by_pointer() {
        let claims = json!({
            "sub": "u1", "exp": NOW + 1, "https://acme.example/tenant": "acme",
            "resource_access": {"tidings": {"roles": ["admin"]}},
        });
        let names = ClaimNames {
            tenant: "https://acme.example/tenant".into(),
            permissions: "/resource_access/tidings/roles".into(),
        };
        let identity = Identity::read(&claims, &names, at(NOW)).expect("good");
        assert_eq!(identity.permissions.to_string(), "admin");
        assert_eq!(identity.actor.name, "");
    }

    #[test]
    fn time_counts_with_a_leeway() {
        for (exp, good) in [(-31, false), (-30, false), (-29, true), (0, true)] {
            assert_eq!(with("exp", json!(NOW + exp)).is_ok(), good, "exp {exp}");
        }
        for (nbf, good) in [(-1, true), (30, true), (31, false)] {
            assert_eq!(with("nbf", json!(NOW + nbf)).is_ok(), good, "nbf {nbf}");
        }
        assert!(with("exp", json!(NOW as f64 + 0.5)).is_ok());
        assert_eq!(with("exp", json!(1e300)).expect("far away").end, Timestamp::MAX);
        assert!(with("exp", json!(-1e300)).is_err());
    }

    #[test]
    fn what_is_missing_or_of_a_wrong_type_is_refused() {
        for (claim, values) in [
            ("exp", vec![json!(null), json!("1767225660"), json!([]), json!(true)]),
            ("nbf", vec![json!("soon"), json!({})]),
            ("sub", vec![json!(null), json!(""), json!(7), json!("a\0"), json!("x".repeat(256))]),
            ("tenant_id", vec![json!(null), json!(""), json!("a b"), json!(["acme"]), json!(1)]),
            ("permissions", vec![json!(null), json!(1), json!({}), json!(["admin", 1])]),
        ] {
            for value in values {
                assert!(with(claim, value.clone()).is_err(), "{claim}: {value}");
            }
        }
        // A name is for people; a bad one costs nothing but itself.
        assert_eq!(with("name", json!("a\0")).expect("good").actor.name, "");
        for claims in [json!(null), json!([]), json!("x"), json!({})] {
            assert!(Identity::read(&claims, &names(), at(NOW)).is_err(), "{claims}");
        }
    }

    proptest! {
        #[test]
        fn no_time_makes_it_panic(exp: f64, nbf: i64, now: i64) {
            let mut claims = good();
            claims["exp"] = json!(exp);
            claims["nbf"] = json!(nbf);
            let _ = Identity::read(&claims, &names(), Timestamp::from_micros(now));
        }
    }
}
