//! The order of arrivals: lanes hear what commits bring in the order of each tenant's
//! journal, whichever node committed it.
//!
//! What this node committed comes with all that the lanes need. What another one
//! committed is a gap between two such commits, or a hint, and is read from the journal;
//! what comes after it waits until then. On one node alone there never is a gap.

use std::collections::BTreeMap;

use super::KeyMap;
use crate::{
    domain::id::{Position, TenantKey},
    store::{Arrival, Commit},
};

/// Arrivals of a tenant that may wait for others, beyond which they are forgotten and
/// read from the journal like those of other nodes.
const WAITING: usize = 4_096;

/// A part of a journal to be read: what comes after the first position, up to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) after: Position,
    pub(super) to: Position,
}

/// What is known of the journals.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    tenants: KeyMap<TenantKey, Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// The lanes were told of all up to here.
    up_to: Position,
    /// The journal goes at least up to here.
    head: Position,
    /// Parts after that, by their first position.
    parts: BTreeMap<Position, Part>,
    /// Arrivals in them.
    waiting: usize,
    reading: bool,
}

#[derive(Debug)]
struct Part {
    last: Position,
    /// None where another node has written it.
    own: Option<Vec<Arrival>>,
}

impl Sequence {
    /// Takes a tenant's journal up to its present head as told: the lanes will read
    /// what of it still waits.
    pub(super) fn begin(&mut self, tenant: TenantKey, head: Position) {
        self.tenants.entry(tenant).or_insert_with(|| Heard {
            up_to: head,
            head,
            ..Heard::default()
        });
    }

    /// Takes over a commit of this node. Gives what the lanes are to be told now.
    pub(super) fn committed(&mut self, commit: Commit) -> Vec<Arrival> {
        let heard = self.tenants.entry(commit.tenant).or_default();
        heard.head = heard.head.max(commit.last);
        if heard.parts.is_empty() && !heard.reading && commit.first.0 <= heard.up_to.0 + 1 {
            return heard.tell(commit.last, commit.arrivals);
        }
        if heard.waiting + commit.arrivals.len() > WAITING {
            heard.waiting = 0;
            heard.parts.clear();
            return Vec::new();
        }
        heard.waiting += commit.arrivals.len();
        let part = Part { last: commit.last, own: Some(commit.arrivals) };
        heard.parts.insert(commit.first, part);
        heard.advance()
    }

    /// Hears that another node has written these entries. Gives what the lanes are to be
    /// told now.
    pub(super) fn hinted(
        &mut self,
        tenant: TenantKey,
        first: Position,
        last: Position,
    ) -> Vec<Arrival> {
        let heard = self.tenants.entry(tenant).or_default();
        heard.parts.entry(first).or_insert(Part { last, own: None });
        heard.advance()
    }

    /// Hears how far a tenant's journal goes: all up to there that did not come is read.
    pub(super) fn reached(&mut self, tenant: TenantKey, head: Position) {
        let heard = self.tenants.entry(tenant).or_default();
        let own = heard.parts.iter().find(|(_, part)| part.own.is_some()).map(|(first, _)| first.0);
        let last = own.map_or(head, |own| Position(own - 1).min(head));
        if last > heard.up_to {
            let first = Position(heard.up_to.0 + 1);
            heard.parts.insert(first, Part { last, own: None });
        }
    }

    /// What of a tenant's journal is to be read next, where nothing of it is being read.
    pub(super) fn next_read(&mut self, tenant: TenantKey) -> Option<Gap> {
        let heard = self.tenants.get_mut(&tenant).filter(|heard| !heard.reading)?;
        let gap = heard.gap()?;
        heard.reading = true;
        Some(gap)
    }

    /// Ends such a read, which has found all up to a position. Gives what the lanes are to
    /// be told after what was found.
    pub(super) fn read(&mut self, tenant: TenantKey, to: Position) -> Vec<Arrival> {
        let heard = self.tenants.entry(tenant).or_default();
        heard.reading = false;
        heard.up_to = heard.up_to.max(to);
        heard.advance()
    }
}

impl Heard {
    /// Notes that everything up to `last` is told; gives what of it is new.
    fn tell(&mut self, last: Position, mut arrivals: Vec<Arrival>) -> Vec<Arrival> {
        let known = self.up_to;
        arrivals.retain(|arrival| arrival.position() > known);
        self.up_to = known.max(last);
        arrivals
    }

    /// Goes on as far as this node knows what was written.
    fn advance(&mut self) -> Vec<Arrival> {
        let mut told = Vec::new();
        while !self.reading
            && let Some(first) = self.parts.first_entry()
            && first.key().0 <= self.up_to.0 + 1
        {
            if first.get().last <= self.up_to || first.get().own.is_some() {
                let part = first.remove();
                let own = part.own.unwrap_or_default();
                self.waiting -= own.len();
                told.extend(self.tell(part.last, own));
            } else {
                break;
            }
        }
        told
    }

    /// What has to be read before anything else can be told. A gap before a hint may be
    /// commits of this node that are on their way; one before such a commit is none.
    fn gap(&self) -> Option<Gap> {
        let after = self.up_to;
        let mut to = None;
        for (first, part) in &self.parts {
            if part.own.is_some() {
                to = to.max(Some(Position(first.0 - 1)));
                break;
            }
            if first.0 <= to.unwrap_or(after).0 + 1 {
                to = to.max(Some(part.last));
            }
        }
        // Forgotten, as too much waited.
        let forgotten = || (self.parts.is_empty() && self.head > after).then_some(self.head);
        to.or_else(forgotten).filter(|to| *to > after).map(|to| Gap { after, to })
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
