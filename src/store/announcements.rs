//! What a change of a webhook's state tells others, written in the change's own
//! transaction: so it is told if and only if it happened, and once.

use std::sync::Arc;

use sea_orm::DbErr;

use super::{
    WriteTx,
    failure::{Failure, corrupt},
    notices,
    rows::Row,
    secrets::SecretKeys,
    webhooks,
    writer::{NewEvent, Target},
};
use crate::domain::{
    id::{EventId, TenantId, TenantKey},
    state_change::StateChange,
    subscription,
    webhook::Webhook,
};

/// Writes the event of a change with its deliveries, and the e-mails.
pub(super) async fn write(
    tx: &mut WriteTx,
    keys: &SecretKeys,
    change: &StateChange<'_>,
    tenant: TenantKey,
) -> Result<(), Failure> {
    let rows =
        tx.query("SELECT tenant_id FROM tenants WHERE tenant_key = $1", [tenant.0.into()]).await?;
    let row = rows.first().ok_or_else(|| corrupt("tenant: it has no row"))?;
    let tenant_id: TenantId = Row(row).id("tenant_id")?;
    if is_active(tx, tenant, change.event_name()).await? {
        let event = change.event(&tenant_id, EventId::new(change.time(), rand::random()));
        let subscribed = subscribed(tx, keys, tenant, change.event_name()).await?;
        let targets = subscribed.iter().filter(|webhook| change.reaches(webhook, &event));
        let targets = targets.map(|webhook| {
            let spec = &webhook.spec;
            Target {
                webhook_key: webhook.key,
                sla_due_time: (!spec.sla.is_zero()).then(|| event.ingest_time.plus(spec.sla)),
                order: spec.delivery_order.key(&event.ordering_key),
            }
        });
        let targets = targets.collect();
        tx.publish(tenant, &NewEvent { event: Arc::new(event), targets }).await?;
    }
    if !change.addresses().is_empty() {
        let mail = change.mail(&tenant_id);
        for address in change.addresses() {
            notices::insert_mail(tx, change, address, &mail).await?;
        }
    }
    Ok(())
}

/// A tenant can switch a standard event type off.
async fn is_active(tx: &WriteTx, tenant: TenantKey, name: &str) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM event_types WHERE tenant_key = $1 AND event_name = $2
               AND NOT active AND delete_time IS NULL";
    Ok(tx.query(sql, [tenant.0.into(), name.into()]).await?.is_empty())
}

/// The webhooks whose event names cover that of a state event, in key order.
async fn subscribed(
    tx: &WriteTx,
    keys: &SecretKeys,
    tenant: TenantKey,
    name: &str,
) -> Result<Vec<Webhook>, Failure> {
    let sql = format!(
        "SELECT {} FROM webhooks
         WHERE tenant_key = $1 AND hears_states AND delete_time IS NULL ORDER BY webhook_key",
        webhooks::COLUMNS
    );
    let rows = tx.query(&sql, [tenant.0.into()]).await?;
    let webhooks = rows.iter().map(|row| webhooks::read(&Row(row), keys));
    let mut webhooks = webhooks.collect::<Result<Vec<_>, DbErr>>()?;
    webhooks.retain(|w| w.spec.event_names.iter().any(|pattern| subscription::fits(pattern, name)));
    Ok(webhooks)
}
