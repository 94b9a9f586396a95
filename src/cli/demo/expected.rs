//! What must have happened in the end, compared with what did.

use std::collections::BTreeSet;

use http::StatusCode;

use super::{receiver::Received, samples::AUTHORIZATION};
use crate::grpc::proto::{DeliveryStatus, EventLog};

/// A delivery that must happen.
pub(super) struct Expected {
    pub(super) event_id: String,
    pub(super) webhook_id: String,
    /// Where it must arrive.
    pub(super) path: String,
    /// Byte for byte.
    pub(super) payload: String,
    /// How many attempts it takes.
    pub(super) attempts: i32,
}

impl Expected {
    fn is(&self, request: &Received) -> bool {
        let body = format!("\"data\":{}}}", self.payload);
        request.answer == StatusCode::OK
            && request.path == self.path
            && request.event_id == self.event_id
            && request.attempt == self.attempts.to_string()
            && request.body.ends_with(body.as_bytes())
    }
}

/// Whether the receiver has everything and refused just one request, and the
/// webhook with credentials sent them.
pub(super) fn arrived(expected: &[Expected], received: &[Received]) -> bool {
    let refused = received.iter().filter(|request| request.answer != StatusCode::OK).count();
    let mut loyalty = received.iter().filter(|request| request.path.starts_with("/test_"));
    refused == 1
        && loyalty.all(|request| request.authorization == AUTHORIZATION)
        && expected.iter().all(|delivery| received.iter().any(|request| delivery.is(request)))
}

/// Whether the log has the expected deliveries, no others, and all as succeeded.
pub(super) fn logged(expected: &[Expected], logs: &[EventLog]) -> bool {
    let wanted: BTreeSet<_> = expected
        .iter()
        .map(|delivery| (&*delivery.event_id, &*delivery.webhook_id, delivery.attempts))
        .collect();
    let found: BTreeSet<_> =
        logs.iter().map(|log| (&*log.event_id, &*log.webhook_id, log.attempt_count)).collect();
    wanted == found
        && logs.len() == expected.len()
        && logs.iter().all(|log| log.status() == DeliveryStatus::Succeeded)
}
