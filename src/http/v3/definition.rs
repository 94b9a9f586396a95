//! Webhooks as requests of this dialect write them.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{
    codes::Code,
    envelope::Remark,
    object::{Object, is_null},
};
use crate::domain::{
    enrichment::Enrichment,
    error::{Faults, Reason},
    header_mask::read_header,
    retry::RetryPolicy,
    webhook::{Header, Method, WebhookSpec},
};

/// The only type of webhooks that is built.
pub(super) const HTTP: &str = "HTTP";
/// Types of webhooks that lead to a queue.
const QUEUES: [&str; 2] = ["queue", "QUEUE_INT"];
/// The names of methods.
pub(super) const METHODS: [(&str, Method); 5] = [
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("GET", Method::Get),
    ("DELETE", Method::Delete),
    ("PATCH", Method::Patch),
];
/// Members of answers that no request can set.
const READ_ONLY: [&str; 3] = ["attribution", "webHookId", "consumerGroupId"];
/// What a request says of a webhook; what it does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    /// Its name; a change only says what it takes the name to be.
    pub(super) name: Option<String>,
    /// Retries after the first attempt; a change only says what it takes them to be.
    pub(super) retries: Option<u32>,
    event_names: Option<Vec<String>>,
    url: Option<String>,
    method: Option<Method>,
    headers: Option<Vec<(String, String)>>,
    max_connections: Option<u32>,
    active: Option<bool>,
    sla: Option<Duration>,
    details: Details,
}

impl Definition {
    /// Reads the body of a request; what is wrong with it is added to `faults`, and what
    /// it says without effect to `ignored`.
    pub(super) fn read(body: &mut Object, faults: &mut Faults, ignored: &mut Vec<Remark>) -> Self {
        read_type(body, faults);
        let definition = Self {
            name: body.text("name", faults),
            retries: body.count("noOfRetryAttempts", faults),
            event_names: read_event_names(body, faults),
            url: body.text("webHookUrl", faults),
            method: read_method(body, faults),
            headers: body.object("webHookHeaders", faults).map(|headers| headers.all_texts(faults)),
            max_connections: body.take("maxAllowedConnections").map(|n| read_limit(&n, faults)),
            active: body.truth("active", faults),
            sla: body.count("slaInSeconds", faults).map(|s| Duration::from_secs(s.into())),
            details: Details::read(body, faults),
        };
        for name in READ_ONLY {
            if body.take(name).is_some() {
                let message = format!("{name} is set by the service and was ignored");
                ignored.push(Remark::warning(Code::MemberIgnored, message));
            }
        }
        ignored.extend(body.ignored());
        definition
    }

    /// The webhook that a request makes.
    pub(super) fn create(&self, faults: &mut Faults) -> WebhookSpec {
        if self.max_connections.is_none() {
            missing_limit(faults);
        }
        let mut spec = self.change(&WebhookSpec::default(), faults);
        spec.name = self.name.clone().unwrap_or_default();
        // None asked for means those of the server, as it does in every sample.
        spec.retry_policy = self
            .retries
            .filter(|retries| *retries > 0)
            .map(|retries| RetryPolicy { max_retries: Some(retries), ..RetryPolicy::default() });
        spec
    }

    /// A webhook with what the request says changed; name and retries cannot be.
    pub(super) fn change(&self, current: &WebhookSpec, faults: &mut Faults) -> WebhookSpec {
        let mut spec = current.clone();
        if let Some(names) = &self.event_names {
            spec.event_names.clone_from(names);
        }
        if let Some(url) = &self.url {
            spec.destination.url.clone_from(url);
        }
        spec.destination.method = self.method.unwrap_or(current.destination.method);
        if let Some(headers) = &self.headers {
            let stored = &current.destination.headers;
            let headers = headers.iter().map(|header| read(header, stored, faults));
            spec.destination.headers = headers.collect();
        }
        spec.max_allowed_connections = self.max_connections.unwrap_or(spec.max_allowed_connections);
        spec.enabled = self.active.unwrap_or(spec.enabled);
        spec.sla = self.sla.unwrap_or(spec.sla);
        self.details.change(&mut spec.enrichment);
        spec
    }
}

fn read((name, value): &(String, String), stored: &[Header], faults: &mut Faults) -> Header {
    let given = Header { name: name.clone(), values: vec![value.clone()], sensitive: false };
    read_header(given, stored, "webHookHeaders", faults)
}

/// Null asks for no events at all, which is a fault of its own.
fn read_event_names(body: &mut Object, faults: &mut Faults) -> Option<Vec<String>> {
    let raw = body.take("eventNames")?;
    if is_null(&raw) {
        return Some(Vec::new());
    }
    let names = serde_json::from_str(raw.get()).ok();
    if names.is_none() {
        faults.invalid("eventNames", "must be an array of strings");
    }
    names
}

/// A number is cut to a whole one; one that is not positive is refused by the domain.
fn read_limit(raw: &RawValue, faults: &mut Faults) -> u32 {
    let number: Option<f64> = serde_json::from_str(raw.get()).ok();
    if number.is_none() {
        missing_limit(faults);
    }
    // Beyond the range of the type is beyond the limit as well.
    number.map_or(1, |number| number as u32)
}

fn missing_limit(faults: &mut Faults) {
    let message = "is missing or is no number";
    faults.add("maxAllowedConnections", Reason::FieldRequired, message);
}

fn read_method(body: &mut Object, faults: &mut Faults) -> Option<Method> {
    let text = body.text("methodType", faults)?;
    let known = METHODS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    if known.is_none() {
        faults.invalid("methodType", "must be POST, PUT, GET, DELETE or PATCH");
    }
    known.map(|(_, method)| *method)
}

fn read_type(body: &mut Object, faults: &mut Faults) {
    let Some(kind) = body.text("webHookType", faults) else { return };
    if QUEUES.iter().any(|queue| kind.eq_ignore_ascii_case(queue)) {
        faults.unavailable("webHookType");
    } else if !kind.eq_ignore_ascii_case(HTTP) {
        faults.invalid("webHookType", "must be HTTP or queue");
    }
}

/// What a request says of the details that deliveries carry.
#[derive(Clone, Debug, Default)]
struct Details {
    till: Option<bool>,
    store: Option<bool>,
    awarded_reference: Option<bool>,
    points_balance: Option<bool>,
    customer_identifiers: Option<Vec<String>>,
}

impl Details {
    fn read(body: &mut Object, faults: &mut Faults) -> Self {
        Self {
            till: body.truth("tillDetailsEnrichmentEnabled", faults),
            store: body.truth("storeDetailsEnrichmentEnabled", faults),
            awarded_reference: body.truth("awardedReferenceEnrichmentEnabled", faults),
            points_balance: body.truth("availablePointsBalanceEnrichmentEnabled", faults),
            customer_identifiers: body.texts("customerIdentifiersToBeEnriched", faults),
        }
    }

    fn change(&self, current: &mut Enrichment) {
        current.till_details = self.till.unwrap_or(current.till_details);
        current.store_details = self.store.unwrap_or(current.store_details);
        current.awarded_reference = self.awarded_reference.unwrap_or(current.awarded_reference);
        current.available_points_balance =
            self.points_balance.unwrap_or(current.available_points_balance);
        if let Some(names) = &self.customer_identifiers {
            current.customer_identifiers.clone_from(names);
        }
    }
}
