//! Pages of the journal that many tails share, and what each of them takes of a page.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{delivery::Change, id::Position};

/// Consecutive changes of one tenant's journal. It is read once, and shown once, for all
/// tails that follow.
#[derive(Debug)]
pub struct ChangePage {
    changes: Box<[Change]>,
    shown: OnceLock<Shown>,
}

/// A page as a transport shows it: bytes, a piece of them for each change.
#[derive(Debug, Default)]
pub struct Shown {
    bytes: Bytes,
    /// Where the piece of each change ends.
    ends: Box<[usize]>,
}

impl ChangePage {
    /// A page of these changes, in order and without holes.
    pub fn new(changes: Vec<Change>) -> Self {
        Self { changes: changes.into(), shown: OnceLock::new() }
    }

    /// The changes.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The position before the first change.
    pub fn before(&self) -> Option<Position> {
        self.changes.first().map(|first| Position(first.position.0 - 1))
    }

    /// The position of the last change.
    pub fn last(&self) -> Option<Position> {
        self.changes.last().map(|last| last.position)
    }

    /// How many of its changes are not after a position.
    pub fn up_to(&self, position: Position) -> usize {
        self.changes.partition_point(|change| change.position <= position)
    }

    /// Roughly the bytes of memory that it takes, shown as well.
    pub fn weight(&self) -> usize {
        self.changes.iter().map(weight).sum()
    }
}

/// What the record of a change takes in memory, and again in what is shown of it.
fn weight(change: &Change) -> usize {
    let event = &change.record.event;
    let attributes = event.attributes.iter().map(|(key, value)| key.len() + value.len() + 64);
    let texts = event.event_name.len() + event.ref_id.len() + event.request_id.len();
    let error = change.record.state.last.as_ref().map_or(0, |last| last.error.len());
    // Ids and times are 400 bytes when they are shown.
    size_of::<Change>()
        + size_of_val(&**event)
        + 400
        + 2 * (texts + error)
        + attributes.sum::<usize>()
}

/// Some consecutive changes of a page.
#[derive(Clone, Debug)]
pub struct Run {
    page: Arc<ChangePage>,
    range: Range<usize>,
}

impl Run {
    /// The changes.
    pub fn changes(&self) -> &[Change] {
        &self.page.changes[self.range.clone()]
    }

    /// What is shown of them. Whoever comes first makes it for the whole page: `show` appends a
    /// change to the bytes. It has to be the same for all that share a page.
    pub fn shown(&self, show: impl Fn(&Change, &mut Vec<u8>)) -> Bytes {
        let shown = self.page.shown.get_or_init(|| {
            let mut bytes = Vec::new();
            let show = |change| {
                show(change, &mut bytes);
                bytes.len()
            };
            let ends = self.page.changes.iter().map(show).collect();
            Shown { bytes: bytes.into(), ends }
        });
        let end = |count: usize| count.checked_sub(1).map_or(0, |last| shown.ends[last]);
        shown.bytes.slice(end(self.range.start)..end(self.range.end))
    }
}

/// Changes that were picked out of pages, in log order.
#[derive(Clone, Debug, Default)]
pub struct Picked {
    runs: Vec<Run>,
    len: usize,
}

impl Picked {
    /// Adds changes of a page.
    pub fn push(&mut self, page: &Arc<ChangePage>, range: Range<usize>) {
        self.len += range.len();
        if let Some(last) = self.runs.last_mut()
            && last.range.end == range.start
            && Arc::ptr_eq(&last.page, page)
        {
            last.range.end = range.end;
        } else if !range.is_empty() {
            self.runs.push(Run { page: Arc::clone(page), range });
        }
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The position of the last one.
    pub fn last(&self) -> Option<Position> {
        self.runs.last().and_then(|run| run.changes().last()).map(|last| last.position)
    }

    /// The changes that stand one after the other in one page each.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// All changes.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.runs.iter().flat_map(Run::changes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{cell::Cell, collections::BTreeMap};

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        delivery::{ChangeKind, DeliveryState, EventLabel, LogRecord, WebhookLabel},
        id::{EventId, EventKey, WebhookId, WebhookKey},
        time::Timestamp,
    };

    /// A page of changes with these positions.
    pub(crate) fn page(positions: std::ops::RangeInclusive<i64>) -> Arc<ChangePage> {
        let event = Arc::new(EventLabel {
            key: EventKey(1),
            event_id: EventId(Uuid::from_u128(7)),
            event_name: "a".into(),
            ref_id: String::new(),
            request_id: String::new(),
            ingest_time: Timestamp::default(),
            attributes: BTreeMap::new(),
        });
        let webhook = WebhookLabel {
            key: WebhookKey(1),
            webhook_id: WebhookId::new(Timestamp::default(), [1; 8]),
            consumer_group_id: Uuid::from_u128(9),
        };
        let change = |position| Change {
            position: Position(position),
            time: Timestamp::default(),
            kind: ChangeKind::Accepted,
            record: LogRecord {
                event: Arc::clone(&event),
                webhook,
                state: DeliveryState::ACCEPTED,
                attempts: Vec::new(),
            },
        };
        Arc::new(ChangePage::new(positions.map(change).collect()))
    }

    #[test]
    fn what_is_picked_side_by_side_is_one_run() {
        let (first, second) = (page(1..=5), page(6..=9));
        let mut picked = Picked::default();
        assert!(picked.is_empty() && picked.last().is_none());
        for (page, range) in
            [(&first, 0..2), (&first, 2..3), (&first, 4..5), (&second, 0..1), (&second, 1..1)]
        {
            picked.push(page, range);
        }
        let positions: Vec<i64> = picked.iter().map(|change| change.position.0).collect();
        assert_eq!(positions, [1, 2, 3, 5, 6]);
        assert_eq!((picked.len(), picked.runs().len(), picked.last()), (5, 3, Some(Position(6))));
        assert_eq!((first.before(), first.last()), (Some(Position(0)), Some(Position(5))));
        assert_eq!((first.up_to(Position(0)), first.up_to(Position(3))), (0, 3));
        assert!(second.weight() > 4 * 400);
    }

    #[test]
    fn a_page_is_shown_once_and_cut_as_it_was_picked() {
        let (page, shown) = (page(8..=11), Cell::new(0));
        let show = |change: &Change, bytes: &mut Vec<u8>| {
            shown.set(shown.get() + 1);
            bytes.extend(change.position.0.to_string().bytes());
        };
        for (range, expected) in [(0..4, "891011"), (1..3, "910"), (3..4, "11"), (0..1, "8")] {
            let mut picked = Picked::default();
            picked.push(&page, range);
            assert_eq!(picked.runs()[0].shown(show), expected);
        }
        assert_eq!(shown.get(), 4);
    }
}
