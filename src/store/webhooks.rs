//! Webhooks, their tombstones, and the headers that the log shows.

use sea_orm::{DbErr, Value};
use uuid::Uuid;

use super::{
    NewJob, Store, WriteTx, announcements, config,
    failure::{Failure, is_duplicate},
    jobs,
    rows::Row,
    secrets::{Place, SecretKeys},
    standings,
};
use crate::domain::{
    actor::Attribution,
    diverted::Job,
    error::{Error, Reason, Result},
    id::{TenantKey, WebhookId, WebhookKey},
    notification::masked_headers,
    state_change,
    webhook::{Webhook, WebhookSpec},
};

pub(super) const COLUMNS: &str = "webhook_key, tenant_key, webhook_id, number, consumer_group_id, \
    spec, suspension, holds, attribution, version, delete_time";

/// A webhook to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Its public id.
    pub webhook_id: WebhookId,
    /// Its delivery queue.
    pub consumer_group_id: Uuid,
    /// What its owner decided.
    pub spec: WebhookSpec,
    /// Who makes it, and when.
    pub attribution: Attribution,
}

pub(super) fn read(row: &Row<'_>, keys: &SecretKeys) -> std::result::Result<Webhook, DbErr> {
    let (tenant_key, webhook_id) = (TenantKey(row.get("tenant_key")?), row.id("webhook_id")?);
    Ok(Webhook {
        key: WebhookKey(row.get("webhook_key")?),
        tenant_key,
        webhook_id,
        number: row.get("number")?,
        consumer_group_id: row.get("consumer_group_id")?,
        spec: keys.open_json(&Place::spec(tenant_key, webhook_id), row.get("spec")?)?,
        suspension: row.optional_json("suspension")?,
        holds: row.json("holds")?,
        version: row.get("version")?,
        attribution: row.json("attribution")?,
        delete_time: row.optional_time("delete_time")?,
    })
}

fn json<T: serde::Serialize>(value: &T) -> std::result::Result<Value, Failure> {
    Ok(serde_json::to_string(value).map_err(|e| DbErr::Json(e.to_string()))?.into())
}

impl Store {
    /// Makes a webhook.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NAME_TAKEN`, `STORE_UNAVAILABLE`.
    pub async fn create_webhook(
        &self,
        tenant: TenantKey,
        new: NewWebhook,
        answer_to: Option<&super::idempotency::Key<'_>>,
    ) -> Result<Webhook> {
        Ok(self.insert_webhook(tenant, new, answer_to).await?)
    }

