//! Names of things: public ids as callers see them, keys as the store keeps them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::limits;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub i64);
    };
}

key!(
    /// Internal key of a tenant. Never leaves the process.
    TenantKey
);
key!(
    /// Internal key of a webhook, and so of its lane. Never leaves the process.
    WebhookKey
);
key!(
    /// Internal key of an event; rises as events are stored. Never leaves the process.
    EventKey
);
key!(
    /// A place in a tenant's journal: rises by one from 1; 0 is before the first entry.
    Position
);

/// A tenant's id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=limits::TENANT_ID_CHARS).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err("must be 1 to 64 of A-Z a-z 0-9 . _ -")
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A webhook's public id: 24 lower-case hex digits, time-ordered: four bytes of
/// seconds since the epoch, then eight random ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId([u8; 12]);

impl WebhookId {
    /// Makes an id from the creation time and random bytes.
    pub fn new(created: super::time::Timestamp, random: [u8; 8]) -> Self {
        let seconds = u32::try_from(created.micros() / 1_000_000).unwrap_or(u32::MAX);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        Self(bytes)
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for WebhookId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FAULT: &str = "must be 24 lower-case hex digits";
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 24 || !text.bytes().all(lower_hex) {
            return Err(FAULT);
        }
        let mut bytes = [0; 12];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| FAULT)?;
        }
        Ok(Self(bytes))
    }
}

/// An event's public id, a UUID. Written in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Makes a time-ordered id (UUID version 7) from the time and random bytes.
    pub fn new(now: super::time::Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    /// Hyphenated UUIDs of any version, upper or lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FAULT: &str = "must be a UUID such as ccc983c2-df7a-4ece-b5cc-e574cec66fc1";
        if text.len() != 36 {
            return Err(FAULT);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| FAULT)
    }
}

/// A delivery record's public id: it is named by what it is about, one event at
/// one webhook. Written `{event_id}.{webhook_id}`; opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventLogId {
    /// The event.
    pub event_id: EventId,
    /// The webhook.
    pub webhook_id: WebhookId,
}

impl fmt::Display for EventLogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event_id, self.webhook_id)
    }
}

impl FromStr for EventLogId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (event, webhook) = text.split_once('.').ok_or("is no event log id")?;
        match (event.parse(), webhook.parse()) {
            (Ok(event_id), Ok(webhook_id)) => Ok(Self { event_id, webhook_id }),
            _ => Err("is no event log id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn webhook_ids_are_time_ordered_hex_and_round_trip() {
        let early = WebhookId::new(Timestamp::from_micros(1_000_000), [255; 8]);
        let late = WebhookId::new(Timestamp::from_micros(2_000_000), [0; 8]);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string(), "00000001ffffffffffffffff");
        assert_eq!(early.to_string().parse(), Ok(early));
        for bad in
            ["", "671F45D8760AF000077B19F8", "671f45d8760af000077b19f", "671f45d8760af000077b19fé"]
        {
            assert!(bad.parse::<WebhookId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn event_log_ids_round_trip() {
        let id = "ccc983c2-df7a-4ece-b5cc-e574cec66fc1.671f45d8760af000077b19f8";
        assert_eq!(id.parse::<EventLogId>().map(|id| id.to_string()).as_deref(), Ok(id));
        assert!("ccc983c2-df7a-4ece-b5cc-e574cec66fc1".parse::<EventLogId>().is_err());
    }

    #[test]
    fn tenant_ids_have_a_narrow_alphabet() {
        for good in ["default", "50074", "a.b_c-D", &"x".repeat(64)] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ä", "*", &"x".repeat(65)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }
}
