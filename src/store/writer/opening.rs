//! What transactions decide on is kept from being changed first, and then read: on a server
//! each is one statement, however much it is for, as each is a turn to the server and back.

use std::collections::BTreeSet;

use super::{Lock, WriteTx};
use crate::{
    domain::id::TenantKey,
    store::{
        NodeKey,
        dialect::Dialect,
        failure::{Failure, corrupt},
    },
};

/// A tenant's row as far as the hot path needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TenantRow {
    pub(super) config_version: i64,
    /// Whether deliveries of earlier events are left for later.
    pub(super) expanding: bool,
}

/// Stands for the version in rows that bring the key of an event instead of a tenant.
const EVENT_KEY: i64 = -1;

impl WriteTx {
    /// Keeps the configuration of these tenants, in the order of their keys, from being changed
    /// until the end, and fences: keeps the others from giving up these nodes. What is read of a
    /// configuration afterwards stays so.
    ///
    /// # Errors
    ///
    /// [`Failure::Fenced`] where a node was given up.
    pub(in crate::store) async fn hold(
        &self,
        tenants: impl IntoIterator<Item = TenantKey>,
        nodes: impl IntoIterator<Item = NodeKey>,
    ) -> Result<(), Failure> {
        // There it is one transaction at a time, of the only node.
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let tenants: BTreeSet<_> = tenants.into_iter().map(|tenant| tenant.0).collect();
        let nodes = nodes.into_iter().filter(|node| *node != NodeKey::SOLE);
        let nodes: BTreeSet<_> = nodes.map(|node| node.0).collect();
        let count = nodes.len() as i64;
        let values = [
            (Lock::Config as i32).into(),
            self.dialect().list(tenants),
            self.dialect().list(nodes),
        ];
        let sql = "SELECT
             (SELECT COUNT(pg_advisory_xact_lock_shared($1, (key & 2147483647)::integer))
              FROM unnest($2::bigint[]) AS key),
             (SELECT COUNT(*) FROM (
               SELECT 1 FROM nodes WHERE node_key = ANY($3::bigint[])
               ORDER BY node_key FOR KEY SHARE) AS held)";
        match self.numbers(sql, values).await?[..] {
            [[_, held]] if held == count => Ok(()),
            _ => Err(Failure::Fenced),
        }
    }

    /// Reads the rows of tenants, and takes keys for so many events along with them, where the
    /// database counts.
    pub(super) async fn read(
        &mut self,
        tenants: impl IntoIterator<Item = TenantKey>,
        events: usize,
    ) -> Result<(), Failure> {
        let mut sql = format!(
            "SELECT tenant_key, config_version, (SELECT COUNT(*) FROM (
               SELECT 1 FROM expansions x WHERE x.tenant_key = t.tenant_key LIMIT 1) AS any_part)
               AS expanding
             FROM tenants t WHERE {}",
            self.dialect().is_in("t.tenant_key", "$1")
        );
        let unknown = |tenant: &TenantKey| !self.known.tenants.contains_key(tenant);
        let tenants: Vec<_> = tenants.into_iter().filter(unknown).map(|tenant| tenant.0).collect();
        if self.dialect() == Dialect::Sqlite && tenants.is_empty() {
            return Ok(());
        }
        let tenants = self.dialect().list(tenants);
        let mut values = vec![tenants];
        if self.dialect() == Dialect::Postgres {
            sql += &format!(
                " UNION ALL SELECT nextval('event_keys'), {EVENT_KEY}, 0
                  FROM generate_series(1, $2)"
            );
            values.push((events as i64).into());
        }
        for [key, config_version, parts] in self.numbers(&sql, values).await? {
            if config_version == EVENT_KEY {
                self.event_keys.push_back(key);
                continue;
            }
            self.known
                .tenants
                .insert(TenantKey(key), TenantRow { config_version, expanding: parts > 0 });
        }
        Ok(())
    }

    /// A tenant's row, read once per transaction.
    pub(super) async fn tenant(&mut self, tenant: TenantKey) -> Result<&mut TenantRow, Failure> {
        if !self.known.tenants.contains_key(&tenant) {
            self.read([tenant], 0).await?;
        }
        Ok(self.known.tenants.get_mut(&tenant).ok_or_else(|| corrupt("tenant: it has no row"))?)
    }

    /// Keys for so many events, rising: each is greater than those of all events that were
    /// committed before.
    pub(super) async fn event_keys(&mut self, count: usize) -> Result<Vec<i64>, Failure> {
        if let Some(filing) = &mut self.filing {
            return Ok(filing.next_events(count));
        }
        let missing = count.saturating_sub(self.event_keys.len());
        if missing > 0 {
            self.read([], missing).await?;
        }
        match self.event_keys.len() {
            had if had < count => Err(corrupt("event keys: there are too few").into()),
            _ => Ok(self.event_keys.drain(..count).collect()),
        }
    }
}
