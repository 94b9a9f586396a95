//! Event types: a tenant's own, and what it changed of standard ones.

use sea_orm::{DbErr, Value};

use super::{Store, config, failure::Failure, idempotency, rows::Row};
use crate::domain::{
    error::{Error, Reason, Result},
    event_metadata::{EventMetadata, EventMetadataSpec, EventOrigin, SchemaEnforcement},
    id::TenantKey,
    time::Timestamp,
};

pub(super) const COLUMNS: &str = "event_name, origin, active, description, schema_json, \
    enforcement, attribution, version, delete_time";

/// The event type, and whether it exists: a tombstone does not.
pub(super) fn read(row: &Row<'_>) -> std::result::Result<(EventMetadata, bool), DbErr> {
    let standard = EventOrigin::Standard as i32;
    let origin: i32 = row.get("origin")?;
    let event_type = EventMetadata {
        event_name: row.get("event_name")?,
        origin: if origin == standard { EventOrigin::Standard } else { EventOrigin::Custom },
        spec: EventMetadataSpec {
            active: row.get("active")?,
            description: row.get("description")?,
            schema_json: row.get("schema_json")?,
            enforcement: SchemaEnforcement::from_number(row.get("enforcement")?),
        },
        version: row.get("version")?,
        attribution: Some(row.json("attribution")?),
    };
    Ok((event_type, row.optional_time("delete_time")?.is_none()))
}

impl Store {
    /// Makes event types that do not exist.
    ///
    /// # Errors
    ///
    /// `EVENT_METADATA_EXISTS` where one does and `or_keep` is not set,
    /// `STORE_UNAVAILABLE`.
    pub async fn create_event_types(
        &self,
        tenant: TenantKey,
        new: &[EventMetadata],
        or_keep: bool,
        answer_to: Option<&idempotency::Key<'_>>,
    ) -> Result<()> {
        Ok(self.insert_event_types(tenant, new, or_keep, answer_to).await?)
    }

    async fn insert_event_types(
        &self,
        tenant: TenantKey,
        new: &[EventMetadata],
        or_keep: bool,
        answer_to: Option<&idempotency::Key<'_>>,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        let config_version = config::raise(&tx, tenant).await?;
        // A tombstone makes room; its version goes on rising, so that no etag
        // comes back.
        let sql = "INSERT INTO event_types (tenant_key, config_version, event_name, origin, active,
                   description, schema_json, enforcement, attribution, version)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)
                   ON CONFLICT (tenant_key, event_name) DO UPDATE SET
                     config_version = excluded.config_version, origin = excluded.origin,
                     active = excluded.active, description = excluded.description,
                     schema_json = excluded.schema_json, enforcement = excluded.enforcement,
                     attribution = excluded.attribution, version = event_types.version + 1,
                     delete_time = NULL
                   WHERE event_types.delete_time IS NOT NULL RETURNING version";
        for event_type in new {
            let mut values = vec![tenant.0.into(), config_version.into()];
            values.extend(columns(event_type)?);
            let rows = tx.query(sql, values).await?;
            let Some(row) = rows.first().map(Row) else {
                if or_keep {
                    continue;
                }
                let name = &event_type.event_name;
                let message = format!("the tenant has an event type {name:?} already");
                return Err(Error::new(Reason::EventMetadataExists, message).into());
            };
            if let (Some(key), Some(attribution)) = (answer_to, &event_type.attribution) {
                let answer = EventMetadata { version: row.get("version")?, ..event_type.clone() };
                let now = attribution.create_time;
                idempotency::remember(&tx, &self.secret_keys, tenant, key, &answer, now).await?;
            }
        }
        tx.commit().await
    }

    /// Replaces an event type of version `before` (0: a standard one that nobody
    /// touched), or deletes it.
    ///
    /// # Errors
    ///
    /// `ETAG_MISMATCH` where somebody was faster, `STORE_UNAVAILABLE`.
    pub async fn update_event_type(
        &self,
        tenant: TenantKey,
        before: i64,
        after: &EventMetadata,
        delete_time: Option<Timestamp>,
    ) -> Result<()> {
        Ok(self.replace_event_type(tenant, before, after, delete_time).await?)
    }

    async fn replace_event_type(
        &self,
        tenant: TenantKey,
        before: i64,
        after: &EventMetadata,
        delete_time: Option<Timestamp>,
    ) -> std::result::Result<(), Failure> {
        let tx = self.begin().await?;
        let config_version = config::raise(&tx, tenant).await?;
        let sql = "INSERT INTO event_types (tenant_key, config_version, event_name, origin, active,
                   description, schema_json, enforcement, attribution, version)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                   ON CONFLICT (tenant_key, event_name) DO UPDATE SET
                     config_version = excluded.config_version, active = excluded.active,
                     description = excluded.description, schema_json = excluded.schema_json,
                     enforcement = excluded.enforcement, attribution = excluded.attribution,
                     version = excluded.version, delete_time = $11
                   WHERE event_types.version = $12 AND event_types.delete_time IS NULL";
        let mut values = vec![tenant.0.into(), config_version.into()];
        values.extend(columns(after)?);
        values.extend([
            (before + 1).into(),
            delete_time.map(Timestamp::micros).into(),
            before.into(),
        ]);
        if tx.execute(sql, values).await? == 0 {
            let message = "the event type was changed meanwhile";
            return Err(Error::new(Reason::EtagMismatch, message).into());
        }
        tx.commit().await
    }
}

fn columns(event_type: &EventMetadata) -> std::result::Result<[Value; 7], Failure> {
    let spec = &event_type.spec;
    let attribution =
        serde_json::to_string(&event_type.attribution).map_err(|e| DbErr::Json(e.to_string()))?;
    Ok([
        event_type.event_name.as_str().into(),
        (event_type.origin as i32).into(),
        spec.active.into(),
        spec.description.as_str().into(),
        spec.schema_json.as_str().into(),
        (spec.enforcement as i32).into(),
        attribution.into(),
    ])
}
