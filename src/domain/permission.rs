//! What a caller may do.

use std::{fmt, str::FromStr};

use super::error::{Error, Reason};

/// One thing that a key may do; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Get and list webhooks, event types and tenants.
    WebhooksRead = 1,
    /// Create, change, suspend, test and delete webhooks.
    WebhooksWrite = 2,
    /// Read secrets and header values that are sensitive.
    SecretsRead = 3,
    /// Create, change and delete event types.
    EventMetadataWrite = 4,
    /// Publish events.
    EventsPublish = 5,
    /// Read events, the delivery log, diverted events and stats; tail.
    EventLogsRead = 6,
    /// Retry deliveries; replay and discard diverted events.
    EventLogsWrite = 7,
    /// Manage keys and tenants.
    Admin = 8,
}

impl Permission {
    /// All there are, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::SecretsRead,
        Self::EventMetadataWrite,
        Self::EventsPublish,
        Self::EventLogsRead,
        Self::EventLogsWrite,
        Self::Admin,
    ];

    /// Its name on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebhooksRead => "webhooks-read",
            Self::WebhooksWrite => "webhooks-write",
            Self::SecretsRead => "secrets-read",
            Self::EventMetadataWrite => "event-metadata-write",
            Self::EventsPublish => "events-publish",
            Self::EventLogsRead => "event-logs-read",
            Self::EventLogsWrite => "event-logs-write",
            Self::Admin => "admin",
        }
    }

    /// The permission of that number in the contract.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| *permission as i32 == number)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|permission| permission.name() == text);
        named.ok_or_else(|| {
            format!("{text:?} is none of all, {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u16);

impl Permissions {
    /// Every permission.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// Whether it has this one.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Refuses who does not have it.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`.
    pub fn require(self, permission: Permission) -> Result<(), Error> {
        if self.contains(permission) {
            return Ok(());
        }
        let message = format!("the credentials do not have the permission {permission}");
        Err(Error::new(Reason::PermissionDenied, message).with("permission", permission.name()))
    }

    /// Those that `other` has beyond these.
    pub fn missing_of(self, other: Self) -> Self {
        Self(other.0 & !self.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that it has, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }

    /// As stored: bit n is the permission of number n.
    pub fn bits(self) -> i32 {
        i32::from(self.0)
    }

    /// As stored; a bit that means nothing is an error, not a permission less.
    pub fn from_bits(bits: i32) -> Option<Self> {
        let set = Self(u16::try_from(bits).ok()?);
        Self::all().missing_of(set).is_empty().then_some(set)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | bit(permission)))
    }
}

impl fmt::Display for Permissions {
    /// Names with commas, or `all`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all");
        }
        f.write_str(&self.iter().map(Permission::name).collect::<Vec<_>>().join(","))
    }
}

const fn bit(permission: Permission) -> u16 {
    1 << permission as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_bits_read_back() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(permission));
            assert_eq!(Permission::from_number(permission as i32), Some(permission));
            let alone = Permissions::from_iter([permission]);
            assert_eq!(Permissions::from_bits(alone.bits()), Some(alone));
            assert_eq!(alone.iter().collect::<Vec<_>>(), [permission]);
        }
        assert_eq!(Permissions::from_bits(Permissions::all().bits()), Some(Permissions::all()));
        for bits in [1, 1 << 9, -1, i32::MAX] {
            assert_eq!(Permissions::from_bits(bits), None, "{bits}");
        }
        assert!(Permission::from_number(0).is_none() && "root".parse::<Permission>().is_err());
    }

    #[test]
    fn what_is_missing_is_what_the_other_has_beyond() {
        let some = Permissions::from_iter([Permission::Admin, Permission::WebhooksRead]);
        assert!(Permissions::all().missing_of(some).is_empty());
        assert!(some.missing_of(some).is_empty());
        let more = Permissions::from_iter([Permission::Admin, Permission::SecretsRead]);
        assert_eq!(some.missing_of(more).to_string(), "secrets-read");
        assert_eq!(Permissions::all().to_string(), "all");
    }
}
