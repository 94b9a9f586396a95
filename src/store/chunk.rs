//! Rows of the journal. Nobody changes its entries or looks for one by anything but its
//! position, so a row holds many that were written together: a row for each would be half of
//! what a delivery costs the database.

use prost::Message;
use sea_orm::DbErr;

use super::{failure::corrupt, rows::duration, writer::Entry};
use crate::domain::{
    delivery::{AttemptOutcome, AttemptSummary, ChangeKind, DeliveryState, DeliveryStatus},
    id::{EventKey, WebhookKey},
    time::{Timestamp, micros},
};

/// Bytes after which a row takes no more entries: with its keys it stays within what SQLite
/// keeps of a row in a page of 4 KiB (`(4096 - 12) * 64 / 255 - 23`), and far from where
/// PostgreSQL would compress it.
const BYTES: usize = 850;
/// Entries that a row holds, at most. Few are this small.
pub(super) const ENTRIES: usize = 64;

/// Bytes that wait beside the head of a journal, in a file, until they fill a row: always so
/// many, as a row of the same size is overwritten where it is, and one that grows moves others
/// to other pages. With fewer there are more rows, with more there are fewer heads in a page.
const REST: usize = 384;

/// What a row of the journal holds of an entry, with its length before it, which is never
/// zero. Its position is counted from that of the row's last entry.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(int64, tag = "1")]
    event_key: i64,
    #[prost(int64, tag = "2")]
    webhook_key: i64,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(int64, tag = "4")]
    time: i64,
    #[prost(int32, tag = "5")]
    status: i32,
    #[prost(uint32, tag = "6")]
    attempt_count: u32,
    #[prost(int64, optional, tag = "7")]
    due_time: Option<i64>,
    #[prost(int64, optional, tag = "8")]
    start_time: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    end_time: Option<i64>,
    #[prost(int64, optional, tag = "10")]
    sla_breach_time: Option<i64>,
    #[prost(int32, optional, tag = "11")]
    outcome: Option<i32>,
    #[prost(uint32, tag = "12")]
    http_status: u32,
    #[prost(int64, tag = "13")]
    time_taken: i64,
    #[prost(string, tag = "14")]
    error: String,
}

impl From<&Entry> for Stored {
    fn from(entry: &Entry) -> Self {
        let state = &entry.state;
        let mut stored = Self {
            event_key: entry.event_key.0,
            webhook_key: entry.webhook_key.0,
            kind: entry.kind.number(),
            time: entry.time.micros(),
            status: state.status.number(),
            attempt_count: state.attempt_count,
            due_time: state.due_time.map(Timestamp::micros),
            start_time: state.start_time.map(Timestamp::micros),
            end_time: state.end_time.map(Timestamp::micros),
            sla_breach_time: state.sla_breach_time.map(Timestamp::micros),
            ..Self::default()
        };
        if let Some(last) = &state.last {
            stored.outcome = Some(last.outcome.number());
            stored.http_status = last.http_status.into();
            stored.time_taken = micros(last.time_taken);
            stored.error.clone_from(&last.error);
        }
        stored
    }
}

impl Stored {
    fn entry(self) -> Result<Entry, DbErr> {
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let last = match self.outcome {
            None => None,
            Some(outcome) => Some(AttemptSummary {
                outcome: known(AttemptOutcome::from_number(outcome))?,
                http_status: known(u16::try_from(self.http_status).ok())?,
                time_taken: duration(self.time_taken),
                error: self.error,
            }),
        };
        Ok(Entry {
            event_key: EventKey(self.event_key),
            webhook_key: WebhookKey(self.webhook_key),
            kind: known(ChangeKind::from_number(self.kind))?,
            time: Timestamp::from_micros(self.time),
            state: DeliveryState {
                status: known(DeliveryStatus::from_number(self.status))?,
                attempt_count: self.attempt_count,
                due_time: time(self.due_time),
                start_time: time(self.start_time),
                end_time: time(self.end_time),
                sla_breach_time: time(self.sla_breach_time),
                last,
            },
        })
    }
}

fn known<T>(value: Option<T>) -> Result<T, DbErr> {
    value.ok_or_else(|| corrupt("journal: an entry"))
}

/// Puts entries, one after the other, into as few rows as hold them.
#[derive(Default)]
pub(super) struct Chunks {
    bytes: Vec<u8>,
    entries: usize,
}

impl Chunks {
    /// Goes on with what [`Self::keep`] has left for later.
    pub(super) fn after(mut bytes: Vec<u8>) -> Self {
        let (mut left, mut entries) = (&bytes[..], 0);
        while let Ok(length @ 1..) = prost::decode_length_delimiter(&mut { left })
            && let Some(next) = left.get(length + prost::length_delimiter_len(length)..)
        {
            (left, entries) = (next, entries + 1);
        }
        bytes.truncate(bytes.len() - left.len());
        Self { bytes, entries }
    }

