//! Webhooks as SuperOffice writes them. A definition is always a whole one: what it does not
//! name, it does not want. But what it names as it was shown stays as it is, also where this
//! dialect can only show a part of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{document::Document, entity::TYPE, state::State};
use crate::{
    domain::{
        body::PayloadFormat,
        error::Faults,
        failure_handling::FailureHandling,
        header_mask::read_header,
        retry::{FailureClass, RetryPolicy, Waits},
        signing::{Signing, SigningScheme, SigningSecret},
        webhook::{Header, WebhookSpec},
    },
    http::members::Members,
};

/// Waits before the retries.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// Whatever fails is tried again.
const RETRIED: [FailureClass; 5] = [
    FailureClass::StatusClass(3),
    FailureClass::StatusClass(4),
    FailureClass::StatusClass(5),
    FailureClass::Timeout,
    FailureClass::Connection,
];
/// Attempts that fail in a row until a webhook has too many errors.
const TOO_MANY: u32 = 9;
/// The header of a signature.
const SIGNATURE: &str = "X-SuperOffice-Signature";
/// Members of answers that no request can set.
const READ_ONLY: [&str; 6] =
    ["WebhookId", "Registered", "RegisteredAssociate", "Updated", "UpdatedAssociate", "_Links"];

/// A definition as a request has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    name: Option<String>,
    events: Vec<String>,
    target_url: String,
    secret: Option<String>,
    state: Option<State>,
    headers: Vec<(String, String)>,
    /// JSON text of an object.
    properties: Option<String>,
    errors_email: Option<String>,
}

/// What a definition makes of a webhook.
pub(super) struct Revision {
    pub(super) spec: WebhookSpec,
    /// Whether a suspension ends.
    pub(super) resume: bool,
}

impl Definition {
    /// Reads a definition; what is wrong with it is added to `faults`.
    pub(super) fn read(document: Document, faults: &mut Faults) -> Self {
        let Document { members, properties } = document;
        let mut members = Members::of(members, "", faults);
        for name in READ_ONLY {
            members.take(name);
        }
        read_type(&mut members, faults);
        let definition = Self {
            name: members.text("Name", faults),
            events: members.texts("Events", faults).unwrap_or_default(),
            target_url: members.text("TargetUrl", faults).unwrap_or_default(),
            secret: members.text("Secret", faults),
            state: read_state(&mut members, faults),
            headers: read_headers(members.object("Headers", faults), faults),
            properties: members.object("Properties", faults).and(properties),
            errors_email: members.text("ErrorsEmail", faults).filter(|email| !email.is_empty()),
        };
        for unknown in members.unknown() {
            faults.invalid(unknown, "is not known");
        }
        definition
    }

    /// The webhook that a request makes.
    pub(super) fn create(&self, faults: &mut Faults) -> WebhookSpec {
        let policy = RetryPolicy {
            waits: Waits::Schedule(WAITS.to_vec()),
            jitter: Some(0.0),
            retry_on: RETRIED.to_vec(),
            ..RetryPolicy::default()
        };
        let new = WebhookSpec {
            payload_format: PayloadFormat::SuperOffice,
            retry_policy: Some(policy),
            failure_handling: Some(handling()),
            ..WebhookSpec::default()
        };
        self.change(&new, State::Active, faults).spec
    }

    /// What becomes of a webhook that is in this state.
    pub(super) fn change(
        &self,
        current: &WebhookSpec,
        state: State,
        faults: &mut Faults,
    ) -> Revision {
        let mut spec = current.clone();
        if self.name.as_deref() != Some(current.shown_name()) {
            // The unique one is made of it.
            spec.name.clear();
            spec.display_name.clone_from(&self.name);
        }
        spec.event_names.clone_from(&self.events);
        spec.destination.url.clone_from(&self.target_url);
        spec.destination.headers = self.headers(current, faults);
        self.sign(&mut spec, faults);
        self.describe(&mut spec);
        if self.errors_email != errors_email(current) {
            let handling = spec.failure_handling.get_or_insert_with(handling);
            handling.notify_emails = self.errors_email.iter().cloned().collect();
        }
        let wanted = self.state.unwrap_or(state);
        match wanted {
            _ if wanted == state => {}
            State::Active => spec.enabled = true,
            State::Stopped => spec.enabled = false,
            State::TooManyErrors => {
                faults.invalid("State", "can be made Active or Stopped only");
            }
        }
        Revision { spec, resume: wanted == State::Active && state != State::Active }
    }

