//! Webhooks: what an owner wants ([`WebhookSpec`]), and what is the case ([`Webhook`]).

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    actor::Attribution,
    body::PayloadFormat,
    enrichment::Enrichment,
    event_filter::EventFilter,
    failure_handling::FailureHandling,
    id::{TenantKey, WebhookId, WebhookKey},
    limits,
    order::DeliveryOrder,
    retry::RetryPolicy,
    signing::Signing,
    time::Timestamp,
};

/// What the owner of a webhook decides. Stored as JSON: a new member needs a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookSpec {
    /// Unique within the tenant.
    pub name: String,
    /// What its owner calls it, where another webhook has that name already and `name` was
    /// made of it. Not written where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether deliveries are wanted.
    pub enabled: bool,
    /// Event types that trigger it, `prefix.*` and `*` among them.
    pub event_names: Vec<String>,
    /// Conditions on the payload; all must hold.
    #[serde(default)]
    pub event_filters: Vec<EventFilter>,
    /// Where deliveries go.
    pub destination: HttpDestination,
    /// Most deliveries in flight at once.
    pub max_allowed_connections: u32,
    /// Expected delivery time; zero means no SLA.
    pub sla: Duration,
    /// When a failed delivery is tried again; absent means the server's policy.
    pub retry_policy: Option<RetryPolicy>,
    /// Which deliveries wait for which.
    #[serde(default)]
    pub delivery_order: DeliveryOrder,
    /// Most deliveries started per second; 0 means no limit.
    #[serde(default)]
    pub max_deliveries_per_second: f64,
    /// What happens when deliveries keep failing; absent: nothing but 410 suspends.
    #[serde(default)]
    pub failure_handling: Option<FailureHandling>,
    /// How requests are signed; absent means not at all. Not written where absent,
    /// so that a definition without it is the same text as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// The owner's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Shape of the request body.
    #[serde(default)]
    pub payload_format: PayloadFormat,
    /// JSON text of the object whose members each body carries; never an empty one.
    #[serde(default)]
    pub static_properties: Option<Arc<str>>,
    /// Which enrichment blocks of an event it receives. Not written where it asks for none.
    #[serde(default, skip_serializing_if = "Enrichment::is_none")]
    pub enrichment: Enrichment,
}

impl Default for WebhookSpec {
    /// What a webhook is that says nothing: it still lacks name, events and URL.
    fn default() -> Self {
        Self {
            name: String::new(),
            display_name: None,
            enabled: true,
            event_names: Vec::new(),
            event_filters: Vec::new(),
            destination: HttpDestination::default(),
            max_allowed_connections: limits::DEFAULT_MAX_CONNECTIONS,
            sla: limits::DEFAULT_SLA,
            retry_policy: None,
            delivery_order: DeliveryOrder::Unordered,
            max_deliveries_per_second: 0.0,
            failure_handling: None,
            signing: None,
            labels: BTreeMap::new(),
            payload_format: PayloadFormat::Event,
            static_properties: None,
            enrichment: Enrichment::default(),
        }
    }
}

impl WebhookSpec {
    /// What its owner calls it, be it unique or not.
    pub fn shown_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }
}

/// An HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpDestination {
    /// As the owner wrote it.
    pub url: String,
    /// Request method.
    pub method: Method,
    /// Headers added to each request, in order.
    pub headers: Vec<Header>,
    /// Limit on one attempt; absent means the server's default.
    pub timeout: Option<Duration>,
}

/// Method of delivery requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    #[default]
    Post,
    Put,
    /// The payload is not sent, only headers.
    Get,
    Delete,
    Patch,
}

/// One header of each delivery.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Field name, compared without regard to case.
    pub name: String,
    /// One or more values.
    pub values: Vec<String>,
    /// Read back as `***`. Authorization and its like are so without being asked.
    pub sensitive: bool,
}

impl fmt::Debug for Header {
    /// Values of sensitive headers never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = self.masked();
        f.debug_struct("Header")
            .field("name", &masked.name)
            .field("values", &masked.values)
            .finish()
    }
}

impl Header {
    /// What stands for a sensitive value.
    pub const MASK: &'static str = "***";

