//! The newest pages of a journal, for tails that follow closely.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    domain::{change_page::ChangePage, id::Position},
    store::{JournalBounds, JournalPage},
};

/// Most memory that the pages of a tenant take, roughly; the newest page is kept in any case.
const WEIGHT: usize = 8 << 20;

/// Pages without a hole between them.
#[derive(Debug)]
pub(super) struct Window {
    pages: VecDeque<(Arc<ChangePage>, usize)>,
    weight: usize,
    /// The position before the first page.
    start: Position,
    /// The position of the last page's last change.
    end: Position,
    /// Where the journal began and ended when it was read last.
    bounds: JournalBounds,
}

/// What a window has for a tail.
#[derive(Debug)]
pub(in crate::service) enum Next {
    /// The page with the change after the tail's position, and the bounds that the journal
    /// had when it was read last.
    Page(Arc<ChangePage>, JournalBounds),
    /// Nothing that the tail does not have: the journal may have more by now.
    End(JournalBounds),
    /// The change after its position is not here any more.
    Behind,
}

impl Window {
    /// An empty one.
    pub(super) fn at(position: Position) -> Self {
        let bounds = JournalBounds { head: position, ..JournalBounds::default() };
        Self { pages: VecDeque::new(), weight: 0, start: position, end: position, bounds }
    }

    pub(super) fn start(&self) -> Position {
        self.start
    }

    pub(super) fn end(&self) -> Position {
        self.end
    }

    pub(super) fn next(&self, position: Position) -> Next {
        if position < self.start {
            return Next::Behind;
        }
        let at = self.pages.partition_point(|(page, _)| page.last() <= Some(position));
        match self.pages.get(at) {
            Some((page, _)) => Next::Page(Arc::clone(page), self.bounds),
            None => Next::End(self.bounds),
        }
    }

    /// Takes in what was read after its end. Says whether the journal has more.
    pub(super) fn push(&mut self, read: JournalPage) -> bool {
        let JournalPage { changes, bounds } = read;
        let page = ChangePage::new(changes);
        let before = page.before().unwrap_or(bounds.floor);
        if before > self.end {
            // Retention came first. Who was not beyond it reads of that in the journal.
            self.pages.clear();
            (self.weight, self.start, self.end) = (0, before, before);
        }
        self.bounds = bounds;
        if let Some(last) = page.last() {
            self.end = last;
            let weight = page.weight();
            self.weight += weight;
            self.pages.push_back((Arc::new(page), weight));
        }
        while self.weight > WEIGHT && self.pages.len() > 1 {
            self.drop_oldest();
        }
        self.end < bounds.head
    }

    /// Keeps no page.
    pub(super) fn clear(&mut self) {
        while self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((page, weight)) = self.pages.pop_front() else { return false };
        self.weight -= weight;
        self.start = page.last().unwrap_or(self.start);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{change_page::tests::page, time::Timestamp};

    fn read(positions: std::ops::RangeInclusive<i64>, floor: i64, head: i64) -> JournalPage {
        let changes = page(positions).changes().to_vec();
        let head_time = Timestamp::default();
        JournalPage {
            changes,
            bounds: JournalBounds { floor: Position(floor), head: Position(head), head_time },
        }
    }

    fn next(window: &Window, position: i64) -> String {
        match window.next(Position(position)) {
            Next::Page(page, bounds) => {
                format!("{}..{}", page.before().expect("not empty").0, bounds.head.0)
            }
            Next::End(bounds) if bounds.head > Position(position) => "more".into(),
            Next::End(_) => "end".into(),
            Next::Behind => "behind".into(),
        }
    }

    #[test]
    fn each_tail_finds_the_page_with_its_next_change() {
        let mut window = Window::at(Position(3));
        assert_eq!(next(&window, 3), "end");
        assert!(window.push(read(4..=6, 0, 8)), "there is more");
        assert_eq!(next(&window, 6), "more");
        assert!(!window.push(read(7..=8, 0, 8)));
        let found = [2, 3, 4, 6, 7, 8, 9].map(|position| next(&window, position));
        assert_eq!(found, ["behind", "3..8", "3..8", "6..8", "6..8", "end", "end"]);
        window.clear();
        assert_eq!([7, 8].map(|position| next(&window, position)), ["behind", "end"]);
    }

    #[test]
    fn what_retention_took_is_no_part_of_it() {
        let mut window = Window::at(Position(3));
        window.push(read(4..=6, 0, 6));
        window.push(read(9..=9, 8, 9));
        assert_eq!([6, 7, 8, 9].map(|p| next(&window, p)), ["behind", "behind", "8..9", "end"]);
        let mut empty = read(1..=1, 12, 12);
        empty.changes.clear();
        assert!(!window.push(empty));
        assert_eq!([9, 12].map(|p| next(&window, p)), ["behind", "end"]);
        assert_eq!(window.end(), Position(12));
    }

    #[test]
    fn it_is_bounded() {
        let mut window = Window::at(Position(0));
        let (mut end, mut most) = (0, 0);
        while window.start() == Position(0) {
            window.push(read(end + 1..=end + 500, 0, end + 500));
            end += 500;
            most = most.max(window.weight);
        }
        assert!(window.weight <= WEIGHT && most <= WEIGHT && most > WEIGHT / 2);
        assert_eq!(next(&window, end - 1), format!("{}..{end}", end - 500));
    }
}
