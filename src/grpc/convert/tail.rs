//! Tails: what is asked for, and what is said.

use std::time::Duration;

use super::{event_log::show_record, filter::read_filter, time, value};
use crate::{
    domain::{
        change_page::Picked,
        delivery::Change,
        error::{Faults, Reason},
        id::TenantId,
        tail::{Lag, SlowConsumerPolicy, TailBody, TailMessage, TailRequest, TailStart},
    },
    grpc::proto::{self, tail_event_logs_request::Start, tail_event_logs_response::Message},
};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEATS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);
const DEFAULT_BATCH: usize = 100;
const MAX_BATCH: usize = 500;
const LONGEST_BATCH_DELAY: Duration = Duration::from_secs(10);

/// Reads what a tail is asked for.
pub(crate) fn read_tail(request: proto::TailEventLogsRequest, faults: &mut Faults) -> TailRequest {
    let proto::TailEventLogsRequest {
        tenant_id: _,
        start,
        filter,
        view,
        heartbeat_interval,
        slow_consumer_policy,
        max_batch_size,
        max_batch_delay,
        stop_when_caught_up,
    } = request;
    let at = "heartbeat_interval";
    let heartbeat = time::read_duration(heartbeat_interval.as_ref(), at, faults);
    let heartbeat = heartbeat.unwrap_or(DEFAULT_HEARTBEAT);
    if !HEARTBEATS.contains(&heartbeat) {
        faults.invalid(at, "must be 1 s to 60 s");
    }
    let at = "max_batch_delay";
    let delay = time::read_duration(max_batch_delay.as_ref(), at, faults).unwrap_or_default();
    if delay > LONGEST_BATCH_DELAY {
        faults.invalid(at, "must be at most 10 s");
    }
    TailRequest {
        start: read_start(start, faults),
        filter: read_filter(filter, faults),
        full: value::read_view(view, proto::View::Basic, faults),
        heartbeat,
        slow_consumer: read_policy(slow_consumer_policy, faults),
        max_batch_size: read_batch_size(max_batch_size, faults),
        max_batch_delay: delay,
        stop_when_caught_up,
    }
}

fn read_start(start: Option<Start>, faults: &mut Faults) -> TailStart {
    match start {
        None => TailStart::Latest,
        Some(Start::ResumeToken(token)) => {
            if token.is_empty() {
                // Taken for "from now on", it would skip what its client missed.
                faults.add("resume_token", Reason::ResumeTokenInvalid, "is empty");
            }
            TailStart::Token(token)
        }
        Some(Start::FromTime(from)) => time::read_timestamp(Some(&from), "from_time", faults)
            .map_or(TailStart::Latest, TailStart::Time),
        Some(Start::Position(position)) => {
            match value::read_enum(position, "position", faults).unwrap_or_default() {
                proto::TailStart::Unspecified | proto::TailStart::Latest => TailStart::Latest,
                proto::TailStart::Earliest => TailStart::Earliest,
            }
        }
    }
}

fn read_policy(number: i32, faults: &mut Faults) -> SlowConsumerPolicy {
    match value::read_enum(number, "slow_consumer_policy", faults).unwrap_or_default() {
        proto::SlowConsumerPolicy::Unspecified | proto::SlowConsumerPolicy::CatchUp => {
            SlowConsumerPolicy::CatchUp
        }
        proto::SlowConsumerPolicy::Skip => SlowConsumerPolicy::Skip,
        proto::SlowConsumerPolicy::Disconnect => SlowConsumerPolicy::Disconnect,
    }
}

fn read_batch_size(size: i32, faults: &mut Faults) -> usize {
    match usize::try_from(size) {
        Ok(0) => DEFAULT_BATCH,
        Ok(size @ 1..=MAX_BATCH) => size,
        Ok(_) | Err(_) => {
            faults.invalid("max_batch_size", format!("must be 1 to {MAX_BATCH}"));
            DEFAULT_BATCH
        }
    }
}

