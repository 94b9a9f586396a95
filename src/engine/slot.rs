//! Where a worker is given its next job. A channel would do, but has room for 32 jobs, and
//! there is one for each of thousands of workers.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use parking_lot::Mutex;

/// One end gives jobs, one at a time. Cheap to clone.
pub(super) struct Giver<T>(Arc<Mutex<State<T>>>);

/// The other takes them. Dropped, it takes no more.
pub(super) struct Taker<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    /// Who is to be woken when there is a job.
    Empty(Option<Waker>),
    Given(T),
    Gone,
}

/// The two ends.
pub(super) fn slot<T>() -> (Giver<T>, Taker<T>) {
    let state = Arc::new(Mutex::new(State::Empty(None)));
    (Giver(Arc::clone(&state)), Taker(state))
}

impl<T> Clone for Giver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Giver<T> {
    /// Gives a job; gives it back where nobody will take it, or the one before was not taken.
    pub(super) fn give(&self, job: T) -> Result<(), T> {
        let mut state = self.0.lock();
        let State::Empty(waker) = &mut *state else { return Err(job) };
        let waker = waker.take();
        *state = State::Given(job);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Taker<T> {
    /// Waits for a job. Cancel safe.
    pub(super) async fn take(&mut self) -> T {
        poll_fn(|cx| {
            let state = &mut *self.0.lock();
            if let State::Empty(waker) = state {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            match std::mem::replace(state, State::Empty(None)) {
                State::Given(job) => Poll::Ready(job),
                // Nobody but this end goes.
                State::Empty(_) | State::Gone => Poll::Pending,
            }
        })
        .await
    }

    /// Goes, unless a job was given at this very moment, which is still to be taken.
    pub(super) fn go(&mut self) -> bool {
        let state = &mut *self.0.lock();
        let goes = matches!(state, State::Empty(_));
        if goes {
            *state = State::Gone;
        }
        goes
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        *self.0.lock() = State::Gone;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_job_at_a_time_is_given_and_taken() {
        let (giver, mut taker) = slot();
        assert!(taker.take().now_or_never().is_none());
        for job in 0..100 {
            assert_eq!(giver.give(job), Ok(()));
            assert_eq!(giver.clone().give(-1), Err(-1), "the one before was not taken");
            assert!(!taker.go(), "there is a job");
            assert_eq!(taker.take().now_or_never(), Some(job));
        }
        assert!(taker.go());
        assert_eq!(giver.give(7), Err(7));
    }

    #[test]
    fn a_dropped_end_takes_no_more() {
        let (giver, taker) = slot();
        let job = Arc::new(());
        assert_eq!(giver.give(Arc::clone(&job)), Ok(()));
        drop(taker);
        assert_eq!(Arc::strong_count(&job), 1, "what was not taken is gone, too");
        assert!(giver.give(job).is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_waits_is_woken_for_each_job() {
        const JOBS: usize = 10_000;
        let (giver, mut taker) = slot();
        let (done, mut taken) = tokio::sync::mpsc::unbounded_channel();
        let taking = tokio::spawn(async move {
            for _ in 0..JOBS {
                let _ = done.send(taker.take().await);
            }
        });
        for job in 0..JOBS {
            assert_eq!(giver.give(job), Ok(()));
            assert_eq!(taken.recv().await, Some(job));
        }
        taking.await.expect("all were taken");
    }
}
