//! Shards: the parts in which nodes share out the lanes. A lane is in the same shard
//! for ever, whoever owns that.

use std::fmt;

use super::id::WebhookKey;

/// How many there are: enough for many nodes to have even parts, few enough to be owned
/// row by row.
pub const SHARDS: usize = 256;

/// One of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// The shard that stands for work which one node does for all: whoever owns it does it.
    pub const CARETAKER: Self = Self(0);

    /// The shard that a webhook's lane is in. Keys are given out one after the other, and
    /// nodes own ranges of shards: with the bits of a key in reverse even a few lanes, made
    /// one after the other, are spread over all ranges.
    pub fn of(webhook: WebhookKey) -> Self {
        Self(webhook.0.to_le_bytes()[0].reverse_bits())
    }

    /// The last byte of the keys of its webhooks.
    pub fn last_byte_of_keys(self) -> u8 {
        self.0.reverse_bits()
    }
}

/// A set of shards.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Shards([u64; SHARDS / 64]);

impl Shards {
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; SHARDS / 64]);

    /// Whether a shard is among them.
    pub fn contains(&self, shard: Shard) -> bool {
        self.0[usize::from(shard.0) / 64] & (1 << (shard.0 % 64)) != 0
    }

    /// Adds a shard.
    pub fn insert(&mut self, shard: Shard) {
        self.0[usize::from(shard.0) / 64] |= 1 << (shard.0 % 64);
    }

    /// Those that are not among `others`.
    pub fn without(&self, others: &Self) -> Self {
        self.joined(others, |mine, other| mine & !other)
    }

    /// Those that are among `others`, too.
    pub fn within(&self, others: &Self) -> Self {
        self.joined(others, |mine, other| mine & other)
    }

    /// These and `others`.
    pub fn with(&self, others: &Self) -> Self {
        self.joined(others, |mine, other| mine | other)
    }

    fn joined(&self, others: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|i| join(self.0[i], others.0[i])))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; SHARDS / 64]
    }

    /// Each of them, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Shard> + '_ {
        (0..=u8::MAX).map(Shard).filter(|shard| self.contains(*shard))
    }
}

impl FromIterator<Shard> for Shards {
    fn from_iter<T: IntoIterator<Item = Shard>>(shards: T) -> Self {
        let mut set = Self::default();
        shards.into_iter().for_each(|shard| set.insert(shard));
        set
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|shard| shard.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_into_them() {
        assert_eq!((Shards::ALL.len(), Shards::ALL.iter().count()), (SHARDS, SHARDS));
        let some: Shards = [0, 63, 64, 255].map(Shard).into_iter().collect();
        assert_eq!(some.iter().map(|shard| shard.0).collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!(Shards::ALL.without(&some).len(), SHARDS - 4);
        assert!(some.without(&Shards::ALL).is_empty() && !some.contains(Shard(1)));
        let other: Shards = [63, 65].map(Shard).into_iter().collect();
        assert_eq!(some.within(&other).iter().map(|shard| shard.0).collect::<Vec<_>>(), [63]);
        assert_eq!(some.with(&other).len(), 5);
    }

    #[test]
    fn lanes_spread_evenly() {
        let all: Shards = (1..=256).map(|key| Shard::of(WebhookKey(key))).collect();
        assert_eq!(all, Shards::ALL);
        assert_eq!(Shard::of(WebhookKey(257)), Shard::of(WebhookKey(1)));
        for key in [1, 2, 254, 255, 256, 257, i64::MAX] {
            let last = i64::from(Shard::of(WebhookKey(key)).last_byte_of_keys());
            assert_eq!(last, key & 255);
        }
        // Six lanes, the first half of the shards and the second.
        let halves = (1..=6).map(|key| usize::from(Shard::of(WebhookKey(key)).0) / (SHARDS / 2));
        assert_eq!(halves.sum::<usize>(), 3);
    }
}
