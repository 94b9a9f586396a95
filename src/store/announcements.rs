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
    event::Event,
    id::{EventId, TenantId, TenantKey},
    state_change::{self, StateChange},
    subscription,
    webhook::Webhook,
};

/// Writes the events of a change with their deliveries, and the e-mails.
pub(super) async fn write(
    tx: &mut WriteTx,
    keys: &SecretKeys,
    before: &Webhook,
    after: &Webhook,
) -> Result<(), Failure> {
    if before.state() == after.state() && before.suspension == after.suspension {
        return Ok(());
    }
    let tenant = after.tenant_key;
    let rows =
        tx.query("SELECT tenant_id FROM tenants WHERE tenant_key = $1", [tenant.0.into()]).await?;
    let row = rows.first().ok_or_else(|| corrupt("tenant: it has no row"))?;
    let tenant_id: TenantId = Row(row).id("tenant_id")?;
    let new_id = |time| EventId::new(time, rand::random());
    for event in state_change::events(before, after, &tenant_id, new_id) {
        publish(tx, keys, after, event).await?;
    }
    if let Some(change) = StateChange::between(before, after)
        && !change.addresses().is_empty()
    {
        let mail = change.mail(&tenant_id);
        for address in change.addresses() {
            notices::insert_mail(tx, &change, address, &mail).await?;
        }
    }
    Ok(())
}

/// Publishes the event of a webhook's change to the others, unless its type is switched off.
async fn publish(
    tx: &mut WriteTx,
    keys: &SecretKeys,
    changed: &Webhook,
    event: Event,
) -> Result<(), Failure> {
    let tenant = changed.tenant_key;
    if !is_active(tx, tenant, &event.event_name).await? {
        return Ok(());
    }
    let subscribed = subscribed(tx, keys, tenant, &event.event_name).await?;
    let reached =
        subscribed.iter().filter(|other| state_change::reaches(changed.key, other, &event));
    let targets = reached.map(|webhook| {
        let spec = &webhook.spec;
        Target {
            webhook_key: webhook.key,
            sla_due_time: (!spec.sla.is_zero()).then(|| event.ingest_time.plus(spec.sla)),
            order: spec.delivery_order.key(&event.ordering_key),
        }
    });
    let targets = targets.collect();
    tx.publish(tenant, &NewEvent { event: Arc::new(event), targets }).await?;
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