    /// The headers, those that stay at their places first.
    fn headers(&self, current: &WebhookSpec, faults: &mut Faults) -> Vec<Header> {
        let stored = &current.destination.headers;
        let is = |header: &Header, name: &str| header.name.eq_ignore_ascii_case(name);
        let read = |name: &str, value: &str, faults: &mut Faults| {
            let kept = stored.iter().find(|header| is(header, name) && joined(header) == value);
            kept.cloned().unwrap_or_else(|| {
                let values = vec![value.to_owned()];
                let given = Header { name: name.to_owned(), values, sensitive: false };
                read_header(given, stored, "Headers", faults)
            })
        };
        let place = |name: &str| stored.iter().position(|header| is(header, name));
        let mut given: Vec<_> = self.headers.iter().collect();
        given.sort_by_key(|(name, _)| place(name).unwrap_or(stored.len()));
        given.into_iter().map(|(name, value)| read(name, value, faults)).collect()
    }

    fn sign(&self, spec: &mut WebhookSpec, faults: &mut Faults) {
        let current = secret(spec);
        match self.secret.as_deref() {
            None | Some("") if current.is_some() => spec.signing = None,
            None | Some("") => {}
            Some(Header::MASK) if current.is_some() => {}
            Some(Header::MASK) => {
                faults.invalid(
                    "Secret",
                    "must be the secret itself: *** only stands for a stored one",
                );
            }
            same if same == current => {}
            Some(new) => {
                spec.signing = Some(Signing {
                    scheme: SigningScheme::HmacSha256Base64,
                    header_name: SIGNATURE.to_owned(),
                    secrets: vec![SigningSecret::draft(new.to_owned(), None)],
                });
            }
        }
    }

    /// Text that means the same is left as it is stored.
    fn describe(&self, spec: &mut WebhookSpec) {
        let given = self.properties.as_deref().unwrap_or(NOTHING);
        let value = |text: &str| serde_json::from_str::<Value>(text).ok();
        if value(given) != value(properties(spec)) {
            let empty = value(given) == Some(Value::Object(Map::new()));
            spec.static_properties = (!empty).then(|| given.into());
        }
    }
}

/// An object without members.
const NOTHING: &str = "{}";

/// What failures lead to.
fn handling() -> FailureHandling {
    FailureHandling { suspend_after_failures: TOO_MANY, ..FailureHandling::default() }
}

/// The secret of the dialect's own signature, where a webhook has that.
pub(super) fn secret(spec: &WebhookSpec) -> Option<&str> {
    let signing = spec.signing.as_ref().filter(|signing| {
        signing.scheme == SigningScheme::HmacSha256Base64
            && signing.header_name.eq_ignore_ascii_case(SIGNATURE)
    })?;
    signing.secrets.first().map(|secret| secret.value.as_str())
}

/// The headers as they are shown.
pub(super) fn headers(spec: &WebhookSpec) -> Vec<(String, String)> {
    spec.destination.headers.iter().map(|header| (header.name.clone(), joined(header))).collect()
}

/// The values of a header in one text, masked where they are secrets.
fn joined(header: &Header) -> String {
    header.masked().values.join(", ")
}

/// The static properties, as JSON text.
pub(super) fn properties(spec: &WebhookSpec) -> &str {
    spec.static_properties.as_deref().unwrap_or(NOTHING)
}

/// Who is mailed, where anybody is.
pub(super) fn errors_email(spec: &WebhookSpec) -> Option<String> {
    let emails = spec.failure_handling.as_ref().map(|handling| handling.notify_emails.join(", "));
    emails.filter(|emails| !emails.is_empty())
}

fn read_type(members: &mut Members, faults: &mut Faults) {
    let Some(kind) = members.text("Type", faults) else { return };
    if kind.eq_ignore_ascii_case("crmscript") {
        faults.invalid("Type", "crmscript is not supported: there are no scripts here");
    } else if !kind.eq_ignore_ascii_case(TYPE) {
        faults.invalid("Type", "must be webhook");
    }
}

fn read_state(members: &mut Members, faults: &mut Faults) -> Option<State> {
    let value = members.take("State")?;
    let state = State::read(&value);
    if state.is_none() {
        faults.invalid("State", "must be Active, Stopped or TooManyErrors, or 1, 2 or 3");
    }
    state
}

fn read_headers(headers: Option<Map<String, Value>>, faults: &mut Faults) -> Vec<(String, String)> {
    let mut read = Vec::new();
    for (name, value) in headers.unwrap_or_default() {
        match value {
            Value::String(value) => read.push((name, value)),
            _ => faults.invalid(format!("Headers.{name}"), "must be a string"),
        }
    }
    read
}
