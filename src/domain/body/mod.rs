//! Bodies: what a delivery carries, by the payload format of its webhook.
//!
//! Pure functions of an event and a [`Recipe`], so that a retry sends the very same
//! bytes. They compose text: what a publisher wrote is never parsed and written anew.

mod cloudevents;
mod notification;
mod socotra;
mod sonar;
mod superoffice;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use self::cloudevents::check_properties as check_extensions;
use super::{enrichment::Enrichment, event::Event, id::TenantId, webhook::WebhookSpec};

/// Shape of the request body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadFormat {
    /// The v3 notification.
    #[default]
    Event,
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
    /// The payload alone.
    Raw,
    /// The SuperOffice notification.
    SuperOffice,
    /// The Sonar notification.
    Sonar,
    /// The Socotra `EventResponse`.
    Socotra,
}

impl PayloadFormat {
    /// Content type of a body that no header of the webhook names otherwise.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            Self::Event | Self::Raw | Self::SuperOffice | Self::Sonar | Self::Socotra => {
                "application/json"
            }
        }
    }
}

/// All that a body depends on besides its event. Webhooks of equal recipes get
/// equal bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    format: PayloadFormat,
    /// A JSON object that is not empty.
    properties: Option<Arc<str>>,
    /// Which blocks of an event are part of its bodies.
    enrichment: Enrichment,
    /// Empty but for the format that tells it.
    webhook_name: String,
}

impl Recipe {
    /// The recipe of a webhook's bodies.
    pub fn new(spec: &WebhookSpec) -> Self {
        let named = spec.payload_format == PayloadFormat::SuperOffice;
        Self {
            format: spec.payload_format,
            properties: spec.static_properties.clone(),
            enrichment: spec.enrichment.clone(),
            webhook_name: if named { spec.shown_name().to_owned() } else { String::new() },
        }
    }

    /// Whether this is what most webhooks use: the v3 notification and nothing more.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The body of an event.
    pub fn body(&self, tenant: &TenantId, event: &Event) -> String {
        let blocks = self.enrichment.pick(event.enrichments.as_ref());
        let extras = Extras { properties: self.properties.as_deref(), blocks: &blocks };
        match self.format {
            PayloadFormat::Event => notification::body(tenant, event, extras),
            PayloadFormat::CloudEvents => cloudevents::body(tenant, event, extras),
            // It has no place for more than the payload, and the rules know.
            PayloadFormat::Raw => event.payload.to_string(),
            PayloadFormat::SuperOffice => {
                superoffice::body(tenant, event, extras, &self.webhook_name)
            }
            PayloadFormat::Sonar => sonar::body(event, extras),
            PayloadFormat::Socotra => socotra::body(event, extras),
        }
    }
}

/// What a webhook wants in its bodies beside the event.
#[derive(Clone, Copy)]
struct Extras<'a> {
    /// Text of the static properties.
    properties: Option<&'a str>,
    /// Enrichment blocks: name and text.
    blocks: &'a [(&'static str, String)],
}

impl Extras<'_> {
    fn has_block(&self, name: &str) -> bool {
        self.blocks.iter().any(|(block, _)| *block == name)
    }

    /// Adds the blocks to an object that has a member already.
    fn push_blocks(&self, body: &mut String) {
        for (name, value) in self.blocks {
            body.push_str(",\"");
            body.push_str(name);
            body.push_str("\":");
            body.push_str(value);
        }
    }

    /// Ends an object after a member that was written: the properties, where there are
    /// any, then the blocks.
    fn close(&self, mut body: String) -> String {
        if let Some(properties) = self.properties {
            body.push_str(",\"properties\":");
            body.push_str(properties);
        }
        self.push_blocks(&mut body);
        body.push('}');
        body
    }
}

fn push_json(to: &mut String, text: &str) {
    to.push_str(&serde_json::Value::from(text).to_string());
}

/// When an event happened, as far as is known.
fn event_time(event: &Event) -> String {
    event.occur_time.unwrap_or(event.ingest_time).rfc3339()
}

#[cfg(test)]
mod tests;
