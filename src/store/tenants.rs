//! Tenants.

use super::{Store, failure::Failure, rows::Row};
use crate::domain::{
    error::Result,
    id::{Position, TenantId, TenantKey},
    time::Timestamp,
};

/// A tenant as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its key.
    pub key: TenantKey,
    /// Rises with each change of its webhooks and event types.
    pub config_version: i64,
}

/// A tenant, and what of it changes all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantState {
    /// Its key.
    pub key: TenantKey,
    /// Its id.
    pub id: TenantId,
    /// Rises with each change of its webhooks and event types.
    pub config_version: i64,
    /// The newest entry of its journal.
    pub head: Position,
}

impl Store {
    /// Finds a tenant by its id.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>> {
        Ok(self.find_tenant(id).await?)
    }

    async fn find_tenant(&self, id: &TenantId) -> std::result::Result<Option<Tenant>, Failure> {
        let sql = "SELECT tenant_key, config_version FROM tenants WHERE tenant_id = $1";
        let rows = self.query(sql, [id.as_str().into()]).await?;
        let read = |row| -> std::result::Result<Tenant, Failure> {
            let row = Row(row);
            Ok(Tenant {
                key: TenantKey(row.get("tenant_key")?),
                config_version: row.get("config_version")?,
            })
        };
        rows.first().map(read).transpose()
    }

    /// Finds a tenant, making it where it does not exist.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn ensure_tenant(&self, id: &TenantId, now: Timestamp) -> Result<Tenant> {
        if let Some(tenant) = self.tenant(id).await? {
            return Ok(tenant);
        }
        self.insert_tenant(id, now).await?;
        self.tenant(id).await?.ok_or_else(crate::domain::error::Error::store_unavailable)
    }

    /// Makes a tenant and its journal, where nobody was faster.
    async fn insert_tenant(
        &self,
        id: &TenantId,
        now: Timestamp,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        let sql = "INSERT INTO tenants (tenant_id, create_time) VALUES ($1, $2)
                   ON CONFLICT (tenant_id) DO NOTHING";
        tx.execute(sql, [id.as_str().into(), now.micros().into()]).await?;
        let sql = "INSERT INTO journal_heads (tenant_key)
                   SELECT tenant_key FROM tenants WHERE tenant_id = $1
                   ON CONFLICT (tenant_key) DO NOTHING";
        tx.execute(sql, [id.as_str().into()]).await?;
        tx.commit().await
    }

    /// All tenants, as they are now. Who watches their journals is told as well.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn tenant_states(&self) -> Result<Vec<TenantState>> {
        let sql = "SELECT t.tenant_key, tenant_id, config_version, head FROM tenants t
                   JOIN journal_heads h ON h.tenant_key = t.tenant_key";
        let rows = self.query(sql, []).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            let (key, head) = (TenantKey(row.get("tenant_key")?), Position(row.get("head")?));
            self.heads.raise(key, head);
            let config_version = row.get("config_version")?;
            Ok(TenantState { key, id: row.id("tenant_id")?, config_version, head })
        };
        Ok(rows.iter().map(read).collect::<std::result::Result<_, _>>()?)
    }

    /// All tenants.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn tenants(&self) -> Result<Vec<(TenantKey, TenantId)>> {
        let rows =
            self.query("SELECT tenant_key, tenant_id FROM tenants ORDER BY tenant_key", []).await?;
        let read = |row| -> std::result::Result<_, Failure> {
            let row = Row(row);
            Ok((TenantKey(row.get("tenant_key")?), row.id("tenant_id")?))
        };
        Ok(rows.iter().map(read).collect::<std::result::Result<_, _>>()?)
    }
}
