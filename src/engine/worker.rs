//! Workers: each owns one connection of one lane and makes one attempt at a time.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    attempt::{Attempted, attempt},
    clock::Clock,
    delivery::Delivery,
    input::Input,
    lane_config::LaneConfig,
    slot::{Giver, Taker, slot},
    tasks::Tasks,
    tenure::Tenure,
};
use crate::sender::{Connection, HttpSender};

/// A worker without work for this long, or up to twice as long, goes and closes its
/// connection.
const IDLE: Duration = Duration::from_secs(15);

/// One attempt, to be made and then made or cut off. It goes to its worker and back in a box,
/// so that it is copied nowhere.
pub(super) struct Job {
    pub(super) lane: Arc<LaneConfig>,
    pub(super) delivery: Delivery,
    pub(super) number: u32,
    /// The attempt is cut off when it ends.
    pub(super) tenure: Tenure,
    /// What came of it; absent until then, and where it was cut off.
    pub(super) attempted: Option<Attempted>,
    /// The way back to this worker, for its next job.
    pub(super) worker: Worker,
}

/// A handle to a worker that has no work.
#[derive(Clone)]
pub(super) struct Worker(Giver<Box<Job>>);

/// What all workers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) tasks: Tasks,
    pub(super) sender: Arc<HttpSender>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) finished: mpsc::UnboundedSender<Input>,
}

impl Worker {
    /// Starts a worker.
    pub(super) fn start(shared: Shared) -> Self {
        let (giver, taker) = slot();
        let tasks = shared.tasks.clone();
        tasks.spawn(work(taker, shared));
        Self(giver)
    }

    /// Gives it work; gives the job back where the worker has gone meanwhile.
    pub(super) fn give(&self, job: Box<Job>) -> Result<(), Box<Job>> {
        self.0.give(job)
    }
}

async fn work(mut jobs: Taker<Box<Job>>, shared: Shared) {
    let mut connection = Connection::new(Arc::clone(&shared.sender));
    let idle = tokio::time::sleep(IDLE);
    tokio::pin!(idle);
    let mut worked = false;
    loop {
        let mut job = tokio::select! {
            biased;
            job = jobs.take() => job,
            () = connection.closed() => continue,
            () = &mut idle => {
                if !worked && jobs.go() {
                    return;
                }
                worked = false;
                idle.as_mut().reset(tokio::time::Instant::now() + IDLE);
                continue;
            }
        };
        worked = true;
        fail::fail_point!("before-attempt", |_| std::process::abort());
        let attempted = {
            let Job { lane, delivery, number, tenure, .. } = &*job;
            let attempt = attempt(&mut connection, lane, delivery, *number, &*shared.clock);
            tenure.within(pin!(attempt)).await
        };
        if attempted.is_none() {
            connection = Connection::new(Arc::clone(&shared.sender));
        }
        job.attempted = attempted;
        fail::fail_point!("after-attempt", |_| std::process::abort());
        if shared.finished.send(Input::Finished(job)).is_err() {
            return;
        }
    }
}
