//! The order of deliveries: which wait for which.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Which deliveries of a webhook wait for which.
///
/// It is decided when an event is published, for good: a webhook whose order is changed
/// delivers what it had before in the order that held then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryOrder {
    /// Started in publish order; none waits for another.
    #[default]
    Unordered,
    /// Events of one ordering key one after the other, each settled before the next
    /// starts. Events without a key wait for nobody.
    ByKey,
    /// One after the other, whatever the key.
    Fifo,
}

/// What deliveries of one webhook have in common that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub i64);

impl DeliveryOrder {
    /// The deliveries that one of an event with this ordering key has to wait for;
    /// none where it need not.
    pub fn key(self, ordering_key: &str) -> Option<OrderKey> {
        match self {
            Self::Unordered => None,
            Self::Fifo => Some(OrderKey(0)),
            Self::ByKey => (!ordering_key.is_empty()).then(|| OrderKey(digest(ordering_key))),
        }
    }
}

/// 63 bits of SHA-256: two keys that share them wait for each other without need,
/// which harms nobody. Never 0, the key of a webhook that keeps them all in order.
fn digest(key: &str) -> i64 {
    let hash = Sha256::digest(key.as_bytes());
    let first = hash.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    (first & i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deliveries_that_share_a_key_wait_for_each_other() {
        use DeliveryOrder::{ByKey, Fifo, Unordered};
        assert_eq!(Unordered.key("a"), None);
        assert_eq!((ByKey.key(""), ByKey.key("a")), (None, ByKey.key("a")));
        assert_ne!(ByKey.key("a"), ByKey.key("b"));
        assert_eq!((Fifo.key(""), Fifo.key("a")), (Some(OrderKey(0)), Some(OrderKey(0))));
    }

    #[test]
    fn keys_are_stored_and_therefore_stay_what_they_are() {
        // The first eight bytes of SHA-256("customer-7"), without the sign.
        let known = OrderKey(0x2cade5fe58d0b5a8);
        assert_eq!(DeliveryOrder::ByKey.key("customer-7"), Some(known));
    }
}
