//! What owners are told when a webhook is suspended or resumed: an event for the
//! tenant's webhooks, and an e-mail. A webhook is not told of itself.

use serde_json::json;
use url::Url;

use super::{
    event::Event,
    event_filter,
    id::{EventId, TenantId, WebhookKey},
    numbered_state,
    subscription::fits,
    time::Timestamp,
    webhook::{Suspension, SuspensionCause, Webhook, WebhookSpec, WebhookState},
};

/// Name of the event that tells of a suspension.
pub const SUSPENDED: &str = "webhook.suspended";
/// Name of the event that tells of its end.
pub const RESUMED: &str = "webhook.resumed";

/// Whether the event names of a webhook cover what is told of other webhooks' states.
pub fn is_heard_by(spec: &WebhookSpec) -> bool {
    let covers = |pattern: &String| [SUSPENDED, RESUMED].iter().any(|name| fits(pattern, name));
    spec.event_names.iter().any(|name| covers(name) || numbered_state::is_pattern(name))
}

/// Whether events of this name tell of states of webhooks. What becomes of their
/// deliveries never suspends a webhook: otherwise two webhooks that hear of each other
/// could go on telling for ever.
pub fn is_state_event(name: &str) -> bool {
    name == SUSPENDED || name == RESUMED || numbered_state::is_event(name)
}

/// The events that tell of a change, with ids from `new_id`: that of a suspension or its end, and
/// the one that SuperOffice has for any state.
pub fn events(
    before: &Webhook,
    after: &Webhook,
    tenant: &TenantId,
    mut new_id: impl FnMut(Timestamp) -> EventId,
) -> Vec<Event> {
    let id = new_id(after.attribution.update_time);
    let suspension = StateChange::between(before, after).map(|change| change.event(tenant, id));
    let id = new_id(after.attribution.update_time);
    suspension.into_iter().chain(numbered_state::event(before, after, id)).collect()
}

/// Whether a webhook that is subscribed to the event of another one's change gets it.
pub fn reaches(changed: WebhookKey, other: &Webhook, event: &Event) -> bool {
    let filters = &other.spec.event_filters;
    let payload = || event_filter::read_payload(&event.payload);
    other.key != changed
        && other.takes_events()
        && (filters.is_empty()
            || event_filter::first_unfulfilled(filters, payload().as_ref()).is_none())
}

/// A webhook that was suspended or resumed.
#[derive(Clone, Copy, Debug)]
pub struct StateChange<'a> {
    before: &'a Webhook,
    after: &'a Webhook,
    /// The suspension that began, or ended.
    suspension: &'a Suspension,
    resumed: bool,
}

/// An e-mail, but for whom it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl<'a> StateChange<'a> {
    /// What changed, where it is to be told. Another cause of a suspension is another
    /// state; what is deleted has none.
    pub fn between(before: &'a Webhook, after: &'a Webhook) -> Option<Self> {
        let cause = |webhook: &Webhook| webhook.suspension.as_ref().map(|s| s.cause);
        if after.delete_time.is_some() || cause(before) == cause(after) {
            return None;
        }
        let resumed = after.suspension.is_none();
        let suspension = after.suspension.as_ref().or(before.suspension.as_ref())?;
        Some(Self { before, after, suspension, resumed })
    }

    /// Name of its event.
    pub fn event_name(&self) -> &'static str {
        if self.resumed { RESUMED } else { SUSPENDED }
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        self.after.attribution.update_time
    }

    /// Its event. It names no secrets: of the URL only scheme, host and port.
    pub fn event(&self, tenant: &TenantId, event_id: EventId) -> Event {
        let webhook = self.after;
        let Suspension { suspend_time, cause, message, resume_time } = self.suspension;
        let mut payload = json!({
            "tenantId": tenant.as_str(),
            "webhookId": webhook.webhook_id.to_string(),
            "webhookName": webhook.spec.name,
            "destination": origin(&webhook.spec.destination.url),
            "state": state_name(webhook.state()),
            "cause": cause_name(*cause),
            "message": message,
            "suspendTime": suspend_time.rfc3339(),
        });
        if self.resumed {
            payload["resumedTime"] = self.time().rfc3339().into();
        } else if let Some(time) = resume_time {
            payload["resumeTime"] = time.rfc3339().into();
        }
        Event {
            event_id,
            event_name: self.event_name().to_owned(),
            ref_id: webhook.webhook_id.to_string(),
            request_id: String::new(),
            ordering_key: webhook.webhook_id.to_string(),
            payload: payload.to_string().into(),
            enrichments: None,
            occur_time: None,
            ingest_time: self.time(),
            attributes: Default::default(),
        }
    }

    /// The webhook's lane.
    pub fn webhook_key(&self) -> WebhookKey {
        self.after.key
    }

    /// The addresses that are mailed: none where a person suspended it.
    pub fn addresses(&self) -> &'a [String] {
        let failing = if self.resumed { self.before } else { self.after };
        let handling = self.after.spec.failure_handling.as_ref();
        match handling {
            Some(handling) if failing.state() == WebhookState::TooManyErrors => {
                &handling.notify_emails
            }
            Some(_) | None => &[],
        }
    }

    /// What they are mailed.
    pub fn mail(&self, tenant: &TenantId) -> Mail {
        let webhook = self.after;
        let (id, name) = (webhook.webhook_id, one_line(&webhook.spec.name));
        let what = if self.resumed { "was resumed" } else { "was suspended" };
        let Suspension { suspend_time, message, resume_time, .. } = self.suspension;
        let mut text = format!(
            "The webhook {name:?} of tenant {tenant} {what} at {}.\n\nWebhook:      {id}\n\
             Destination:  {}\nSuspended at: {}\nWhy:          {}\n\n",
            self.time().rfc3339(),
            origin(&webhook.spec.destination.url),
            suspend_time.rfc3339(),
            one_line(message),
        );
        if self.resumed {
            text.push_str("What waited is being delivered now.\n");
        } else {
            text.push_str("Its deliveries wait, and so does what is published from now on.\n");
            if let Some(time) = resume_time {
                text.push_str(&format!(
                    "At {} one delivery is sent as a probe; the webhook is resumed when it \
                     succeeds.\n",
                    time.rfc3339()
                ));
            }
            text.push_str(&format!(
                "Once the destination works again, resume it by hand with:\n\n\
                 grpcurl -d '{{\"tenant_id\": \"{tenant}\", \"webhook_id\": \"{id}\"}}' HOST:PORT \
                 tidings.v1.WebhookService/UnsuspendWebhook\n"
            ));
        }
        Mail { subject: format!("Webhook {name} {what}"), text }
    }
}

/// Scheme, host and port; paths and queries of webhooks carry tokens.
fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn state_name(state: WebhookState) -> &'static str {
    match state {
        WebhookState::Active => "ACTIVE",
        WebhookState::Stopped => "STOPPED",
        WebhookState::TooManyErrors => "TOO_MANY_ERRORS",
        WebhookState::Suspended => "SUSPENDED",
    }
}

fn cause_name(cause: SuspensionCause) -> &'static str {
    match cause {
        SuspensionCause::Failures => "FAILURES",
        SuspensionCause::Operator => "OPERATOR",
        SuspensionCause::Gone => "GONE",
    }
}

#[cfg(test)]
#[path = "state_change_tests.rs"]
mod tests;
