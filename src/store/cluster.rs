//! The nodes that serve one database, and which of them owns which shards of the lanes.
//!
//! An embedded database is served by one node, which owns everything for ever: the lock
//! beside its file sees to that.

use std::time::Duration;

use super::{Store, WriteTx, failure::Failure};
use crate::domain::{error::Result, shard::Shards};

/// Key of a node; a node that was given up by the others comes back under a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeKey(pub i64);

impl NodeKey {
    /// The one that has no others beside it.
    pub const SOLE: Self = Self(0);
}

/// What a node may do, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Under which key.
    pub node: NodeKey,
    /// The shards that it owns.
    pub shards: Shards,
    /// How many more than its even part these are.
    pub surplus: usize,
    /// Counted from before it was asked for; absent means for ever.
    pub valid_for: Option<Duration>,
}

impl Store {
    /// Renews a node's lease, or begins one: gives back the shards that it has given up,
    /// takes what nobody owns, up to its even part, and gives up nodes whose leases are over.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`: the lease stays as it is.
    pub async fn renew_lease(&self, _node: Option<NodeKey>, _given_up: &Shards) -> Result<Lease> {
        Ok(Lease { node: NodeKey::SOLE, shards: Shards::ALL, surplus: 0, valid_for: None })
    }
}

impl WriteTx {
    /// Sees to it that the others do not give up a node before the transaction ends.
    pub(super) async fn fence(&self, node: NodeKey) -> std::result::Result<(), Failure> {
        if node == NodeKey::SOLE { Ok(()) } else { Err(Failure::Fenced) }
    }
}
