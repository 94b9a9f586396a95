//! The nodes that serve one database, and which of them owns which shards of the lanes.
//!
//! A node has a row in `nodes` for as long as it renews its lease, by the database's own
//! clock; a shard belongs to the node that its row in `shards` names, as long as there is
//! one. Whoever finds a lease that is over deletes its node, and from then on nothing can be
//! recorded under that key: a transaction that records holds the row of its node until it
//! ends. A file is served by one node, which owns everything for ever: the lock beside it
//! sees to that.

use std::{fmt::Write, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait};

use super::{
    Store,
    failure::{Failure, corrupt},
    hints::Hint,
    query,
    rows::Row,
    timed::within,
};
use crate::domain::{
    error::Result,
    shard::{SHARDS, Shard, Shards},
};

/// How long a lease lasts from one renewal on.
pub(super) const LEASE: Duration = Duration::from_secs(6);

/// The database's clock, in microseconds.
pub(super) const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";
/// Lets one node at a time take and give shards; the others do without this time.
const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtext('tidings shards')) AS taken";

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
    /// `STORE_UNAVAILABLE`: the lease stays as it is, or is longer.
    pub async fn renew_lease(&self, node: Option<NodeKey>, given_up: &Shards) -> Result<Lease> {
        match &self.nodes {
            // What takes longer comes too late.
            Some(nodes) => Ok(within(Some(LEASE / 2), self.renew(nodes, node, given_up)).await?),
            None => {
                let node = NodeKey::SOLE;
                Ok(Lease { node, shards: Shards::ALL, surplus: 0, valid_for: None })
            }
        }
    }

    async fn renew(
        &self,
        on: &DatabaseConnection,
        node: Option<NodeKey>,
        given_up: &Shards,
    ) -> std::result::Result<Lease, Failure> {
        let known = match node {
            Some(node) if prolong(on, node).await? => Some(node),
            _ => None,
        };
        let node = match known {
            Some(node) => node,
            None => join(on).await?,
        };
        let mut changed = known.is_none();
        if known.is_some() && !given_up.is_empty() {
            let sql = format!(
                "UPDATE shards SET node_key = NULL WHERE node_key = {} AND shard IN ({})",
                node.0,
                list(given_up)
            );
            on.execute_unprepared(&sql).await?;
            changed = true;
        }
        let tx = on.begin().await?;
        let (part, freed) = share(&tx, node).await?;
        let shards = owned(&tx, node).await?;
        tx.commit().await?;
        if changed || freed {
            self.announcer.tell(Hint::Nodes);
        }
        let surplus = part.map_or(0, |part| shards.len().saturating_sub(part));
        Ok(Lease { node, shards, surplus, valid_for: Some(LEASE) })
    }

    /// Ends a node's lease, so that others need not wait for it to be over. To be called
    /// when nothing of it is under way any more.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`: it will be over by itself.
    pub async fn end_lease(&self, node: NodeKey) -> Result<()> {
        let Some(nodes) = self.nodes.as_ref().filter(|_| node != NodeKey::SOLE) else {
            return Ok(());
        };
        let sql = format!("DELETE FROM nodes WHERE node_key = {}", node.0);
        nodes.execute_unprepared(&sql).await.map_err(Failure::from)?;
        self.announcer.tell(Hint::Nodes);
        Ok(())
    }
}

/// Renews a lease that nobody has ended.
async fn prolong(on: &DatabaseConnection, node: NodeKey) -> std::result::Result<bool, Failure> {
    let sql = format!(
        "UPDATE nodes SET lease_end = {NOW} + {} WHERE node_key = {}",
        LEASE.as_micros(),
        node.0
    );
    Ok(on.execute_unprepared(&sql).await?.rows_affected() > 0)
}

async fn join(on: &DatabaseConnection) -> std::result::Result<NodeKey, Failure> {
    let sql = format!(
        "INSERT INTO nodes (lease_end) VALUES ({NOW} + {}) RETURNING node_key",
        LEASE.as_micros()
    );
    let rows = query(on, &sql, []).await?;
    let row = rows.first().ok_or_else(|| corrupt("node: it has no key"))?;
    Ok(NodeKey(Row(row).get("node_key")?))
}

/// Gives up nodes whose leases are over, and takes shards that belong to none, up to an even
/// part. Returns that part, unless another node does so right now, and whether any were
/// given up.
async fn share(
    tx: &DatabaseTransaction,
    node: NodeKey,
) -> std::result::Result<(Option<usize>, bool), Failure> {
    let rows = query(tx, TRY_LOCK, []).await?;
    let taken: bool = rows.first().map(|row| Row(row).get("taken")).transpose()?.unwrap_or(false);
    if !taken {
        return Ok((None, false));
    }
    // What such a node has in a transaction is awaited elsewhere, not here.
    let sql = format!(
        "DELETE FROM nodes WHERE node_key IN (
           SELECT node_key FROM nodes WHERE lease_end < {NOW} FOR UPDATE SKIP LOCKED)"
    );
    let gone = tx.execute_unprepared(&sql).await?.rows_affected();
    if gone > 0 {
        tracing::warn!(nodes = gone, "the leases of other nodes are over; their lanes are free");
    }
    let rows = query(tx, "SELECT COUNT(*) AS nodes FROM nodes", []).await?;
    let nodes: i64 = rows.first().map(|row| Row(row).get("nodes")).transpose()?.unwrap_or(1);
    let part = SHARDS.div_ceil(usize::try_from(nodes).unwrap_or(1).max(1));
    let wanted = part.saturating_sub(owned(tx, node).await?.len());
    if wanted > 0 {
        let sql = format!(
            "UPDATE shards SET node_key = {} WHERE shard IN (
               SELECT shard FROM shards s WHERE NOT EXISTS (
                 SELECT 1 FROM nodes n WHERE n.node_key = s.node_key)
               ORDER BY shard LIMIT {wanted})",
            node.0
        );
        tx.execute_unprepared(&sql).await?;
    }
    Ok((Some(part), gone > 0))
}

async fn owned(on: &impl ConnectionTrait, node: NodeKey) -> std::result::Result<Shards, Failure> {
    let rows = query(on, "SELECT shard FROM shards WHERE node_key = $1", [node.0.into()]).await?;
    let shards = rows.iter().map(|row| {
        let shard: i16 = Row(row).get("shard")?;
        u8::try_from(shard).map(Shard).map_err(|_| corrupt("shard"))
    });
    Ok(shards.collect::<std::result::Result<_, _>>()?)
}

fn list(shards: &Shards) -> String {
    shards.iter().fold(String::new(), |mut list, shard| {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a text does not fail.
        let _ = write!(list, "{comma}{}", shard.0);
        list
    })
}