/// A message of a tail for the wire.
pub(crate) fn show_tail(
    message: TailMessage,
    tenant: &TenantId,
    full: bool,
) -> proto::TailEventLogsResponse {
    let TailMessage { token, body } = message;
    let message = match body {
        TailBody::Opened { server_time, heartbeat, oldest_token } => {
            Message::Opened(proto::TailOpened {
                server_time: Some(time::show_timestamp(server_time)),
                heartbeat_interval: Some(time::show_duration(heartbeat)),
                oldest_resume_token: oldest_token,
            })
        }
        TailBody::Changes(picked) => Message::EventLogs(show_changes(&picked, tenant, full)),
        TailBody::Progress { server_time, lag: Lag { changes, time: lag } } => {
            Message::Progress(proto::TailProgress {
                server_time: Some(time::show_timestamp(server_time)),
                lag_changes: changes,
                lag_time: (!lag.is_zero()).then(|| time::show_duration(lag)),
            })
        }
        TailBody::CaughtUp { server_time } => Message::CaughtUp(proto::TailCaughtUp {
            server_time: Some(time::show_timestamp(server_time)),
        }),
        TailBody::FellBehind(Lag { changes, time: lag }) => {
            Message::FellBehind(proto::TailFellBehind {
                lag_changes: changes,
                lag_time: Some(time::show_duration(lag)),
            })
        }
        TailBody::Gap { cause, skipped, start_time, end_time } => Message::Gap(proto::TailGap {
            // The domain's numbers are the contract's.
            cause: cause as i32,
            skipped_count: i64::try_from(skipped).unwrap_or(i64::MAX),
            start_time: start_time.map(time::show_timestamp),
            end_time: end_time.map(time::show_timestamp),
        }),
    };
    proto::TailEventLogsResponse { resume_token: token, message: Some(message) }
}

/// Attempts are read for one tail alone; all else is encoded once for all that share it.
fn show_changes(picked: &Picked, tenant: &TenantId, full: bool) -> proto::EventLogBatch {
    let show = |change: &Change| show_change(change, tenant, full);
    if full {
        return picked.iter().map(show).collect::<Vec<_>>().into();
    }
    let encode = |change: &Change, bytes: &mut Vec<u8>| {
        proto::EventLogBatch::encode_change(&show(change), bytes);
    };
    proto::EventLogBatch::encoded(picked.runs().iter().map(|run| run.shown(encode)).collect())
}

fn show_change(change: &Change, tenant: &TenantId, full: bool) -> proto::EventLogChange {
    let Change { position, time: written, kind, record } = change;
    proto::EventLogChange {
        sequence: position.0,
        change_time: Some(time::show_timestamp(*written)),
        event_log: Some(show_record(record, tenant, full)),
        kind: kind.number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: proto::TailEventLogsRequest) -> (TailRequest, Vec<String>) {
        let mut faults = Faults::default();
        let read = read_tail(request, &mut faults);
        let violations = faults.check().err().map(|e| e.violations).unwrap_or_default();
        (read, violations.into_iter().map(|v| v.field).collect())
    }

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn an_empty_request_follows_from_now_on() {
        let (tail, faults) = read(proto::TailEventLogsRequest::default());
        assert!(faults.is_empty() && !tail.full && tail.filter.is_empty());
        assert_eq!(tail.start, TailStart::Latest);
        assert_eq!((tail.heartbeat, tail.max_batch_size), (DEFAULT_HEARTBEAT, 100));
        assert_eq!(
            (tail.slow_consumer, tail.max_batch_delay),
            (SlowConsumerPolicy::CatchUp, Duration::ZERO)
        );
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let (_, faults) = read(proto::TailEventLogsRequest {
            start: Some(Start::ResumeToken(String::new())),
            view: 9,
            heartbeat_interval: seconds(61),
            slow_consumer_policy: 9,
            max_batch_size: 501,
            max_batch_delay: seconds(11),
            ..Default::default()
        });
        assert_eq!(
            faults,
            [
                "heartbeat_interval",
                "max_batch_delay",
                "resume_token",
                "view",
                "slow_consumer_policy",
                "max_batch_size",
            ]
        );
        let (_, faults) = read(proto::TailEventLogsRequest {
            start: Some(Start::Position(3)),
            heartbeat_interval: seconds(0),
            max_batch_size: -1,
            ..Default::default()
        });
        assert_eq!(faults, ["heartbeat_interval", "position", "max_batch_size"]);
    }
}
