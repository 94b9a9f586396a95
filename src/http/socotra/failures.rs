//! What happens when deliveries of a webhook fail: `failureHandling`.

use std::{str::FromStr, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::{
        error::Faults,
        failure_handling::FailureHandling,
        retry::{DEFAULT_RETRY_ON, FailureClass, RetryPolicy, Waits},
        webhook::WebhookSpec,
    },
    http::members::Members,
};

/// What is retried where a request does not say.
const TRIGGERS: [FailureClass; 3] =
    [FailureClass::StatusClass(4), FailureClass::StatusClass(5), FailureClass::Timeout];
/// Retries of a strategy that does not say.
const DEFAULT_ATTEMPTS: u64 = 3;
/// Retries of a strategy, at most.
const MAX_ATTEMPTS: u64 = 10;
/// Longest interval of a strategy, in milliseconds: an hour.
const MAX_INTERVAL: u64 = 3_600_000;

/// Gives a webhook what stands for no `failureHandling`: no retry, nothing is kept, nothing
/// suspends.
pub(super) fn reset(spec: &mut WebhookSpec) {
    spec.retry_policy = Some(RetryPolicy {
        max_retries: Some(0),
        retry_on: TRIGGERS.to_vec(),
        ..RetryPolicy::default()
    });
    spec.failure_handling =
        Some(FailureHandling { drop_exhausted: true, ..FailureHandling::default() });
}

/// What a request says of failures; what it does not say is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    alert: Option<String>,
    remove_alert: bool,
    /// Instead of those that are.
    triggers: Option<Vec<FailureClass>>,
    added_triggers: Vec<FailureClass>,
    removed_triggers: Vec<FailureClass>,
    strategy: Option<Strategy>,
    remove_strategy: bool,
    divert: Option<bool>,
    suspend: Option<bool>,
}

impl Failures {
    /// Reads those of a new webhook.
    pub(super) fn read_new(body: &mut Members, faults: &mut Faults) -> Self {
        Self::read(body, faults, |members, read, faults| {
            read.triggers = read_triggers("triggers", members, faults);
        })
    }

    /// Reads a change.
    pub(super) fn read_change(body: &mut Members, faults: &mut Faults) -> Self {
        Self::read(body, faults, |members, read, faults| {
            read.added_triggers = read_triggers("addTriggers", members, faults).unwrap_or_default();
            read.removed_triggers =
                read_triggers("removeTriggers", members, faults).unwrap_or_default();
            read.remove_alert = members.truth("removeAlertEndpoint", faults).unwrap_or(false);
            read.remove_strategy = members.truth("removeRetryStrategy", faults).unwrap_or(false);
        })
    }

    fn read(
        body: &mut Members,
        faults: &mut Faults,
        more: impl FnOnce(&mut Members, &mut Self, &mut Faults),
    ) -> Self {
        let handling = body.object("failureHandling", faults).unwrap_or_default();
        let mut members = Members::of(Value::Object(handling), "failureHandling", faults);
        let strategy = members.object("retryStrategy", faults);
        let mut read = Self {
            alert: members.text("alertEndpoint", faults),
            strategy: strategy.and_then(|strategy| Strategy::read(strategy, faults)),
            divert: members.truth("divert", faults),
            suspend: members.truth("suspend", faults),
            ..Self::default()
        };
        if read.alert.as_ref().is_some_and(String::is_empty) {
            faults.invalid(members.path("alertEndpoint"), "must be a URL");
        }
        more(&mut members, &mut read, faults);
        for unknown in members.unknown() {
            faults.invalid(members.path(unknown), "is not known");
        }
        read
    }

    /// Changes a webhook as the request says: removals first.
    pub(super) fn change(&self, spec: &mut WebhookSpec, faults: &mut Faults) {
        if self.changes_retries() {
            let mut policy = spec.retry_policy.take().unwrap_or_default();
            self.change_retries(&mut policy, faults);
            spec.retry_policy = Some(policy);
        }
        let mut handling = spec.failure_handling.clone().unwrap_or_default();
        if self.remove_alert {
            handling.alert_url.clear();
        }
        if let Some(alert) = &self.alert {
            handling.alert_url.clone_from(alert);
        }
        handling.drop_exhausted = self.divert.map_or(handling.drop_exhausted, |divert| !divert);
        handling.suspend_on_exhausted = self.suspend.unwrap_or(handling.suspend_on_exhausted);
        if spec.failure_handling.is_some() || handling != FailureHandling::default() {
            spec.failure_handling = Some(handling);
        }
    }

    fn changes_retries(&self) -> bool {
        self.triggers.is_some()
            || !self.added_triggers.is_empty()
            || !self.removed_triggers.is_empty()
            || self.strategy.is_some()
            || self.remove_strategy
    }

    fn change_retries(&self, policy: &mut RetryPolicy, faults: &mut Faults) {
        let mut triggers = self.triggers.clone().unwrap_or_else(|| effective(policy).to_vec());
        triggers.retain(|trigger| !self.removed_triggers.contains(trigger));
        let added = self.added_triggers.iter().filter(|added| !triggers.contains(added));
        let added: Vec<_> = added.copied().collect();
        triggers.extend(added);
        // None would mean those of the server.
        if triggers.is_empty() {
            faults.invalid("failureHandling.triggers", "needs at least one trigger");
        }
        if triggers != effective(policy) {
            policy.retry_on = triggers;
        }
        if self.remove_strategy {
            policy.max_retries = Some(0);
        }
        if let Some(strategy) = &self.strategy {
            strategy.set(policy);
        }
    }
}

