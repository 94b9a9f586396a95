//! Who is told of a webhook's failures, as far as the domain alone cannot check it.

use crate::{
    domain::{
        body::PayloadFormat,
        error::{Faults, Reason},
        failure_handling::FailureHandling,
        limits,
        webhook::WebhookSpec,
    },
    sender::{Target, is_mail_address},
};

/// Path of the alert URL in requests.
pub(super) const ALERT_URL: &str = "webhook.failure_handling.alert_url";

/// Where alerts go; what cannot be read is told by the check of the URL.
pub(super) fn alerts(spec: &WebhookSpec) -> Option<Target> {
    Target::parse(alert_url(spec)).ok()
}

/// Where alerts go, unless they did before: a URL that leads elsewhere by now is no fault
/// of a change of something else.
pub(super) fn new_alerts(spec: &WebhookSpec, before: &WebhookSpec) -> Option<Target> {
    alerts(spec).filter(|_| alert_url(spec) != alert_url(before))
}

fn alert_url(spec: &WebhookSpec) -> &str {
    spec.failure_handling.as_ref().map_or("", |handling| &handling.alert_url)
}

/// Whether mails can be sent, and to these addresses. Webhooks of SuperOffice keep an address even
/// where nobody can be mailed yet: every documented definition has one.
pub(super) fn check_emails(spec: &WebhookSpec, mail: bool, faults: &mut Faults) {
    let Some(FailureHandling { notify_emails: emails, .. }) = &spec.failure_handling else {
        return;
    };
    let at = "webhook.failure_handling.notify_emails";
    let mail = mail || spec.payload_format == PayloadFormat::SuperOffice;
    if !mail && !emails.is_empty() {
        let message = "needs a mail server: configure smtp_url and mail_from";
        faults.add(at, Reason::FeatureNotAvailable, message);
    }
    for (i, email) in emails.iter().enumerate().take(limits::NOTIFY_EMAILS) {
        if !is_mail_address(email) {
            faults.invalid(format!("{at}[{i}]"), "must be an e-mail address");
        }
    }
}
