//! States, holds and ages of webhooks; secrets stay out of logs.

use super::*;
use crate::domain::actor::Actor;

fn webhook() -> Webhook {
    Webhook {
        key: WebhookKey(1),
        tenant_key: TenantKey(1),
        webhook_id: WebhookId::new(Timestamp::default(), [0; 8]),
        number: 1,
        consumer_group_id: Uuid::nil(),
        spec: WebhookSpec::default(),
        suspension: None,
        holds: Vec::new(),
        version: 1,
        attribution: Attribution::new(Timestamp::default(), Actor::default()),
        delete_time: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

#[test]
fn time_under_suspension_does_not_age_a_delivery() {
    let mut hook = webhook();
    let suspend = |from| Suspension {
        suspend_time: at(from),
        cause: SuspensionCause::Operator,
        message: String::new(),
        resume_time: None,
    };
    hook.suspension = Some(suspend(10));
    hook.lift_suspension(at(30));
    hook.suspension = Some(suspend(50));
    assert_eq!(hook.age(at(0), at(60)), Duration::from_secs(30));
    assert_eq!(hook.age(at(20), at(40)), Duration::from_secs(10));
    assert_eq!(hook.age(at(55), at(60)), Duration::ZERO);
}

#[test]
fn many_suspensions_are_remembered_in_bounded_space() {
    let mut hook = webhook();
    for round in 0..1_000 {
        hook.suspension = Some(Suspension {
            suspend_time: at(round * 10),
            cause: SuspensionCause::Operator,
            message: String::new(),
            resume_time: None,
        });
        hook.lift_suspension(at(round * 10 + 5));
    }
    assert!(hook.holds.len() <= HOLDS_KEPT);
    assert_eq!(hook.age(at(9_990), at(10_000)), Duration::from_secs(5));
}

#[test]
fn stopped_wins_over_a_suspension() {
    let mut hook = webhook();
    assert_eq!(hook.state(), WebhookState::Active);
    hook.suspension = Some(Suspension {
        suspend_time: at(0),
        cause: SuspensionCause::Gone,
        message: String::new(),
        resume_time: None,
    });
    assert_eq!(hook.state(), WebhookState::TooManyErrors);
    hook.spec.enabled = false;
    assert_eq!(hook.state(), WebhookState::Stopped);
}

#[test]
fn sensitive_values_do_not_reach_debug_output() {
    let header = Header {
        name: "Authorization".into(),
        values: vec!["Basic c2VjcmV0".into()],
        sensitive: true,
    };
    assert!(!format!("{header:?}").contains("c2VjcmV0"));
}
