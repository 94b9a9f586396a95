//! Webhooks as Socotra writes them.

use serde::Serialize;
use serde_json::Value;

use super::{
    endpoint::{self, Endpoint},
    failures::{self, Failures},
};
use crate::{
    domain::{
        body::PayloadFormat,
        error::Faults,
        webhook::{Webhook, WebhookSpec},
    },
    http::members::Members,
};

/// Reads the webhook that a request makes.
pub(super) fn read_new(body: Value, faults: &mut Faults) -> WebhookSpec {
    let mut members = Members::of(body, "", faults);
    let definition = Definition {
        name: members.text("name", faults),
        enabled: members.truth("enabled", faults),
        endpoint: Endpoint::read_new(&mut members, faults),
        failures: Failures::read_new(&mut members, faults),
        added_types: members.texts("eventTypes", faults).unwrap_or_default(),
        ..Definition::default()
    };
    refuse_unknown(&members, faults);
    let mut new = WebhookSpec { payload_format: PayloadFormat::Socotra, ..WebhookSpec::default() };
    failures::reset(&mut new);
    definition.change(&new, faults)
}

/// What a request says of a webhook; what it does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    name: Option<String>,
    enabled: Option<bool>,
    endpoint: Endpoint,
    failures: Failures,
    remove_failures: bool,
    added_types: Vec<String>,
    removed_types: Vec<String>,
}

impl Definition {
    /// Reads a change.
    pub(super) fn read_change(body: Value, faults: &mut Faults) -> Self {
        let mut members = Members::of(body, "", faults);
        let definition = Self {
            name: members.text("name", faults),
            enabled: members.truth("enabled", faults),
            endpoint: Endpoint::read_change(&mut members, faults),
            failures: Failures::read_change(&mut members, faults),
            remove_failures: members.truth("removeFailureHandling", faults).unwrap_or(false),
            added_types: members.texts("addEventTypes", faults).unwrap_or_default(),
            removed_types: members.texts("removeEventTypes", faults).unwrap_or_default(),
        };
        refuse_unknown(&members, faults);
        definition
    }

    /// A webhook with what the request says changed: removals first, then additions, so
    /// that what is named in both is there afterwards.
    pub(super) fn change(&self, current: &WebhookSpec, faults: &mut Faults) -> WebhookSpec {
        let mut spec = current.clone();
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        spec.enabled = self.enabled.unwrap_or(spec.enabled);
        self.endpoint.change(&mut spec, faults);
        if self.remove_failures {
            failures::reset(&mut spec);
        }
        self.failures.change(&mut spec, faults);
        let names = &mut spec.event_names;
        names.retain(|name| !self.removed_types.contains(name));
        let missing = self.added_types.iter().filter(|name| !names.contains(name));
        let missing: Vec<_> = missing.cloned().collect();
        names.extend(missing);
        spec
    }
}

fn refuse_unknown(members: &Members, faults: &mut Faults) {
    for unknown in members.unknown() {
        faults.invalid(unknown, "is not known");
    }
}

/// A webhook as an answer has it: `WebhookResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    locator: String,
    name: String,
    enabled: bool,
    endpoint: endpoint::Shown,
    failure_handling: failures::Shown,
    suspended: bool,
    suspended_at: Option<String>,
    event_types: Vec<String>,
}

impl Shown {
    pub(super) fn of(webhook: &Webhook) -> Self {
        let spec = &webhook.spec;
        let suspension = webhook.suspension.as_ref();
        Self {
            locator: webhook.webhook_id.to_string(),
            name: spec.name.clone(),
            enabled: spec.enabled,
            endpoint: endpoint::Shown::of(&spec.destination, spec.signing.as_ref()),
            failure_handling: failures::Shown::of(spec),
            suspended: suspension.is_some(),
            suspended_at: suspension.map(|suspension| suspension.suspend_time.rfc3339()),
            event_types: spec.event_names.clone(),
        }
    }
}
