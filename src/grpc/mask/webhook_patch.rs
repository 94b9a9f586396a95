//! An update of a webhook, ready to be applied to whatever is stored: removals
//! first, then the mask, then additions.

use std::collections::HashSet;

use super::{
    Mask, read_mask,
    webhook_fields::{FIELDS, OTHERS},
};
use crate::{
    domain::{error::Faults, webhook::WebhookSpec},
    grpc::{
        convert::webhook::{definition, read_webhook},
        proto::{HttpHeader, UpdateWebhookRequest, Webhook, destination::Kind},
    },
};

/// What an UpdateWebhook request changes.
pub(crate) struct WebhookPatch {
    given: Webhook,
    mask: Mask<Webhook>,
    remove_event_names: HashSet<String>,
    add_event_names: Vec<String>,
    remove_headers: Vec<String>,
    add_headers: Vec<HttpHeader>,
    remove_failure_handling: bool,
    /// Faults that do not depend on what is stored.
    faults: Faults,
}

impl WebhookPatch {
    /// Reads the request; `faults` are those found before.
    pub(crate) fn new(request: UpdateWebhookRequest, mut faults: Faults) -> Self {
        let UpdateWebhookRequest {
            tenant_id: _,
            webhook,
            update_mask,
            remove_event_names,
            add_event_names,
            remove_headers,
            add_headers,
            remove_failure_handling,
            validate_only: _,
        } = request;
        Self {
            given: webhook.unwrap_or_default(),
            mask: read_mask(update_mask.as_ref(), FIELDS, &OTHERS, &mut faults),
            remove_event_names: remove_event_names.into_iter().collect(),
            add_event_names,
            remove_headers,
            add_headers,
            remove_failure_handling,
            faults,
        }
    }

    /// The definition that `current` becomes.
    pub(crate) fn apply(&self, current: &WebhookSpec, faults: &mut Faults) -> WebhookSpec {
        faults.append(self.faults.clone());
        let mut merged = definition(current);
        self.remove(&mut merged);
        self.mask.write(&mut merged, &self.given);
        self.add(&mut merged);
        read_webhook(&merged, Some(current), faults)
    }

    fn remove(&self, webhook: &mut Webhook) {
        if self.remove_failure_handling {
            webhook.failure_handling = None;
        }
        webhook.event_names.retain(|name| !self.remove_event_names.contains(name));
        if let Some(headers) = headers(webhook) {
            headers.retain(|h| !self.remove_headers.iter().any(|name| same_name(name, &h.name)));
        }
    }

    fn add(&self, webhook: &mut Webhook) {
        let mut present: HashSet<String> = webhook.event_names.iter().cloned().collect();
        for name in &self.add_event_names {
            if present.insert(name.clone()) {
                webhook.event_names.push(name.clone());
            }
        }
        if let Some(headers) = headers(webhook) {
            headers
                .retain(|h| !self.add_headers.iter().any(|added| same_name(&added.name, &h.name)));
            headers.extend(self.add_headers.iter().cloned());
        }
    }
}

/// The headers of an HTTP destination. Another kind is refused as a whole.
fn headers(webhook: &mut Webhook) -> Option<&mut Vec<HttpHeader>> {
    match webhook.destination.as_mut()?.kind.as_mut()? {
        Kind::Http(http) => Some(&mut http.headers),
        Kind::Queue(_) => None,
    }
}

fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
#[path = "webhook_patch_tests.rs"]
mod tests;