/// What a policy retries.
fn effective(policy: &RetryPolicy) -> &[FailureClass] {
    if policy.retry_on.is_empty() { &DEFAULT_RETRY_ON } else { &policy.retry_on }
}

fn read_triggers(
    name: &str,
    members: &mut Members,
    faults: &mut Faults,
) -> Option<Vec<FailureClass>> {
    let texts = members.texts(name, faults)?;
    let mut read = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let at = format!("{}[{i}]", members.path(name));
        match FailureClass::from_str(text) {
            Ok(class) if read.contains(&class) => faults.invalid(at, "is named twice"),
            Ok(class) => read.push(class),
            Err(fault) => faults.invalid(at, fault),
        }
    }
    Some(read)
}

/// The names of the kinds of waits.
const LINEAR: &str = "linear";
const EXPONENTIAL: &str = "exponential";

/// When a failed delivery is tried again.
#[derive(Clone, Debug, Serialize)]
struct Strategy {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The first wait, in milliseconds.
    interval: u64,
    /// Retries after the first attempt.
    attempts: u64,
}

impl Strategy {
    fn read(strategy: Map<String, Value>, faults: &mut Faults) -> Option<Self> {
        let at = "failureHandling.retryStrategy";
        let mut members = Members::of(Value::Object(strategy), at, faults);
        let kind = members.text("type", faults);
        let kind = match kind.as_deref() {
            Some(LINEAR) => Some(LINEAR),
            Some(EXPONENTIAL) => Some(EXPONENTIAL),
            Some(_) => {
                faults.invalid(members.path("type"), "must be linear or exponential");
                None
            }
            None => required("type", &members, faults),
        };
        let interval = match members.take("interval") {
            Some(value) => read_number(&value, "interval", MAX_INTERVAL, &members, faults),
            None => required("interval", &members, faults),
        };
        let attempts = match members.take("attempts") {
            Some(value) => read_number(&value, "attempts", MAX_ATTEMPTS, &members, faults),
            None => Some(DEFAULT_ATTEMPTS),
        };
        for unknown in members.unknown() {
            faults.invalid(members.path(unknown), "is not known");
        }
        Some(Self { kind: kind?, interval: interval?, attempts: attempts? })
    }

    fn set(&self, policy: &mut RetryPolicy) {
        let interval = Duration::from_millis(self.interval);
        policy.waits = if self.kind == LINEAR {
            Waits::Schedule(vec![interval])
        } else {
            Waits::Backoff { initial: interval, max: None, multiplier: None }
        };
        // The interval is a promise: nothing of it is left to chance.
        policy.jitter = Some(0.0);
        policy.max_retries = u32::try_from(self.attempts).ok();
    }

    /// That of a policy, where it is one of this dialect.
    fn of(policy: &RetryPolicy) -> Option<Self> {
        let attempts = u64::from(policy.max_retries?);
        let (kind, wait) = match &policy.waits {
            _ if attempts == 0 => return None,
            Waits::Default => return None,
            Waits::Schedule(waits) => {
                let first = waits.first()?;
                (LINEAR, waits.iter().all(|wait| wait == first).then_some(*first)?)
            }
            Waits::Backoff { initial, multiplier, .. } => match multiplier.unwrap_or(2.0) {
                1.0 => (LINEAR, *initial),
                2.0 => (EXPONENTIAL, *initial),
                _ => return None,
            },
        };
        let interval = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Some(Self { kind, interval, attempts })
    }
}

/// Notes that a member is missing, unless it was named for what it is.
fn required<T>(name: &str, members: &Members, faults: &mut Faults) -> Option<T> {
    let at = members.path(name);
    if !faults.names(&at) {
        faults.required(at);
    }
    None
}

fn read_number(
    value: &Value,
    name: &str,
    most: u64,
    members: &Members,
    faults: &mut Faults,
) -> Option<u64> {
    let read = value.as_u64().filter(|number| (1..=most).contains(number));
    if read.is_none() {
        faults.invalid(members.path(name), format!("must be a whole number from 1 to {most}"));
    }
    read
}

/// `failureHandling` as an answer has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    alert_endpoint: Option<String>,
    triggers: Vec<String>,
    /// Null where there are no retries, and where this dialect has no word for them.
    retry_strategy: Option<Strategy>,
    divert: bool,
    suspend: bool,
}

impl Shown {
    pub(super) fn of(spec: &WebhookSpec) -> Self {
        let policy = spec.retry_policy.clone().unwrap_or_default();
        let handling = spec.failure_handling.clone().unwrap_or_default();
        Self {
            alert_endpoint: Some(handling.alert_url).filter(|url| !url.is_empty()),
            triggers: effective(&policy).iter().map(ToString::to_string).collect(),
            retry_strategy: Strategy::of(&policy),
            divert: !handling.drop_exhausted,
            suspend: handling.suspend_on_exhausted,
        }
    }
}

#[cfg(test)]
#[path = "failures_tests.rs"]
mod tests;
