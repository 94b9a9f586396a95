//! Retry policies: three ways to say the waits, of which one may be chosen.

use super::{time, value};
use crate::{
    domain::{
        error::{Faults, Reason},
        retry::{RetryPolicy, Waits},
    },
    grpc::proto,
};

const AT: &str = "webhook.retry_policy";

/// Reads a policy. Bounds are the domain's to check.
pub(crate) fn read_retry_policy(policy: &proto::RetryPolicy, faults: &mut Faults) -> RetryPolicy {
    let waits = read_waits(policy, faults);
    let proto::RetryPolicy {
        max_retries,
        schedule: _,
        initial_backoff: _,
        max_backoff: _,
        multiplier: _,
        jitter,
        max_age,
        retry_on,
    } = policy;
    let mut classes = Vec::with_capacity(retry_on.len());
    for (i, class) in retry_on.iter().enumerate() {
        match class.parse() {
            Ok(class) => classes.push(class),
            Err(fault) => faults.invalid(format!("{AT}.retry_on[{i}]"), fault),
        }
    }
    value::check_not_negative(max_retries.unwrap_or(0), &format!("{AT}.max_retries"), faults);
    RetryPolicy {
        max_retries: max_retries.and_then(|retries| retries.try_into().ok()),
        waits,
        jitter: *jitter,
        max_age: time::read_duration(max_age.as_ref(), &format!("{AT}.max_age"), faults),
        retry_on: classes,
    }
}

fn read_waits(policy: &proto::RetryPolicy, faults: &mut Faults) -> Waits {
    let proto::RetryPolicy { schedule, initial_backoff, max_backoff, multiplier, .. } = policy;
    let has_backoff = initial_backoff.is_some() || max_backoff.is_some() || multiplier.is_some();
    if !schedule.is_empty() {
        if has_backoff {
            let message = "excludes initial_backoff, max_backoff and multiplier";
            faults.invalid(format!("{AT}.schedule"), message);
        }
        let read =
            |(i, wait)| time::read_duration(Some(wait), &format!("{AT}.schedule[{i}]"), faults);
        return Waits::Schedule(schedule.iter().enumerate().filter_map(read).collect());
    }
    let mut read = |given: &Option<_>, field| {
        time::read_duration(given.as_ref(), &format!("{AT}.{field}"), faults)
    };
    let (initial, max) =
        (read(initial_backoff, "initial_backoff"), read(max_backoff, "max_backoff"));
    if has_backoff && initial_backoff.is_none() {
        let message = "is required where max_backoff or multiplier is set";
        faults.add(format!("{AT}.initial_backoff"), Reason::FieldRequired, message);
    }
    match initial {
        Some(initial) => Waits::Backoff { initial, max, multiplier: *multiplier },
        None => Waits::Default,
    }
}

/// A policy for the wire, as it is stored: what was absent stays absent.
pub(crate) fn show_retry_policy(policy: &RetryPolicy) -> proto::RetryPolicy {
    let RetryPolicy { max_retries, waits, jitter, max_age, retry_on } = policy;
    let mut shown = proto::RetryPolicy {
        max_retries: max_retries.map(value::show_count),
        jitter: *jitter,
        max_age: max_age.map(time::show_duration),
        retry_on: retry_on.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    match waits {
        Waits::Default => {}
        Waits::Schedule(waits) => {
            shown.schedule = waits.iter().copied().map(time::show_duration).collect();
        }
        Waits::Backoff { initial, max, multiplier } => {
            shown.initial_backoff = Some(time::show_duration(*initial));
            shown.max_backoff = max.map(time::show_duration);
            shown.multiplier = *multiplier;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    fn violations(policy: &proto::RetryPolicy) -> Vec<(String, Reason)> {
        let mut faults = Faults::default();
        read_retry_policy(policy, &mut faults);
        let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
        let tail =
            |field: String| field.rsplit_once('.').map(|(_, t)| t.to_owned()).unwrap_or(field);
        violations.into_iter().map(|v| (tail(v.field), v.reason)).collect()
    }

    #[test]
    fn the_ways_to_say_the_waits_exclude_each_other() {
        let schedule = proto::RetryPolicy { schedule: vec![seconds(1)], ..Default::default() };
        assert!(violations(&schedule).is_empty());
        let both = proto::RetryPolicy { multiplier: Some(2.0), ..schedule };
        assert_eq!(violations(&both), [("schedule".to_owned(), Reason::FieldInvalid)]);
    }

    #[test]
    fn a_backoff_needs_its_first_wait() {
        for half in [
            proto::RetryPolicy { max_backoff: Some(seconds(9)), ..Default::default() },
            proto::RetryPolicy { multiplier: Some(2.0), ..Default::default() },
        ] {
            let missing = ("initial_backoff".to_owned(), Reason::FieldRequired);
            assert_eq!(violations(&half), [missing]);
        }
    }

    #[test]
    fn bad_waits_are_named_one_by_one() {
        let policy = proto::RetryPolicy {
            max_retries: Some(-1),
            schedule: vec![seconds(1), seconds(-1), seconds(-2)],
            retry_on: vec!["5xx".to_owned(), "6xx".to_owned()],
            ..Default::default()
        };
        let at: Vec<_> = violations(&policy).into_iter().map(|(field, _)| field).collect();
        assert_eq!(at, ["schedule[1]", "schedule[2]", "retry_on[1]", "max_retries"]);
    }
}
