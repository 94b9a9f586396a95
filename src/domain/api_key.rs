//! API keys: who may call, where, to do what, until when.

use std::{fmt, str::FromStr};

use super::{
    actor::Actor,
    error::{Faults, Reason},
    id::TenantId,
    limits,
    permission::Permissions,
    text,
    time::Timestamp,
};

const PREFIX: &str = "ak_";
const EVERYWHERE: &str = "*";

/// A key's public id, such as `ak_0123456789abcdef`. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyId(u64);

impl ApiKeyId {
    /// Of random bytes.
    pub fn new(random: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(random))
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:016x}", self.0)
    }
}

impl FromStr for ApiKeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FAULT: &str = "must be ak_ and 16 lower-case hex digits";
        let digits = text.strip_prefix(PREFIX).ok_or(FAULT)?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 16 || !digits.bytes().all(lower_hex) {
            return Err(FAULT);
        }
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| FAULT)
    }
}

/// The tenants that a key covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Realm {
    /// This one.
    Tenant(TenantId),
    /// All of them, those to come among them.
    Everywhere,
}

impl Realm {
    /// Whether a tenant is among them.
    pub fn covers(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Tenant(own) => own == tenant,
            Self::Everywhere => true,
        }
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::Everywhere => f.write_str(EVERYWHERE),
        }
    }
}

impl FromStr for Realm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == EVERYWHERE { Ok(Self::Everywhere) } else { text.parse().map(Self::Tenant) }
    }
}

/// A key as it is stored, without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Public id.
    pub id: ApiKeyId,
    /// The tenants that it covers.
    pub realm: Realm,
    /// Who calls with it.
    pub actor: Actor,
    /// What it may do; at least one.
    pub permissions: Permissions,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it stops working; absent means never.
    pub expire_time: Option<Timestamp>,
    /// When it was revoked.
    pub revoke_time: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoke_time.is_none() && self.expire_time.is_none_or(|end| now < end)
    }

    /// Notes what is wrong with a key to be made at `now`.
    pub fn check(&self, now: Timestamp, faults: &mut Faults) {
        if self.permissions.is_empty() {
            let message = "must name at least one";
            faults.add("api_key.permissions", Reason::FieldRequired, message);
        }
        if self.expire_time.is_some_and(|end| end <= now) {
            faults.invalid("api_key.expire_time", "must be in the future");
        }
        let Actor { id: _, code, description, name, kind } = &self.actor;
        for (field, value, chars) in [
            ("code", code, limits::NAME_CHARS),
            ("description", description, limits::DESCRIPTION_CHARS),
            ("name", name, limits::NAME_CHARS),
            ("type", kind, limits::NAME_CHARS),
        ] {
            text::check(faults, &format!("api_key.actor.{field}"), value, chars);
        }
    }

    /// Names the caller after the key where nobody said who it is.
    #[must_use]
    pub fn named(mut self) -> Self {
        if self.actor.code.is_empty() {
            self.actor.code = self.id.to_string();
        }
        if self.actor.kind.is_empty() {
            self.actor.kind = "API_KEY".to_owned();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::Permission;

    fn key() -> ApiKey {
        ApiKey {
            id: ApiKeyId::new([1; 8]),
            realm: Realm::Everywhere,
            actor: Actor::default(),
            permissions: [Permission::Admin].into_iter().collect(),
            create_time: Timestamp::from_micros(5),
            expire_time: None,
            revoke_time: None,
        }
    }

    #[test]
    fn ids_and_realms_read_back() {
        let id = ApiKeyId::new([0, 1, 2, 3, 4, 5, 6, 255]);
        assert_eq!(id.to_string(), "ak_00010203040506ff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ak_", "ak_00010203040506FF", "ak_+0010203040506ff", "00010203040506ff"] {
            assert!(bad.parse::<ApiKeyId>().is_err(), "{bad}");
        }
        for realm in ["*", "acme"] {
            assert_eq!(realm.parse::<Realm>().map(|read| read.to_string()).as_deref(), Ok(realm));
        }
        let (acme, other) = ("acme".parse::<Realm>().expect("a realm"), "other".parse());
        let other = other.expect("a tenant id");
        assert!(!acme.covers(&other) && Realm::Everywhere.covers(&other));
    }

    #[test]
    fn a_key_works_until_it_expires_or_is_revoked() {
        let at = Timestamp::from_micros;
        assert!(key().is_live(at(i64::MAX)));
        let expiring = ApiKey { expire_time: Some(at(10)), ..key() };
        assert!(expiring.is_live(at(9)) && !expiring.is_live(at(10)));
        assert!(!ApiKey { revoke_time: Some(at(20)), ..key() }.is_live(at(7)));
    }

    #[test]
    fn all_faults_are_told() {
        let mut faults = Faults::default();
        let bad = ApiKey {
            permissions: Permissions::default(),
            expire_time: Some(Timestamp::from_micros(5)),
            actor: Actor { code: "a\0".into(), name: "x".repeat(256), ..Actor::default() },
            ..key()
        };
        bad.check(Timestamp::from_micros(5), &mut faults);
        let fields: Vec<_> = faults.into_error().violations.into_iter().map(|v| v.field).collect();
        let expected = ["permissions", "expire_time", "actor.code", "actor.name"]
            .map(|f| format!("api_key.{f}"));
        assert_eq!(fields, expected);
    }
}
