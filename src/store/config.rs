//! A tenant's configuration as its index follows it: what changed since a version.

use sea_orm::DbErr;

use super::{Store, WriteTx, event_types, failure::Failure, rows::Row, webhooks};
use crate::domain::{
    error::Result, event_metadata::EventMetadata, id::TenantKey, tenant::TenantSettings,
    webhook::Webhook,
};

/// What changed of a tenant's configuration.
#[derive(Debug)]
pub struct ConfigChanges {
    /// The version that this leads to.
    pub version: i64,
    /// What is set of the tenant.
    pub settings: TenantSettings,
    /// Webhooks that were made, changed or deleted.
    pub webhooks: Vec<Webhook>,
    /// Event types that were made or changed (`true`) or deleted (`false`).
    pub event_types: Vec<(EventMetadata, bool)>,
}

impl Store {
    /// What changed after version `since`; everything that ever was after 0.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn config_since(&self, tenant: TenantKey, since: i64) -> Result<ConfigChanges> {
        Ok(self.read_config(tenant, since).await?)
    }

    async fn read_config(
        &self,
        tenant: TenantKey,
        since: i64,
    ) -> std::result::Result<ConfigChanges, Failure> {
        // The version is read first: what changes meanwhile is seen now and again
        // by the next call, never missed.
        let sql = "SELECT config_version, settings FROM tenants WHERE tenant_key = $1";
        let rows = self.query(sql, [tenant.0.into()]).await?;
        let (version, settings) = match rows.first().map(Row) {
            Some(row) => (row.get("config_version")?, row.json("settings")?),
            None => (since, TenantSettings::default()),
        };

        let sql = format!(
            "SELECT {} FROM webhooks WHERE tenant_key = $1 AND config_version > $2",
            webhooks::COLUMNS
        );
        let rows = self.query(&sql, [tenant.0.into(), since.into()]).await?;
        let webhooks = rows.iter().map(|row| webhooks::read(&Row(row), &self.secret_keys));
        let webhooks = webhooks.collect::<std::result::Result<_, DbErr>>()?;

        let sql = format!(
            "SELECT {} FROM event_types WHERE tenant_key = $1 AND config_version > $2",
            event_types::COLUMNS
        );
        let rows = self.query(&sql, [tenant.0.into(), since.into()]).await?;
        let event_types = rows.iter().map(|row| event_types::read(&Row(row)));
        let event_types = event_types.collect::<std::result::Result<_, DbErr>>()?;
        Ok(ConfigChanges { version, settings, webhooks, event_types })
    }
}

/// Raises the tenant's configuration version: publishes that were matched before
/// are matched again. To be done first, before anything else of the tenant is locked.
pub(super) async fn raise(tx: &WriteTx, tenant: TenantKey) -> std::result::Result<i64, Failure> {
    tx.change(tenant).await?;
    let sql = "UPDATE tenants SET config_version = config_version + 1 WHERE tenant_key = $1
               RETURNING config_version";
    let rows = tx.query(sql, [tenant.0.into()]).await?;
    let row = rows.first().ok_or_else(|| super::failure::corrupt("tenant: it has no row"))?;
    Ok(Row(row).get("config_version")?)
}