    /// Whether a header of this name is sensitive whatever its owner says.
    pub fn always_sensitive(name: &str) -> bool {
        const NAMES: [&str; 6] = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "api-key",
            "x-auth-token",
        ];
        NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    /// As it is shown: sensitive values masked.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut shown = self.clone();
        if shown.sensitive {
            shown.values.fill(Self::MASK.to_owned());
        }
        shown
    }
}

/// A stored webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Internal key, that of its lane too.
    pub key: WebhookKey,
    /// Internal key of its tenant.
    pub tenant_key: TenantKey,
    /// Public id.
    #[serde(with = "as_text")]
    pub webhook_id: WebhookId,
    /// Small number, unique within the tenant and never used again.
    pub number: i32,
    /// Stable id of its delivery queue.
    pub consumer_group_id: Uuid,
    /// What the owner decided.
    pub spec: WebhookSpec,
    /// Why and since when it is held, while it is.
    pub suspension: Option<Suspension>,
    /// Past suspensions, oldest first: time that `max_age` does not count.
    pub holds: Vec<Hold>,
    /// Rises with each change; the etag.
    pub version: i64,
    /// Who made and changed it.
    pub attribution: Attribution,
    /// When it was deleted. What is deleted is seen by nobody, but its lane may
    /// still have to divert what waits.
    pub delete_time: Option<Timestamp>,
}

/// Effective state of a webhook; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// Deliveries flow.
    Active = 1,
    /// The owner stopped it.
    Stopped = 2,
    /// Suspended by failure handling, or gone.
    TooManyErrors = 3,
    /// Suspended by an operator.
    Suspended = 4,
}

impl Webhook {
    /// The effective state; stopped wins over a suspension.
    pub fn state(&self) -> WebhookState {
        match &self.suspension {
            _ if !self.spec.enabled => WebhookState::Stopped,
            None => WebhookState::Active,
            Some(s) if s.cause == SuspensionCause::Operator => WebhookState::Suspended,
            Some(_) => WebhookState::TooManyErrors,
        }
    }

    /// Whether new events create deliveries for it.
    pub fn takes_events(&self) -> bool {
        self.spec.enabled && self.delete_time.is_none()
    }

    /// Whether it was ever stored; what was only checked has no version yet.
    pub fn is_stored(&self) -> bool {
        self.version > 0
    }

    /// The version as callers see it.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// Why and since when a webhook is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// When it was suspended.
    pub suspend_time: Timestamp,
    /// Who or what did it.
    pub cause: SuspensionCause,
    /// Text for humans.
    pub message: String,
    /// When it ends by itself.
    pub resume_time: Option<Timestamp>,
}

/// Tells a failing destination from a person's decision; the numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuspensionCause {
    /// Failure handling suspended it.
    Failures = 1,
    /// An operator did.
    Operator = 2,
    /// The destination answered 410 Gone.
    Gone = 3,
}

/// A past suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it began.
    pub start: Timestamp,
    /// When it was lifted.
    pub end: Timestamp,
}

/// At most this many past suspensions are kept; the oldest are joined to one.
const HOLDS_KEPT: usize = 64;

impl Webhook {
    /// Ends the suspension, if there is one, and remembers that it was.
    pub fn lift_suspension(&mut self, now: Timestamp) {
        let Some(suspension) = self.suspension.take() else { return };
        self.holds.push(Hold { start: suspension.suspend_time, end: now });
        if self.holds.len() > HOLDS_KEPT {
            // Joining counts the time between them as held: a delivery that old
            // gets a little more time, never less.
            let first = self.holds.remove(0);
            self.holds[0].start = first.start;
        }
    }

    /// How long a delivery ingested at `ingest` was not held by a suspension until `now`.
    pub fn age(&self, ingest: Timestamp, now: Timestamp) -> Duration {
        let current = self.suspension.iter().map(|s| Hold { start: s.suspend_time, end: now });
        let held: Duration = (self.holds.iter().copied().chain(current))
            .map(|hold| hold.end.min(now).since(hold.start.max(ingest)))
            .sum();
        now.since(ingest).saturating_sub(held)
    }
}

/// Writes an id as its text form.
mod as_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("not an id"))
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
