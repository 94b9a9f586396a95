//! Why an event goes to a webhook, or does not: the decision, and the words for it.
//!
//! Publishing decides by the same functions; it only asks an index first which
//! webhooks want the name.

use std::fmt::Write;

use serde_json::Value;

use super::{
    delivery::DeliveryStatus,
    event_filter::{EventFilter, FilterOperator, first_unfulfilled},
    subscription::fits,
    time::Timestamp,
    webhook::Webhook,
};

/// Characters of a text that a reason quotes.
const QUOTED_CHARS: usize = 60;
/// Values of a filter that a reason quotes.
const QUOTED_VALUES: usize = 3;

/// Whether an event that is published now would go to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes there.
    Matched {
        /// The first of the webhook's event names that fits.
        pattern: &'a str,
    },
    /// The webhook is stopped.
    Stopped,
    /// None of the webhook's event names fits.
    NotSubscribed,
    /// This filter, counted from 0, is the first that does not hold.
    Filtered(usize),
}

/// What is known of an event's way to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The event was not published.
    Hypothetical,
    /// It was, at that time; with the delivery, where there is one.
    Published(Timestamp, Option<DeliveryStatus>),
}

/// What a caller is told of an event and a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the event goes there, or went.
    pub matched: bool,
    /// Why.
    pub reason: String,
}

/// Decides on one webhook. `payload` is absent where filters cannot read it.
pub fn decide<'a>(webhook: &'a Webhook, name: &str, payload: Option<&Value>) -> Verdict<'a> {
    let spec = &webhook.spec;
    if !webhook.takes_events() {
        return Verdict::Stopped;
    }
    let Some(pattern) = spec.event_names.iter().find(|pattern| fits(pattern, name)) else {
        return Verdict::NotSubscribed;
    };
    match first_unfulfilled(&spec.event_filters, payload) {
        Some(index) => Verdict::Filtered(index),
        None => Verdict::Matched { pattern },
    }
}

/// Explains one webhook that is not deleted.
pub fn explain(
    webhook: &Webhook,
    name: &str,
    payload: Option<&Value>,
    subject: Subject,
) -> Explanation {
    let verdict = decide(webhook, name, payload);
    let fits_now = matches!(verdict, Verdict::Matched { .. });
    let mut now = in_words(verdict, webhook, name, payload);
    match subject {
        Subject::Hypothetical => {
            if fits_now {
                add_suspension(&mut now, webhook);
            }
            Explanation { matched: fits_now, reason: now }
        }
        Subject::Published(_, Some(status)) => {
            if !fits_now {
                now.insert_str(0, "it matched when the event was published; by now ");
            }
            if !status.is_settled() {
                add_suspension(&mut now, webhook);
            }
            Explanation { matched: true, reason: now }
        }
        Subject::Published(ingest, None) => {
            if webhook.attribution.create_time > ingest {
                now = "webhook was made after the event".to_owned();
            } else if fits_now {
                now.insert_str(0, "it did not match when the event was published; by now ");
            }
            Explanation { matched: false, reason: now }
        }
    }
}

/// Explains a delivery to a webhook that was deleted since.
pub fn explain_deleted() -> Explanation {
    let reason = "it matched when the event was published; the webhook was deleted since";
    Explanation { matched: true, reason: reason.to_owned() }
}

fn add_suspension(reason: &mut String, webhook: &Webhook) {
    if webhook.spec.enabled && webhook.suspension.is_some() {
        reason.push_str("; webhook is suspended, so the delivery waits");
    }
}

fn in_words(
    verdict: Verdict<'_>,
    webhook: &Webhook,
    name: &str,
    payload: Option<&Value>,
) -> String {
    match verdict {
        Verdict::Stopped => "webhook is stopped".to_owned(),
        Verdict::NotSubscribed => format!("event_names has nothing that fits {}", cut(name)),
        Verdict::Filtered(index) => {
            filter_in_words(index, &webhook.spec.event_filters[index], payload)
        }
        Verdict::Matched { pattern } => {
            let mut reason = format!("event_names has {}", cut(pattern));
            match webhook.spec.event_filters.len() {
                0 => {}
                1 => reason.push_str("; its filter holds"),
                n => drop(write!(reason, "; all {n} filters hold")),
            }
            reason
        }
    }
}

fn filter_in_words(index: usize, filter: &EventFilter, payload: Option<&Value>) -> String {
    let path = if filter.path.is_empty() { "payload".to_owned() } else { cut(&filter.path) };
    let operator = match filter.operator {
        FilterOperator::Equals => "=",
        FilterOperator::NotEquals => "!=",
        FilterOperator::Exists => "exists",
        FilterOperator::Prefix => "begins with",
        FilterOperator::GreaterThan => ">",
        FilterOperator::LessThan => "<",
    };
    let mut reason = format!("filter {} ({path} {operator}", index + 1);
    for (i, value) in filter.values.iter().take(QUOTED_VALUES).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(reason, "{} {}", if i == 0 { "" } else { " or" }, quoted(value));
    }
    if filter.values.len() > QUOTED_VALUES {
        let _ = write!(reason, " or {} more", filter.values.len() - QUOTED_VALUES);
    }
    reason.push_str("): ");
    match payload.map(|payload| payload.pointer(&filter.path)) {
        None => reason.push_str("the payload has a number beyond the range of doubles"),
        Some(None) => reason.push_str("there is no value"),
        Some(Some(found)) => drop(write!(reason, "value is {}", quoted(found))),
    }
    reason
}

/// A value in a few characters, however large it is.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => Value::from(cut(text)).to_string(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "explanation_tests.rs"]
mod tests;
