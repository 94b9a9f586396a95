//! Webhooks as Sonar writes them.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::{
        body::PayloadFormat,
        error::{Error, Faults, Reason, Result},
        retry::{RetryPolicy, Waits},
        webhook::{Method, Webhook, WebhookSpec},
    },
    http::members::Members,
};

/// The events of this dialect.
const EVENTS: [&str; 11] = [
    "new_assigned_message",
    "new_unassigned_message",
    "outbound_message",
    "customer_subscribed",
    "customer_unsubscribed",
    "user_assignment",
    "customer_created",
    "tag_added_to_message",
    "tag_removed_from_message",
    "customer_double_opted_in",
    "customer_state_changed",
];
/// Waits before the retries.
const WAITS: [Duration; 4] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(3 * 60),
    Duration::from_secs(30 * 60),
];

/// What a request says of a webhook; what it does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    name: Option<String>,
    active: Option<bool>,
    settings: Option<BTreeMap<String, bool>>,
    url: Option<String>,
    http_method: Option<Method>,
}

impl Definition {
    /// Reads the body of a request: `{"webhook": {…}}`.
    ///
    /// # Errors
    ///
    /// Where there is no such object. Faults of its members are noted.
    pub(super) fn read(body: Value, faults: &mut Faults) -> Result<Self> {
        let mut found = Faults::default();
        let mut body = Members::of(body, "", &mut found);
        let webhook = body.object("webhook", &mut found);
        found.check()?;
        let Some(webhook) = webhook else {
            return Err(Error::field("webhook", Reason::FieldRequired, "is required"));
        };
        let mut members = Members::of(Value::Object(webhook), "", faults);
        let active = members.take("active").and_then(|value| {
            let read = read_bool(&value);
            if read.is_none() {
                faults.invalid("active", "must be true or false");
            }
            read
        });
        let definition = Self {
            name: members.text("name", faults),
            active,
            settings: members.object("settings", faults).map(|s| read_settings(s, faults)),
            url: members.text("url", faults),
            http_method: members.text("http_method", faults).map(|m| read_method(&m, faults)),
        };
        for unknown in body.unknown().chain(members.unknown()) {
            faults.invalid(unknown, "is not known");
        }
        Ok(definition)
    }

    /// The webhook that a request makes. All but `active` is required.
    pub(super) fn create(self, faults: &mut Faults) -> WebhookSpec {
        let missing = [
            ("name", self.name.is_none()),
            ("settings", self.settings.is_none()),
            ("url", self.url.is_none()),
            ("http_method", self.http_method.is_none()),
        ];
        // What is there and wrong was named already.
        let named = faults.clone();
        for (name, _) in missing.iter().filter(|(name, is)| *is && !named.names(name)) {
            faults.required(*name);
        }
        let retry_policy = RetryPolicy {
            waits: Waits::Schedule(WAITS.to_vec()),
            // As documented, to the second.
            jitter: Some(0.0),
            ..RetryPolicy::default()
        };
        let new = WebhookSpec {
            enabled: false,
            payload_format: PayloadFormat::Sonar,
            retry_policy: Some(retry_policy),
            ..WebhookSpec::default()
        };
        self.change(&new, faults)
    }

    /// A webhook with what the request says changed.
    pub(super) fn change(&self, current: &WebhookSpec, faults: &mut Faults) -> WebhookSpec {
        let mut spec = current.clone();
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        spec.enabled = self.active.unwrap_or(spec.enabled);
        if let Some(url) = &self.url {
            spec.destination.url.clone_from(url);
        }
        spec.destination.method = self.http_method.unwrap_or(spec.destination.method);
        for (event, wanted) in self.settings.iter().flatten() {
            let has = spec.event_names.contains(event);
            if !has && !EVENTS.contains(&event.as_str()) {
                faults.invalid(format!("settings.{event}"), "is no event");
            }
            match wanted {
                true if !has => spec.event_names.push(event.clone()),
                false => spec.event_names.retain(|name| name != event),
                true => {}
            }
        }
        spec
    }
}

fn read_settings(settings: Map<String, Value>, faults: &mut Faults) -> BTreeMap<String, bool> {
    let mut read = BTreeMap::new();
    for (event, value) in settings {
        match read_bool(&value) {
            Some(wanted) => drop(read.insert(event, wanted)),
            None => faults.invalid(format!("settings.{event}"), "must be \"true\" or \"false\""),
        }
    }
    read
}

fn read_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(is) => Some(*is),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

const METHODS: [(&str, Method); 5] = [
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("GET", Method::Get),
    ("DELETE", Method::Delete),
    ("PATCH", Method::Patch),
];

fn read_method(text: &str, faults: &mut Faults) -> Method {
    let known = METHODS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    known.map(|(_, method)| *method).unwrap_or_else(|| {
        faults.invalid("http_method", "must be POST, PUT, GET, DELETE or PATCH");
        Method::default()
    })
}

/// A webhook as an answer has it.
#[derive(Serialize)]
pub(super) struct Shown {
    id: i32,
    active: bool,
    settings: BTreeMap<String, &'static str>,
    url: String,
    http_method: &'static str,
    /// Sonar has a template here; ours are fixed.
    payload: &'static str,
    name: String,
    created_at: String,
    updated_at: String,
}

impl Shown {
    pub(super) fn of(webhook: &Webhook) -> Self {
        let spec = &webhook.spec;
        let method = METHODS.iter().find(|(_, method)| *method == spec.destination.method);
        Self {
            id: webhook.number,
            active: spec.enabled,
            settings: spec.event_names.iter().map(|name| (name.clone(), "true")).collect(),
            url: spec.destination.url.clone(),
            http_method: method.map_or("POST", |(name, _)| name),
            payload: "",
            name: spec.name.clone(),
            created_at: webhook.attribution.create_time.rfc3339(),
            updated_at: webhook.attribution.update_time.rfc3339(),
        }
    }
}
