//! The runner of jobs: replays and discards diverted events, a small batch at a time.
//! All that a job has to know is in the database, so it goes on after a restart.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Engine, clock::Clock};
use crate::{
    domain::{error::Result, time::Timestamp},
    store::{RunningJob, Store},
};

/// Diverted events that one transaction replays or discards.
const BATCH: usize = 200;
/// Pause between rounds, in each of which every job does a batch: commits of others
/// come first.
const PACE: Duration = Duration::from_millis(20);
/// Pause when nothing is to do, and after an error: a job that was not told of is found then.
const IDLE: Duration = Duration::from_secs(1);

/// Does the work of jobs.
pub struct JobRunner {
    store: Store,
    engine: Engine,
    clock: Arc<dyn Clock>,
    /// When jobs with a limit of their own may go on.
    resume: HashMap<i64, Timestamp>,
}

impl JobRunner {
    /// A runner for the jobs of all tenants.
    pub fn new(store: Store, engine: Engine, clock: Arc<dyn Clock>) -> Self {
        Self { store, engine, clock, resume: HashMap::new() }
    }

    /// Has each job do one batch. Returns whether any has more to do now.
    ///
    /// # Errors
    ///
    /// `STORE_UNAVAILABLE`; what was done until then stays done.
    pub async fn run_once(&mut self) -> Result<bool> {
        let (mut after, mut more) = (0, false);
        while let Some(job) = self.store.running_job_after(after).await? {
            after = job.key;
            let now = self.clock.now();
            if self.resume.get(&job.key).is_some_and(|at| *at > now) {
                continue;
            }
            let advanced = self.store.advance_job(&job, now, batch(job.max_per_second)).await?;
            self.resume.remove(&job.key);
            if advanced.ended {
                tracing::info!(job = job.key, "a job on diverted events has ended");
            } else if let Some(pause) = pause(&job, advanced.done) {
                self.resume.insert(job.key, now.plus(pause));
            } else {
                more = true;
            }
        }
        self.resume.retain(|_, at| *at > self.clock.now());
        Ok(more)
    }

    /// The loop; errors end a round, not the loop.
    pub async fn run(mut self) {
        let mut caretaker = self.engine.caretaker();
        loop {
            caretaker.turn().await;
            let more = self.run_once().await.unwrap_or(false);
            if more {
                tokio::time::sleep(PACE).await;
                continue;
            }
            let next = self.resume.values().min().copied().unwrap_or(Timestamp::MAX);
            let clock = Arc::clone(&self.clock);
            let due = async {
                if next == Timestamp::MAX {
                    std::future::pending().await
                } else {
                    clock.sleep_until(next).await;
                }
            };
            tokio::select! {
                () = self.engine.job_made.notified() => {}
                () = due => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }
}

/// How many a job does at once: fewer where it is slow, so that they do not come in bursts.
fn batch(max_per_second: f64) -> usize {
    if max_per_second <= 0.0 {
        return BATCH;
    }
    // A float that is too large or too small is held at the bounds by the cast.
    ((max_per_second / 10.0) as usize).clamp(1, BATCH)
}

/// How long a job that has a limit waits after so many.
fn pause(job: &RunningJob, done: usize) -> Option<Duration> {
    if job.max_per_second <= 0.0 || done == 0 {
        return None;
    }
    Duration::try_from_secs_f64(done as f64 / job.max_per_second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_jobs_do_few_at_once() {
        for (rate, at_once) in
            [(0.0, BATCH), (0.01, 1), (5.0, 1), (50.0, 5), (1e4, BATCH), (f64::MAX, BATCH)]
        {
            assert_eq!(batch(rate), at_once, "{rate}");
        }
    }
}
