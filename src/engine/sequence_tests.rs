//! Commits of two nodes, in every order of news, hints and reads: each arrival is told
//! once, in the order of the journal.

use proptest::prelude::*;

use super::*;
use crate::domain::id::WebhookKey;

const TENANT: TenantKey = TenantKey(1);

fn arrival(position: i64) -> Arrival {
    Arrival::Stored { webhook_key: WebhookKey(1), position: Position(position), order: None }
}

fn commit(first: i64, last: i64) -> Commit {
    Commit {
        tenant: TENANT,
        first: Position(first),
        last: Position(last),
        arrivals: (first..=last).map(arrival).collect(),
    }
}

fn places(arrivals: &[Arrival]) -> Vec<i64> {
    arrivals.iter().map(|arrival| arrival.position().0).collect()
}

#[test]
fn a_node_alone_tells_at_once_and_never_reads() {
    let mut sequence = Sequence::default();
    assert_eq!(places(&sequence.committed(commit(1, 3))), [1, 2, 3]);
    assert_eq!(places(&sequence.committed(commit(4, 4))), [4]);
    assert_eq!(sequence.next_read(TENANT), None);
    sequence.reached(TENANT, Position(4));
    assert_eq!(sequence.next_read(TENANT), None);
}

#[test]
fn what_another_node_wrote_is_read_before_what_comes_after_it() {
    let mut sequence = Sequence::default();
    sequence.begin(TENANT, Position(10));
    assert!(sequence.committed(commit(14, 15)).is_empty());
    let gap = Gap { after: Position(10), to: Position(13) };
    assert_eq!(sequence.next_read(TENANT), Some(gap));
    assert_eq!(sequence.next_read(TENANT), None, "one read at a time");
    assert!(sequence.committed(commit(16, 16)).is_empty());
    assert_eq!(places(&sequence.read(TENANT, Position(13))), [14, 15, 16]);
}

#[test]
fn a_hint_waits_for_what_this_node_may_have_written_before_it() {
    let mut sequence = Sequence::default();
    assert!(sequence.hinted(TENANT, Position(3), Position(4)).is_empty());
    assert_eq!(sequence.next_read(TENANT), None);
    assert_eq!(places(&sequence.committed(commit(1, 2))), [1, 2]);
    let gap = Gap { after: Position(2), to: Position(4) };
    assert_eq!(sequence.next_read(TENANT), Some(gap));
}

#[test]
fn too_much_that_waits_is_forgotten_and_read() {
    let mut sequence = Sequence::default();
    let many = WAITING as i64 + 10;
    assert!(sequence.committed(commit(2, many)).is_empty());
    assert!(sequence.committed(commit(many + 1, many + 1)).is_empty());
    // What is left is what came last, or nothing; everything before it is read.
    let gap = sequence.next_read(TENANT).expect("a gap");
    assert_eq!(gap.after, Position(0));
    let told = sequence.read(TENANT, gap.to);
    let next = told.last().map_or(gap.to, |arrival| arrival.position());
    assert_eq!(next, Position(many + 1));
}

proptest! {
    #[test]
    fn everything_is_told_once_and_in_order(
        // Whose commit, how long, and whether its hint is lost.
        commits in prop::collection::vec((any::<bool>(), 1i64..4, any::<bool>()), 1..40),
        steps in prop::collection::vec(0u8..5, 0..200),
    ) {
        let mut sequence = Sequence::default();
        let (mut own, mut hints) = (Vec::new(), Vec::new());
        let (mut told, mut head) = (Vec::new(), 0);
        for (is_own, len, lost) in commits {
            let (first, last) = (head + 1, head + len);
            head = last;
            if is_own {
                own.push(commit(first, last));
            } else if !lost {
                hints.push((Position(first), Position(last)));
            }
        }
        own.reverse();
        hints.reverse();
        let mut reading: Option<Gap> = None;
        // In the end everything is heard of, and read.
        let steps = steps.into_iter().chain((0..200).flat_map(|_| [0, 1, 2, 3, 4]));
        for step in steps {
            match step {
                0 => if let Some(commit) = own.pop() {
                    told.extend(places(&sequence.committed(commit)));
                },
                1 => if let Some((first, last)) = hints.pop() {
                    told.extend(places(&sequence.hinted(TENANT, first, last)));
                },
                2 => if own.is_empty() {
                    sequence.reached(TENANT, Position(head));
                },
                3 => reading = reading.or_else(|| sequence.next_read(TENANT)),
                _ => if let Some(Gap { after, to }) = reading.take() {
                    // A page may be shorter than what was asked for.
                    let to = Position((after.0 + 2).min(to.0));
                    told.extend(after.0 + 1..=to.0);
                    told.extend(places(&sequence.read(TENANT, to)));
                },
            }
        }
        prop_assert_eq!(told, (1..=head).collect::<Vec<_>>());
    }
}