    /// Adds an entry; gives the row that it fills, if it does.
    pub(super) fn push(&mut self, entry: &Entry) -> Option<Vec<u8>> {
        // A vector takes whatever is written to it.
        let _ = Stored::from(entry).encode_length_delimited(&mut self.bytes);
        self.entries += 1;
        (self.entries == ENTRIES || self.bytes.len() >= BYTES).then(|| self.take())
    }

    /// The row that is left, if any.
    pub(super) fn rest(mut self) -> Option<Vec<u8>> {
        (self.entries > 0).then(|| self.take())
    }

    /// The row of what is too much to be left for later, if it is; and what is left.
    pub(super) fn keep(mut self) -> (Option<Vec<u8>>, Vec<u8>) {
        let row = (self.bytes.len() > REST).then(|| self.take());
        self.bytes.resize(REST, 0);
        (row, self.bytes)
    }

    fn take(&mut self) -> Vec<u8> {
        self.entries = 0;
        let next = Vec::with_capacity(self.bytes.len());
        std::mem::replace(&mut self.bytes, next)
    }
}

/// The entries of a row, or of what is left for later.
pub(super) fn entries(mut bytes: &[u8]) -> Result<Vec<Entry>, DbErr> {
    let mut entries = Vec::new();
    while bytes.first().is_some_and(|length| *length > 0) {
        entries.push(known(Stored::decode_length_delimited(&mut bytes).ok())?.entry()?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(number: i64, error: &str) -> Entry {
        let time = Timestamp::from_micros(number);
        Entry {
            event_key: EventKey(number),
            webhook_key: WebhookKey(number ^ 1),
            kind: ChangeKind::Settled,
            time,
            state: DeliveryState {
                status: DeliveryStatus::Diverted,
                attempt_count: 3,
                due_time: None,
                start_time: Some(time),
                end_time: Some(time),
                sla_breach_time: Some(Timestamp::from_micros(-number)),
                last: Some(AttemptSummary {
                    outcome: AttemptOutcome::Timeout,
                    http_status: 599,
                    time_taken: Duration::from_micros(number.unsigned_abs()),
                    error: error.to_owned(),
                }),
            },
        }
    }

    fn accepted(number: i64) -> Entry {
        let (kind, state) = (ChangeKind::Accepted, DeliveryState::ACCEPTED);
        Entry { kind, state, ..entry(number, "") }
    }

    fn rows(entries: &[Entry]) -> Vec<Vec<u8>> {
        let mut chunks = Chunks::default();
        let mut rows: Vec<_> = entries.iter().filter_map(|entry| chunks.push(entry)).collect();
        rows.extend(chunks.rest());
        rows
    }

    #[test]
    fn entries_come_out_of_rows_as_they_went_in() {
        let numbers = [0, 1, -1, i64::MAX, i64::MIN + 1, 1_700_000_000_000_000];
        let mut all: Vec<_> = numbers.map(|number| entry(number, "täglich")).into();
        all.extend((0..1_000).map(accepted));
        all.push(entry(5, &"x".repeat(100_000)));
        all.extend((0..10).map(|number| entry(number, "")));
        let rows = rows(&all);
        let read: Vec<_> = rows.iter().flat_map(|row| entries(row).expect("entries")).collect();
        assert_eq!(read, all);
        assert!(rows.iter().all(|row| entries(row).expect("entries").len() <= ENTRIES));
    }

    #[test]
    fn a_row_is_filled_and_no_more() {
        let now = 1_700_000_000_000_000;
        let all: Vec<_> = (now..now + 1_000).map(|number| entry(number, "")).collect();
        let rows = rows(&all);
        let (last, full) = rows.split_last().expect("rows");
        assert!(full.iter().all(|row| (BYTES..BYTES + 100).contains(&row.len())));
        assert!(!last.is_empty() && last.len() < BYTES + 100);
        assert!(Chunks::default().rest().is_none());
    }

    #[test]
    fn what_is_left_for_later_is_in_the_next_row() {
        let mut all: Vec<_> = (0..200).map(accepted).collect();
        all.extend((0..100).map(|number| entry(number, "late")));
        for part in 1..30 {
            let (mut rows, mut kept) = (Vec::new(), Vec::new());
            for part in all.chunks(part) {
                let mut chunks = Chunks::after(kept);
                rows.extend(part.iter().filter_map(|entry| chunks.push(entry)));
                let row;
                (row, kept) = chunks.keep();
                rows.extend(row);
                assert_eq!(kept.len(), REST);
            }
            assert!(rows.iter().all(|row| row.len() > REST));
            let read = rows.iter().chain([&kept]);
            let read: Vec<_> = read.flat_map(|row| entries(row).expect("entries")).collect();
            assert_eq!(read, all, "{part} at a time");
        }
    }

    #[test]
    fn bytes_that_are_no_entries_are_refused() {
        let row = rows(&[entry(7, "late")]).remove(0);
        for cut in 1..row.len() {
            assert!(entries(&row[..cut]).is_err(), "{cut} bytes of {}", row.len());
        }
        let unknown = Stored { kind: 99, ..Stored::from(&accepted(1)) };
        assert!(entries(&unknown.encode_length_delimited_to_vec()).is_err());
    }
}
