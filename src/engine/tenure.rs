//! The time in which a node may attempt and record.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::NodeKey;

/// The time in which a node may attempt and record, under one key. Clones end together.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenure {
    pub(super) node: NodeKey,
    /// Absent where it never ends.
    term: Option<Arc<Term>>,
}

#[derive(Debug)]
struct Term {
    begun: Instant,
    /// Microseconds since then until which it is good, unless it is renewed.
    good_for: AtomicU64,
    over: CancellationToken,
}

impl Tenure {
    /// Goes on with it until then, or begins it.
    pub(super) fn renew(&mut self, node: NodeKey, until: Option<Instant>) {
        self.node = node;
        match (&self.term, until) {
            (Some(term), Some(until)) => term.renew(until),
            (_, until) => self.term = until.map(|until| Arc::new(Term::new(until))),
        }
    }

    /// Ends it, for all that goes on under it.
    pub(super) fn end(&mut self) {
        if let Some(term) = self.term.take() {
            term.over.cancel();
        }
    }

    /// Until when it is good, where it ends.
    pub(super) fn until(&self) -> Option<Instant> {
        self.term.as_ref().map(|term| term.until())
    }

    /// Whether it goes on. Where the process was stopped for a while, nobody may have noticed
    /// yet that its time has passed.
    pub(super) fn is_good(&self) -> bool {
        self.term.as_ref().is_none_or(|term| !term.over.is_cancelled() && !term.has_passed())
    }

    /// Waits until it is ended.
    pub(super) async fn ended(&self) {
        match &self.term {
            Some(term) => term.over.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Does some work as long as it is good; nothing of the work is done once it is not, also
    /// where nobody has ended it yet. Gives nothing where the work was cut off.
    pub(super) async fn within<F: Future>(&self, mut work: Pin<&mut F>) -> Option<F::Output> {
        let Some(term) = &self.term else { return Some(work.await) };
        let mut over = pin!(term.over.cancelled());
        poll_fn(|cx| {
            if over.as_mut().poll(cx).is_ready() || term.has_passed() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

impl Term {
    fn new(until: Instant) -> Self {
        let term = Self {
            begun: Instant::now(),
            good_for: AtomicU64::default(),
            over: CancellationToken::new(),
        };
        term.renew(until);
        term
    }

    fn renew(&self, until: Instant) {
        let micros = until.saturating_duration_since(self.begun).as_micros();
        self.good_for.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn until(&self) -> Instant {
        self.begun + Duration::from_micros(self.good_for.load(Ordering::Relaxed))
    }

    fn has_passed(&self) -> bool {
        self.until() <= Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenure that is good for long, and another handle to it.
    fn tenure() -> (Tenure, Tenure) {
        let mut tenure = Tenure::default();
        tenure.renew(NodeKey::SOLE, Some(Instant::now() + Duration::from_secs(3_600)));
        (tenure.clone(), tenure)
    }

    /// Renews it to end right now, without a word to anybody.
    fn let_pass(tenure: &mut Tenure) {
        tenure.renew(NodeKey::SOLE, Some(Instant::now()));
    }

    #[tokio::test]
    async fn work_is_done_while_it_is_good() {
        let (tenure, mut keeper) = tenure();
        for tenure in [&Tenure::default(), &tenure] {
            assert_eq!(tenure.within(pin!(tokio::task::yield_now())).await, Some(()));
        }
        let_pass(&mut keeper);
        assert!(!tenure.is_good());
        assert_eq!(tenure.within(pin!(async { panic!("it is over") })).await, None::<()>);
    }

    #[tokio::test]
    async fn what_was_begun_stops_where_its_time_has_passed_and_nobody_has_said_so() {
        let (tenure, mut keeper) = tenure();
        let work = async {
            // As where the process is stopped right here.
            let_pass(&mut keeper);
            tokio::task::yield_now().await;
            panic!("it is over");
        };
        assert_eq!(tenure.within(pin!(work)).await, None::<()>);
    }

    #[tokio::test]
    async fn what_is_under_way_is_cut_off_at_the_end() {
        let (tenure, mut keeper) = tenure();
        let work =
            tokio::spawn(async move { tenure.within(pin!(std::future::pending::<()>())).await });
        tokio::task::yield_now().await;
        keeper.end();
        assert_eq!(work.await.expect("no panic"), None);
        assert!(keeper.is_good(), "what comes next has not begun");
    }
}