    async fn insert_webhook(
        &self,
        tenant: TenantKey,
        new: NewWebhook,
        answer_to: Option<&super::idempotency::Key<'_>>,
    ) -> std::result::Result<Webhook, Failure> {
        let tx = self.begin().await?;
        let config_version = config::raise(&tx, tenant).await?;
        let sql = "UPDATE tenants SET last_webhook_number = last_webhook_number + 1
                   WHERE tenant_key = $1 RETURNING last_webhook_number";
        let rows = tx.query(sql, [tenant.0.into()]).await?;
        let number: i32 = match rows.first() {
            Some(row) => Row(row).get("last_webhook_number")?,
            None => return Err(super::failure::corrupt("tenant: it has no row").into()),
        };
        let sql = "INSERT INTO webhooks (tenant_key, webhook_id, number, name, consumer_group_id,
                   spec, hears_states, holds, attribution, version, config_version)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, '[]', $8, 1, $9) RETURNING webhook_key";
        let values = [
            tenant.0.into(),
            new.webhook_id.to_string().into(),
            number.into(),
            new.spec.name.as_str().into(),
            new.consumer_group_id.into(),
            self.sealed_spec(tenant, new.webhook_id, &new.spec)?,
            state_change::is_heard_by(&new.spec).into(),
            json(&new.attribution)?,
            config_version.into(),
        ];
        let rows = tx.query(sql, values).await.map_err(|e| name_taken(e, &new.spec.name))?;
        let key = match rows.first() {
            Some(row) => WebhookKey(Row(row).get("webhook_key")?),
            None => return Err(super::failure::corrupt("webhook: it has no key").into()),
        };
        let webhook = Webhook {
            key,
            tenant_key: tenant,
            webhook_id: new.webhook_id,
            number,
            consumer_group_id: new.consumer_group_id,
            spec: new.spec,
            suspension: None,
            holds: Vec::new(),
            version: 1,
            attribution: new.attribution,
            delete_time: None,
        };
        keep_headers(&tx, &webhook).await?;
        if let Some(key) = answer_to {
            super::idempotency::remember(
                &tx,
                &self.secret_keys,
                tenant,
                key,
                &webhook,
                webhook.attribution.create_time,
            )
            .await?;
        }
        tx.commit().await?;
        Ok(webhook)
    }

    /// Replaces what `before` was by `after`, if nobody was faster.
    ///
    /// # Errors
    ///
    /// `ETAG_MISMATCH` where the stored version is not `before`'s any more,
    /// `WEBHOOK_NAME_TAKEN`, `STORE_UNAVAILABLE`.
    pub async fn update_webhook(&self, before: &Webhook, after: Webhook) -> Result<Webhook> {
        Ok(self.replace_webhook(before, after, None).await?.0)
    }

    /// Changes a webhook and makes a job, both or none.
    ///
    /// # Errors
    ///
    /// As of [`Self::update_webhook`] and [`Self::create_job`].
    pub async fn update_webhook_with_job(
        &self,
        before: &Webhook,
        after: Webhook,
        job: NewJob,
    ) -> Result<(Webhook, Option<Job>)> {
        Ok(self.replace_webhook(before, after, Some(job)).await?)
    }

    async fn replace_webhook(
        &self,
        before: &Webhook,
        mut after: Webhook,
        job: Option<NewJob>,
    ) -> std::result::Result<(Webhook, Option<Job>), Failure> {
        after.version = before.version + 1;
        let mut tx = self.begin().await?;
        let config_version = config::raise(&tx, before.tenant_key).await?;
        let sql = "UPDATE webhooks SET name = $1, spec = $2, hears_states = $3, suspension = $4,
                   holds = $5, attribution = $6, version = $7, config_version = $8,
                   delete_time = $9
                   WHERE webhook_key = $10 AND version = $11 AND delete_time IS NULL";
        let values = [
            after.spec.name.as_str().into(),
            self.sealed_spec(before.tenant_key, before.webhook_id, &after.spec)?,
            state_change::is_heard_by(&after.spec).into(),
            match &after.suspension {
                Some(suspension) => json(suspension)?,
                None => None::<String>.into(),
            },
            json(&after.holds)?,
            json(&after.attribution)?,
            after.version.into(),
            config_version.into(),
            after.delete_time.map(|time| time.micros()).into(),
            before.key.0.into(),
            before.version.into(),
        ];
        let done = tx.execute(sql, values).await.map_err(|e| name_taken(e, &after.spec.name))?;
        if done == 0 {
            let message = "the webhook was changed meanwhile";
            return Err(Error::new(Reason::EtagMismatch, message).into());
        }
        if masked_headers(&before.spec) != masked_headers(&after.spec) {
            keep_headers(&tx, &after).await?;
        }
        if before.suspension.is_some() && after.suspension.is_none() {
            standings::forget(&tx, before.key).await?;
        }
        announcements::write(&mut tx, &self.secret_keys, before, &after).await?;
        let job = match job {
            Some(job) => Some(jobs::insert(&tx, before.tenant_key, job).await?),
            None => None,
        };
        tx.commit().await?;
        Ok((after, job))
    }

    fn sealed_spec(
        &self,
        tenant: TenantKey,
        webhook_id: WebhookId,
        spec: &WebhookSpec,
    ) -> std::result::Result<Value, DbErr> {
        Ok(self.secret_keys.seal_json(&Place::spec(tenant, webhook_id), spec)?.into())
    }

    /// A webhook, or its tombstone.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn webhook(&self, key: WebhookKey) -> Result<Option<Webhook>> {
        let sql = format!("SELECT {COLUMNS} FROM webhooks WHERE webhook_key = $1");
        let rows = self.query(&sql, [key.0.into()]).await?;
        Ok(rows
            .first()
            .map(|row| read(&Row(row), &self.secret_keys))
            .transpose()
            .map_err(Failure::from)?)
    }

    /// All webhooks that may have deliveries to make or to divert, of all tenants,
    /// tombstones among them: what the engine starts from. A page at a time, with the key
    /// of its last one. One that cannot be read is logged and holds up no other.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`.
    pub async fn webhooks_after(
        &self,
        after: WebhookKey,
        limit: usize,
    ) -> Result<(Vec<Webhook>, Option<WebhookKey>)> {
        let sql = format!(
            "SELECT {COLUMNS} FROM webhooks WHERE webhook_key > $1 ORDER BY webhook_key LIMIT $2"
        );
        let rows = self.query(&sql, [after.0.into(), (limit as i64).into()]).await?;
        let (mut webhooks, mut last) = (Vec::with_capacity(rows.len()), None);
        for row in rows.iter().map(Row) {
            let key = row.get("webhook_key").map_err(Failure::from)?;
            last = Some(WebhookKey(key));
            match read(&row, &self.secret_keys) {
                Ok(webhook) => webhooks.push(webhook),
                Err(error) => tracing::error!(webhook = key, %error, "a webhook is unreadable"),
            }
        }
        Ok((webhooks, last))
    }
}

/// Whether a webhook takes events, as the transaction sees it.
pub(super) async fn takes_events(
    tx: &WriteTx,
    keys: &SecretKeys,
    webhook: WebhookKey,
) -> std::result::Result<bool, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM webhooks WHERE webhook_key = $1");
    let rows = tx.query(&sql, [webhook.0.into()]).await?;
    let webhook = rows.first().map(|row| read(&Row(row), keys)).transpose()?;
    Ok(webhook.is_some_and(|webhook| webhook.takes_events()))
}

fn name_taken(error: DbErr, name: &str) -> Failure {
    if is_duplicate(&error, "name") {
        let message = format!("the tenant has a webhook named {name:?} already");
        return Error::field("webhook.name", Reason::WebhookNameTaken, message).into();
    }
    error.into()
}

/// Keeps the headers that attempts from this version on are shown with.
async fn keep_headers(tx: &WriteTx, webhook: &Webhook) -> std::result::Result<(), Failure> {
    let masked = masked_headers(&webhook.spec);
    let sql =
        "INSERT INTO webhook_headers (webhook_key, since_version, headers) VALUES ($1, $2, $3)";
    tx.execute(sql, [webhook.key.0.into(), webhook.version.into(), json(&masked)?]).await?;
    Ok(())
}
