//! The live tail: takes changes one by one and sees to it that none is missing.

use std::collections::VecDeque;

use tonic::Streaming;

use super::output::{Output, Style};
use crate::{
    cli::refusal::refused,
    grpc::proto::{
        ChangeKind, DeliveryStatus, EventLog, EventLogChange, TailEventLogsResponse,
        tail_event_logs_response::Message,
    },
};

/// An open tail of a log that was empty when it was opened.
pub(super) struct Tail {
    messages: Streaming<TailEventLogsResponse>,
    waiting: VecDeque<EventLogChange>,
    /// The sequence of the last change; they count from 1.
    last: i64,
}

impl Tail {
    /// Waits until the service has fixed the place from which it follows.
    pub(super) async fn open(messages: Streaming<TailEventLogsResponse>) -> Result<Self, String> {
        let mut tail = Self { messages, waiting: VecDeque::new(), last: 0 };
        match tail.message().await? {
            Message::Opened(_) => Ok(tail),
            other => Err(format!("the tail began with {other:?}")),
        }
    }

    /// The next change, however long it takes.
    pub(super) async fn next(&mut self) -> Result<EventLogChange, String> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return self.check(change);
            }
            match self.message().await? {
                Message::EventLogs(batch) => self.waiting.extend(batch.changes),
                Message::Gap(gap) => return Err(format!("the tail has a gap: {gap:?}")),
                Message::Opened(_)
                | Message::Progress(_)
                | Message::CaughtUp(_)
                | Message::FellBehind(_) => {}
            }
        }
    }

    /// How many changes it has shown.
    pub(super) fn count(&self) -> i64 {
        self.last
    }

    fn check(&mut self, change: EventLogChange) -> Result<EventLogChange, String> {
        if change.sequence != self.last + 1 {
            return Err(format!("change {} came after {}", change.sequence, self.last));
        }
        self.last = change.sequence;
        Ok(change)
    }

    async fn message(&mut self) -> Result<Message, String> {
        let next = self.messages.message().await;
        match next.map_err(|status| refused("TailEventLogs", &status))? {
            Some(TailEventLogsResponse { message: Some(message), .. }) => Ok(message),
            Some(_) => Err("the tail sent an empty message".to_owned()),
            None => Err("the tail ended".to_owned()),
        }
    }
}

/// Prints a change in one line. `webhook` is the name of its webhook.
pub(super) fn show(output: &Output, change: &EventLogChange, webhook: &str) -> Result<(), String> {
    let log = change.event_log.clone().unwrap_or_default();
    let at = change.change_time.as_ref();
    let (what, style, detail) = match change.kind() {
        ChangeKind::Accepted => ("accepted", None, String::new()),
        ChangeKind::AttemptFailed => {
            let wait = between(at, log.next_attempt_time.as_ref());
            ("failed", Some(Style::Bad), format!("{}, tried again in {wait}", answer(&log)))
        }
        ChangeKind::Settled if log.status() == DeliveryStatus::Succeeded => {
            let took = between(log.ingest_time.as_ref(), at);
            let detail = match log.attempt_count {
                1 => format!("{} after {took}", answer(&log)),
                nth => format!("{} at attempt {nth}, after {took}", answer(&log)),
            };
            ("delivered", Some(Style::Good), detail)
        }
        ChangeKind::Settled => ("given up", Some(Style::Bad), answer(&log)),
        ChangeKind::SlaBreached => ("late", Some(Style::Bad), "the SLA's time has passed".into()),
        ChangeKind::Requeued => ("put back", None, String::new()),
        ChangeKind::Unspecified => ("changed", None, String::new()),
    };
    let number = output.paint(&format!("#{:<3}", change.sequence), Style::Dim);
    let what = format!("{what:<9}");
    let what = style.map_or(what.clone(), |style| output.paint(&what, style));
    let line = format!("  {number} {:<16}  {webhook:<23}  {what}  {detail}", log.event_name);
    output.line(line.trim_end())
}

fn answer(log: &EventLog) -> String {
    match log.consumer_response.as_ref().map_or(0, |answer| answer.http_status) {
        0 => log.last_error.clone(),
        status => format!("HTTP {status}"),
    }
}

/// The time between two moments, for people.
fn between(from: Option<&prost_types::Timestamp>, to: Option<&prost_types::Timestamp>) -> String {
    let millis =
        |time: &prost_types::Timestamp| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
    match (from, to) {
        (Some(from), Some(to)) => match (millis(to) - millis(from)).max(0) {
            short @ 0..1_000 => format!("{short} ms"),
            long => format!("{}.{} s", long / 1_000, long % 1_000 / 100),
        },
        _ => "an unknown time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let time = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
        let shown = |from, to| between(Some(&from), Some(&to));
        assert_eq!(shown(time(7, 998_000_000), time(8, 3_999_999)), "5 ms");
        assert_eq!(shown(time(7, 0), time(8, 60_000_000)), "1.0 s");
        assert_eq!(shown(time(8, 0), time(7, 0)), "0 ms");
        assert_eq!(between(None, Some(&time(0, 0))), "an unknown time");
    }
}
