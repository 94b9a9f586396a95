//! Failure handling.

use super::{time, value};
use crate::{
    domain::{error::Faults, failure_handling::FailureHandling},
    grpc::proto,
};

const AT: &str = "webhook.failure_handling";

/// Reads failure handling. Bounds are the domain's to check.
pub(crate) fn read_failure_handling(
    handling: &proto::FailureHandling,
    faults: &mut Faults,
) -> FailureHandling {
    let proto::FailureHandling {
        suspend_after_failures,
        min_failing_time,
        suspend_on_exhausted,
        resume_after,
        drop_exhausted,
        notify_emails,
        alert_url,
    } = handling;
    let at = |field: &str| format!("{AT}.{field}");
    value::check_not_negative(*suspend_after_failures, &at("suspend_after_failures"), faults);
    FailureHandling {
        suspend_after_failures: (*suspend_after_failures).try_into().unwrap_or(0),
        min_failing_time: time::read_duration(
            min_failing_time.as_ref(),
            &at("min_failing_time"),
            faults,
        )
        .unwrap_or_default(),
        suspend_on_exhausted: *suspend_on_exhausted,
        resume_after: time::read_duration(resume_after.as_ref(), &at("resume_after"), faults),
        drop_exhausted: *drop_exhausted,
        notify_emails: notify_emails.clone(),
        alert_url: alert_url.clone(),
    }
}

/// Failure handling for the wire.
pub(crate) fn show_failure_handling(handling: &FailureHandling) -> proto::FailureHandling {
    let FailureHandling {
        suspend_after_failures,
        min_failing_time,
        suspend_on_exhausted,
        resume_after,
        drop_exhausted,
        notify_emails,
        alert_url,
    } = handling;
    proto::FailureHandling {
        suspend_after_failures: value::show_count(*suspend_after_failures),
        min_failing_time: (!min_failing_time.is_zero())
            .then(|| time::show_duration(*min_failing_time)),
        suspend_on_exhausted: *suspend_on_exhausted,
        resume_after: resume_after.map(time::show_duration),
        drop_exhausted: *drop_exhausted,
        notify_emails: notify_emails.clone(),
        alert_url: alert_url.clone(),
    }
}
