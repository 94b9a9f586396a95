//! Webhooks as answers of this dialect have them.

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::{
    definition::{HTTP, METHODS},
    time,
};
use crate::domain::{
    actor::{Actor, Attribution},
    retry::Waits,
    webhook::{Header, Webhook, WebhookSpec},
};

/// A webhook. The members come in the order of the documented answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    attribution: ShownAttribution,
    web_hook_id: String,
    name: String,
    event_names: Vec<String>,
    web_hook_url: String,
    web_hook_type: &'static str,
    method_type: &'static str,
    #[serde(serialize_with = "as_object")]
    web_hook_headers: Vec<Header>,
    no_of_retry_attempts: u32,
    max_allowed_connections: u32,
    active: bool,
    sla_in_seconds: u64,
    consumer_group_id: String,
    till_details_enrichment_enabled: bool,
    store_details_enrichment_enabled: bool,
    customer_identifiers_to_be_enriched: Vec<String>,
    awarded_reference_enrichment_enabled: bool,
    available_points_balance_enrichment_enabled: bool,
}

impl Shown {
    /// Values of sensitive headers are masked.
    pub(super) fn of(webhook: &Webhook, zone: &TimeZone) -> Self {
        let WebhookSpec { destination, sla, enrichment, .. } = &webhook.spec;
        let method = METHODS.iter().find(|(_, method)| *method == destination.method);
        Self {
            attribution: ShownAttribution::of(&webhook.attribution, zone),
            web_hook_id: webhook.webhook_id.to_string(),
            name: webhook.spec.name.clone(),
            event_names: webhook.spec.event_names.clone(),
            web_hook_url: destination.url.clone(),
            web_hook_type: HTTP,
            method_type: method.map_or("POST", |(name, _)| name),
            web_hook_headers: destination.headers.iter().map(Header::masked).collect(),
            no_of_retry_attempts: retries(&webhook.spec),
            max_allowed_connections: webhook.spec.max_allowed_connections,
            active: webhook.spec.enabled,
            // Part of a second is not shown as none, which would mean no SLA.
            sla_in_seconds: sla.as_secs() + u64::from(sla.subsec_nanos() > 0),
            consumer_group_id: webhook.consumer_group_id.to_string(),
            till_details_enrichment_enabled: enrichment.till_details,
            store_details_enrichment_enabled: enrichment.store_details,
            customer_identifiers_to_be_enriched: enrichment.customer_identifiers.clone(),
            awarded_reference_enrichment_enabled: enrichment.awarded_reference,
            available_points_balance_enrichment_enabled: enrichment.available_points_balance,
        }
    }

    /// The same webhook after it was deleted.
    #[must_use]
    pub(super) fn deleted(self) -> Self {
        Self { active: false, ..self }
    }
}

/// How many retries are asked for; 0 where their end is a matter of time.
pub(super) fn retries(spec: &WebhookSpec) -> u32 {
    let Some(policy) = &spec.retry_policy else { return 0 };
    match (policy.max_retries, &policy.waits) {
        (Some(max), _) => max,
        (None, Waits::Schedule(waits)) => u32::try_from(waits.len()).unwrap_or(u32::MAX),
        (None, Waits::Default | Waits::Backoff { .. }) => 0,
    }
}

/// Headers are an object here, in their own order; several values of one are put together.
fn as_object<S: Serializer>(headers: &[Header], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(headers.iter().map(|header| (&header.name, header.values.join(", "))))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownAttribution {
    created_on: String,
    last_updated_on: String,
    last_updated_by: ShownActor,
    created_by: ShownActor,
}

impl ShownAttribution {
    fn of(attribution: &Attribution, zone: &TimeZone) -> Self {
        let Attribution { create_time, update_time, created_by, updated_by } = attribution;
        Self {
            created_on: time::show(*create_time, zone),
            last_updated_on: time::show(*update_time, zone),
            last_updated_by: ShownActor::of(updated_by),
            created_by: ShownActor::of(created_by),
        }
    }
}

#[derive(Serialize)]
struct ShownActor {
    id: i64,
    code: String,
    description: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl ShownActor {
    fn of(actor: &Actor) -> Self {
        let Actor { id, code, description, name, kind } = actor.clone();
        Self { id, code, description, name, kind }
    }
}
