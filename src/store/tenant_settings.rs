//! What is set of tenants, and what of it the store can count.

use std::time::Duration;

use sea_orm::{DbErr, Value};

use super::{Store, config, failure::Failure, rows::Row};
use crate::domain::{
    actor::{Actor, Attribution},
    error::Result,
    id::{TenantId, TenantKey},
    tenant::{Tenant, TenantSettings},
};

const COLUMNS: &str = "tenant_key, tenant_id, settings, version, attribution, create_time";

fn read(row: &Row<'_>) -> std::result::Result<Tenant, DbErr> {
    let made = Attribution::new(row.time("create_time")?, Actor::system());
    Ok(Tenant {
        key: TenantKey(row.get("tenant_key")?),
        id: row.id("tenant_id")?,
        settings: row.json("settings")?,
        version: row.get("version")?,
        attribution: row.optional_json("attribution")?.unwrap_or(made),
    })
}

impl Store {
    /// A tenant with its settings.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn tenant_settings(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let sql = format!("SELECT {COLUMNS} FROM tenants WHERE tenant_id = $1");
        Ok(self.read_tenants(&sql, [id.as_str().into()]).await?.pop())
    }

    /// Up to `limit` tenants whose ids come after `after`, by id.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn tenants_after(&self, after: &str, limit: usize) -> Result<Vec<Tenant>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tenants WHERE tenant_id > $1 ORDER BY tenant_id LIMIT {limit}"
        );
        self.read_tenants(&sql, [after.into()]).await
    }

    async fn read_tenants<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<Vec<Tenant>> {
        let rows = self.query(sql, values).await?;
        let tenants: std::result::Result<_, DbErr> =
            rows.iter().map(|row| read(&Row(row))).collect();
        Ok(tenants.map_err(Failure::from)?)
    }

    /// Writes a tenant over the version before its own; false where somebody was faster.
    /// Its configuration version rises, so that all nodes hear of it.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn update_tenant(&self, tenant: &Tenant) -> Result<bool> {
        Ok(self.write_tenant(tenant).await?)
    }

    async fn write_tenant(&self, tenant: &Tenant) -> std::result::Result<bool, Failure> {
        let json = |text: serde_json::Result<String>| text.map_err(|e| DbErr::Json(e.to_string()));
        let tx = self.begin().await?;
        config::raise(&tx, tenant.key).await?;
        let sql = "UPDATE tenants SET settings = $1, attribution = $2, version = $3
                   WHERE tenant_key = $4 AND version = $5";
        let values: [Value; 5] = [
            json(serde_json::to_string(&tenant.settings))?.into(),
            json(serde_json::to_string(&tenant.attribution))?.into(),
            tenant.version.into(),
            tenant.key.0.into(),
            (tenant.version - 1).into(),
        ];
        if tx.execute(sql, values).await? == 0 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// All tenants, with the retention of those that have one of their own.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn retentions(&self) -> Result<Vec<(TenantKey, Option<Duration>)>> {
        let rows =
            self.query("SELECT tenant_key, settings FROM tenants ORDER BY tenant_key", []).await?;
        let read = |row| -> std::result::Result<_, DbErr> {
            let row = Row(row);
            let settings: TenantSettings = row.json("settings")?;
            Ok((TenantKey(row.get("tenant_key")?), settings.retention))
        };
        let all: std::result::Result<_, DbErr> = rows.iter().map(read).collect();
        Ok(all.map_err(Failure::from)?)
    }

    /// How many deliveries of a tenant are to be made, counted up to `most`.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn waiting_deliveries(&self, tenant: TenantKey, most: u64) -> Result<u64> {
        // The two conditions are those of the partial indexes of what waits and what is due.
        let join = self.dialect().ordered_join();
        let sql = format!(
            "SELECT COUNT(*) AS waiting FROM (
               SELECT 1 FROM webhooks w {join} deliveries d ON d.webhook_key = w.webhook_key
                 AND d.status = 1 AND d.due_time IS NULL WHERE w.tenant_key = $1
               UNION ALL
               SELECT 1 FROM webhooks w {join} deliveries d ON d.webhook_key = w.webhook_key
                 AND d.due_time IS NOT NULL WHERE w.tenant_key = $1
               LIMIT {most}) AS counted"
        );
        let rows = self.query(&sql, [tenant.0.into()]).await?;
        let count = rows.first().map(|row| Row(row).get::<i64>("waiting")).transpose();
        Ok(u64::try_from(count.map_err(Failure::from)?.unwrap_or(0)).unwrap_or(0))
    }
}
