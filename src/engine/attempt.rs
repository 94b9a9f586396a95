//! One attempt: the request as it goes out, and what is kept of its end.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{clock::Clock, delivery::Delivery, lane_config::LaneConfig};
use crate::{
    domain::{
        delivery::{Attempt, AttemptOutcome, AttemptSummary},
        notification::{ATTEMPT_HEADER, format_header, format_headers},
        retry_after,
        signature::Signer,
        time::Timestamp,
    },
    sender::{Answer, Connection, Failure, FailureKind, Request},
};

const ATTEMPT: HeaderName = HeaderName::from_static(ATTEMPT_HEADER);

/// Headers that an attempt adds of its own, at most: its number, its format, its signature; and
/// those that say where it goes and how long it is.
const OWN: usize = 12;

/// An attempt that was made.
pub(super) struct Attempted {
    pub(super) attempt: Attempt,
    /// The pause that the destination asked for with a failure.
    pub(super) retry_after: Option<Duration>,
}

/// Makes attempt number `number` of a delivery.
pub(super) async fn attempt(
    connection: &mut Connection,
    lane: &LaneConfig,
    delivery: &Delivery,
    number: u32,
    clock: &dyn Clock,
) -> Attempted {
    let start_time = clock.now();
    let result = match &lane.target {
        Some(target) => {
            let request = request(lane, delivery, number, start_time);
            connection.send(target, request, &lane.limits).await
        }
        None => Err(Failure {
            kind: FailureKind::Connection,
            message: "the URL cannot be used".to_owned(),
            time_taken: Duration::ZERO,
        }),
    };
    let end_time = clock.now().max(start_time);
    let retry_after = result.as_ref().ok().and_then(|answer| asked_pause(answer, end_time));
    let (summary, body_excerpt) = summary(result);
    let attempt = Attempt {
        number,
        start_time,
        end_time,
        summary,
        body_excerpt,
        webhook_version: lane.webhook.version,
    };
    Attempted { attempt, retry_after }
}

fn asked_pause(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let failed = !is_success(answer);
    let header = answer.headers.get(header::RETRY_AFTER).filter(|_| failed)?;
    retry_after::parse(header.to_str().ok()?, now)
}

fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

fn request(lane: &LaneConfig, delivery: &Delivery, number: u32, now: Timestamp) -> Request {
    let event = delivery.outgoing.id();
    let of_lane = lane.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    let of_event = delivery.outgoing.headers().iter().cloned();
    let mut headers = HeaderMap::with_capacity(lane.headers.len() + of_event.len() + OWN);
    headers.extend(of_lane.chain(of_event));
    headers.insert(ATTEMPT, HeaderValue::from(number));
    for name in format_headers(lane.webhook.spec.payload_format) {
        // They are visible ASCII by construction.
        if let Ok(value) = HeaderValue::try_from(format_header(name, &event, number)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let method = lane.method.clone();
    let body = match method {
        // It is sent without one, and signed as it is sent.
        Method::GET => Bytes::new(),
        _ => delivery.outgoing.body(&lane.tenant, &lane.recipe),
    };
    if let Some(signer) = &lane.signer {
        sign(&mut headers, signer, event.event_id, now, &body);
    }
    Request { method, headers, body }
}

fn sign(headers: &mut HeaderMap, signer: &Signer, event_id: &str, now: Timestamp, body: &[u8]) {
    for (name, value) in signer.headers(event_id, now, body) {
        // The rules let no name be stored that is none; values are base64, hex or digits.
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            continue;
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

fn summary(result: Result<Answer, Failure>) -> (AttemptSummary, String) {
    match result {
        Ok(answer) => {
            let success = is_success(&answer);
            let summary = AttemptSummary {
                outcome: if success { AttemptOutcome::Success } else { AttemptOutcome::HttpError },
                http_status: answer.status,
                time_taken: answer.time_taken,
                error: if success { String::new() } else { format!("answered {}", answer.status) },
            };
            // U+0000 has no place in a text column.
            let excerpt = String::from_utf8_lossy(&answer.excerpt).replace('\0', "\u{fffd}");
            (summary, excerpt)
        }
        Err(failure) => {
            let summary = AttemptSummary {
                outcome: match failure.kind {
                    FailureKind::Timeout => AttemptOutcome::Timeout,
                    FailureKind::Connection => AttemptOutcome::ConnectionError,
                    FailureKind::Tls => AttemptOutcome::TlsError,
                    FailureKind::Forbidden => AttemptOutcome::ForbiddenDestination,
                },
                http_status: 0,
                time_taken: failure.time_taken,
                error: failure.message.replace('\0', "\u{fffd}"),
            };
            (summary, String::new())
        }
    }
}
