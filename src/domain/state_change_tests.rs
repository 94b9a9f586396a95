//! Who is told what.

use uuid::Uuid;

use super::*;
use crate::domain::{
    actor::{Actor, Attribution},
    failure_handling::FailureHandling,
    id::{TenantKey, WebhookId, WebhookKey},
    webhook::{HttpDestination, WebhookSpec},
};

fn webhook() -> Webhook {
    let now = Timestamp::from_micros(1_000_000);
    let spec = WebhookSpec {
        name: "w\r\nBcc: x@y.z".into(),
        destination: HttpDestination {
            url: "https://u:secret@a.test:81/token?key=1".into(),
            ..Default::default()
        },
        failure_handling: Some(FailureHandling {
            notify_emails: vec!["a@b.c".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    Webhook {
        key: WebhookKey(1),
        tenant_key: TenantKey(1),
        webhook_id: WebhookId::new(now, [7; 8]),
        number: 1,
        consumer_group_id: Uuid::nil(),
        spec,
        suspension: None,
        holds: Vec::new(),
        version: 1,
        attribution: Attribution::new(now, Actor::system()),
        delete_time: None,
    }
}

fn suspended(cause: SuspensionCause) -> Webhook {
    let now = Timestamp::from_micros(2_000_000);
    let message = "why\nnot".to_owned();
    let suspension = Some(Suspension { suspend_time: now, cause, message, resume_time: None });
    Webhook { suspension, ..webhook() }
}

#[test]
fn a_change_is_one_of_the_suspension_and_its_cause() {
    use SuspensionCause::{Failures, Gone, Operator};
    let name = |before: &Webhook, after: &Webhook| {
        StateChange::between(before, after).map(|change| change.event_name())
    };
    assert_eq!(name(&webhook(), &webhook()), None);
    assert_eq!(name(&webhook(), &suspended(Gone)), Some(SUSPENDED));
    assert_eq!(name(&suspended(Gone), &suspended(Gone)), None);
    assert_eq!(name(&suspended(Failures), &suspended(Operator)), Some(SUSPENDED));
    assert_eq!(name(&suspended(Operator), &webhook()), Some(RESUMED));
    let deleted = Webhook { delete_time: Some(Timestamp::MAX), ..webhook() };
    assert_eq!(name(&suspended(Operator), &deleted), None);
}

#[test]
fn mails_go_out_when_errors_suspend_and_when_that_ends() {
    use SuspensionCause::{Failures, Gone, Operator};
    let mails = |before: &Webhook, after: &Webhook| {
        StateChange::between(before, after).expect("a change").addresses().len()
    };
    assert_eq!(mails(&webhook(), &suspended(Failures)), 1);
    assert_eq!(mails(&webhook(), &suspended(Gone)), 1);
    assert_eq!(mails(&suspended(Failures), &webhook()), 1);
    assert_eq!(mails(&webhook(), &suspended(Operator)), 0);
    assert_eq!(mails(&suspended(Failures), &suspended(Operator)), 0);
    assert_eq!(mails(&suspended(Operator), &webhook()), 0);
    let mut stopped = suspended(Failures);
    stopped.spec.enabled = false;
    assert_eq!(mails(&webhook(), &stopped), 0, "its state is STOPPED");
}

#[test]
fn nothing_that_is_told_has_secrets_or_lines_of_its_own() {
    let (before, after) = (webhook(), suspended(SuspensionCause::Failures));
    let change = StateChange::between(&before, &after).expect("a change");
    let tenant: TenantId = "t".parse().expect("a tenant");
    let event = change.event(&tenant, EventId(Uuid::nil()));
    let mail = change.mail(&tenant);
    assert_eq!(mail.subject, "Webhook w  Bcc: x@y.z was suspended");
    for told in [&*event.payload, &mail.text] {
        assert!(told.contains("https://a.test:81"), "{told}");
        assert!(!told.contains("secret") && !told.contains("token"), "{told}");
    }
    assert!(mail.text.contains("why not\n"), "{}", mail.text);
}

#[test]
fn a_webhook_is_not_told_of_itself() {
    let (before, after) = (webhook(), suspended(SuspensionCause::Failures));
    let change = StateChange::between(&before, &after).expect("a change");
    let event = change.event(&"t".parse().expect("a tenant"), EventId(Uuid::nil()));
    let other = Webhook { key: WebhookKey(2), ..webhook() };
    assert!(reaches(after.key, &other, &event) && !reaches(after.key, &after, &event));
}
