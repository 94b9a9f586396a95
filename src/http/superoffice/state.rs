//! `State` of a webhook: what its owner wants and what became of it, in one word.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use crate::domain::webhook::WebhookState;

/// The states of this dialect, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    /// Deliveries flow.
    Active = 1,
    /// Somebody stopped it.
    Stopped = 2,
    /// Failures stopped it.
    TooManyErrors = 3,
}

impl State {
    const ALL: [Self; 3] = [Self::Active, Self::Stopped, Self::TooManyErrors];

    /// The state of a webhook. What an operator suspended is stopped for others.
    pub(super) fn of(state: WebhookState) -> Self {
        match state {
            WebhookState::Active => Self::Active,
            WebhookState::Stopped | WebhookState::Suspended => Self::Stopped,
            WebhookState::TooManyErrors => Self::TooManyErrors,
        }
    }

    /// Reads a name, without regard to case, or a number; forms and queries write that as text.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => Self::numbered(number.as_u64()?),
            _ => None,
        }
    }

    fn numbered(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u64 == number)
    }

    /// The states of the domain that this one stands for.
    pub(super) fn states(self) -> Vec<WebhookState> {
        match self {
            Self::Active => vec![WebhookState::Active],
            Self::Stopped => vec![WebhookState::Stopped, WebhookState::Suspended],
            Self::TooManyErrors => vec![WebhookState::TooManyErrors],
        }
    }
}

impl FromStr for State {
    type Err = ();

    /// Reads a name or a number.
    fn from_str(text: &str) -> Result<Self, ()> {
        let named = Self::ALL.into_iter().find(|s| format!("{s:?}").eq_ignore_ascii_case(text));
        named.or_else(|| Self::numbered(text.parse().ok()?)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (written, state) in [
            (json!("Active"), State::Active),
            (json!("stopped"), State::Stopped),
            (json!("3"), State::TooManyErrors),
            (json!(2), State::Stopped),
        ] {
            assert_eq!(State::read(&written), Some(state), "{written}");
        }
        for bad in [json!("4"), json!(0), json!(1.5), json!(-1), json!(true), json!("")] {
            assert_eq!(State::read(&bad), None, "{bad}");
        }
    }
}
