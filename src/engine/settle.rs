//! From an attempt to the delivery's new state: the domain decides, this applies it.

use super::{attempt::Attempted, delivery::Delivery, lane_config::LaneConfig, recorder::Outcome};
use crate::{
    domain::{
        alert::Alert,
        delivery::{Attempt, ChangeKind, DeliveryState, DeliveryStatus, DivertReason},
        retry::{self, Ending, Transition},
        time::Timestamp,
    },
    store::Settlement,
};

/// What an attempt made of a delivery.
pub(super) struct Settled {
    /// To be recorded.
    pub(super) outcome: Outcome,
    /// Why it was given up, where it was.
    pub(super) given_up: Option<DivertReason>,
}

/// What an attempt makes of a delivery. `chance` is a random number in 0..1.
pub(super) fn after_attempt(
    lane: &LaneConfig,
    delivery: &Delivery,
    Attempted { attempt, retry_after }: Attempted,
    now: Timestamp,
    chance: f64,
) -> Settled {
    let ending =
        Ending { outcome: attempt.summary.outcome, http_status: attempt.summary.http_status };
    let age = lane.webhook.age(delivery.age_from(), now);
    let transition = if delivery.state.status == DeliveryStatus::Succeeded {
        // One more attempt, asked for by hand, of what was delivered already.
        Transition::Succeed
    } else {
        match retry::decide(&lane.policy, ending, attempt.number, age, retry_after, chance) {
            Transition::Retry(_) if !lane.webhook.takes_events() => {
                Transition::Divert(DivertReason::WebhookStopped)
            }
            transition => transition,
        }
    };
    if !matches!(transition, Transition::Succeed) {
        tracing::debug!(
            tenant = %lane.tenant,
            webhook = %lane.webhook.webhook_id,
            event = %delivery.outgoing.event.event_id,
            attempt = attempt.number,
            error = attempt.summary.error,
            ?transition,
            "attempt failed"
        );
    }
    let (kind, status, due_time, divert_reason) = match transition {
        Transition::Succeed => (ChangeKind::Settled, DeliveryStatus::Succeeded, None, None),
        Transition::Retry(wait) => {
            let due = attempt.end_time.plus(wait);
            (ChangeKind::AttemptFailed, DeliveryStatus::Retrying, Some(due), None)
        }
        Transition::Divert(reason) => {
            let (status, reason) = given_up(lane, reason);
            (ChangeKind::Settled, status, None, reason)
        }
    };
    let state = DeliveryState {
        status,
        attempt_count: attempt.number,
        due_time,
        start_time: delivery.state.start_time.or(Some(attempt.start_time)),
        end_time: status.is_settled().then_some(attempt.end_time),
        sla_breach_time: if delivery.state.status == DeliveryStatus::Succeeded {
            delivery.state.sla_breach_time
        } else {
            breach(delivery, attempt.end_time)
        },
        last: Some(attempt.summary.clone()),
    };
    let given_up = match transition {
        Transition::Divert(reason) => Some(reason),
        Transition::Succeed | Transition::Retry(_) => None,
    };
    let mut outcome = outcome(lane, delivery, Some(attempt), state, divert_reason, kind, now);
    outcome.settlement.alert = given_up.and_then(|why| alert(lane, delivery, &outcome, why));
    Settled { outcome, given_up }
}

/// What becomes of a delivery that is too old to be attempted; `None` where it is not.
pub(super) fn expired(lane: &LaneConfig, delivery: &Delivery, now: Timestamp) -> Option<Outcome> {
    let age = lane.webhook.age(delivery.age_from(), now);
    // What is asked for by hand has a time of its own and is done at any age.
    if age <= lane.policy.max_age() || delivery.state.due_time.is_some() {
        return None;
    }
    let (status, reason) = given_up(lane, DivertReason::Expired);
    let state = DeliveryState {
        status,
        end_time: Some(now),
        sla_breach_time: breach(delivery, now),
        ..delivery.state.clone()
    };
    let mut outcome = outcome(lane, delivery, None, state, reason, ChangeKind::Settled, now);
    outcome.settlement.alert = alert(lane, delivery, &outcome, DivertReason::Expired);
    Some(outcome)
}

/// What becomes of a delivery that is given up: kept, unless its webhook wants what is
/// exhausted dropped. What waits when a webhook is stopped is kept in any case.
fn given_up(lane: &LaneConfig, reason: DivertReason) -> (DeliveryStatus, Option<DivertReason>) {
    let handling = lane.webhook.spec.failure_handling.as_ref();
    let dropped = handling.is_some_and(|handling| handling.drop_exhausted);
    if dropped && reason != DivertReason::WebhookStopped {
        return (DeliveryStatus::Dropped, None);
    }
    (DeliveryStatus::Diverted, Some(reason))
}

/// What the alert URL is sent of a delivery that was given up, where there is one.
fn alert(
    lane: &LaneConfig,
    delivery: &Delivery,
    outcome: &Outcome,
    why: DivertReason,
) -> Option<Alert> {
    let event = &delivery.outgoing.event;
    Alert::of_exhausted(&lane.tenant, &lane.webhook, event, &outcome.settlement.state, why)
}

/// When the SLA was broken: at the moment it ended, if that has passed.
fn breach(delivery: &Delivery, now: Timestamp) -> Option<Timestamp> {
    delivery.state.sla_breach_time.or(delivery.sla_due_time.filter(|due| *due < now))
}

fn outcome(
    lane: &LaneConfig,
    delivery: &Delivery,
    attempt: Option<Attempt>,
    state: DeliveryState,
    divert_reason: Option<DivertReason>,
    kind: ChangeKind,
    time: Timestamp,
) -> Outcome {
    let is_first_success = state.status == DeliveryStatus::Succeeded
        && delivery.state.status != DeliveryStatus::Succeeded;
    Outcome {
        bytes: delivery.bytes(),
        order: delivery.order,
        settlement: Settlement {
            tenant_key: lane.webhook.tenant_key,
            event_key: delivery.event_key,
            webhook_key: lane.webhook.key,
            attempts_before: delivery.state.attempt_count,
            attempt,
            state,
            divert_reason,
            alert: None,
            delivered_from: is_first_success.then_some(delivery.outgoing.event.ingest_time),
            kind,
            time,
            standing: None,
        },
    }
}
