//! Recording outcomes: a few batches at a time, while the next one gathers. A slot is
//! free only when its outcome is committed, so what gathers is bounded by the slots.

use std::{mem, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{delivery::Delivery, input::Input, tasks::Tasks, tenure::Tenure};
use crate::{
    domain::{
        error::{Error, Reason},
        id::{EventKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{Settlement, Store},
};

/// Wait before a batch is tried again after the database failed; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Batches that are recorded at once. With one, what ends while it is written would miss the
/// next transaction, which begins at once.
const AT_ONCE: usize = 64;

/// A recorded outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub(super) lane: WebhookKey,
    pub(super) event: EventKey,
    /// The deliveries that wait for it.
    pub(super) order: Option<OrderKey>,
    /// Bytes that the delivery took in memory.
    pub(super) bytes: usize,
    /// When it is to be attempted again.
    pub(super) due: Option<Timestamp>,
    pub(super) fate: Fate,
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in the database.
    Recorded,
    /// The database would not take it: the delivery is as it was.
    Refused,
    /// The lease was over before: others decide about the delivery.
    Abandoned,
}

/// An outcome to be recorded.
pub(super) struct Outcome {
    pub(super) settlement: Settlement,
    pub(super) order: Option<OrderKey>,
    pub(super) bytes: usize,
}

/// Outcomes that gather, and how many batches of them are on their way.
#[derive(Default)]
pub(super) struct Outcomes {
    /// Those that say how their webhook stands are recorded one batch after the other, so
    /// that the last word stays.
    ordered: Gathering,
    others: Gathering,
    ordered_recording: bool,
    others_recording: usize,
}

#[derive(Default)]
struct Gathering {
    settlements: Vec<Settlement>,
    /// What the dispatcher is told of each.
    recorded: Vec<Recorded>,
}

/// Outcomes that are recorded together.
struct Batch {
    settlements: Arc<Vec<Settlement>>,
    /// What the dispatcher is told of each.
    recorded: Vec<Recorded>,
}

/// A batch that was recorded.
pub(super) struct RecordedBatch {
    pub(super) recorded: Vec<Recorded>,
    ordered: bool,
}

impl Outcomes {
    pub(super) fn push(&mut self, outcome: Outcome) {
        let ordered = outcome.settlement.standing.is_some();
        let gathering = if ordered { &mut self.ordered } else { &mut self.others };
        gathering.recorded.push(outcome.done());
        gathering.settlements.push(outcome.settlement);
    }

    /// Gives up all that gather: the lease was over before they were recorded.
    pub(super) fn abandon(&mut self) -> Vec<Recorded> {
        let Gathering { recorded, .. } = self.take();
        recorded.into_iter().map(|one| Recorded { fate: Fate::Abandoned, ..one }).collect()
    }

    fn take(&mut self) -> Gathering {
        let mut all = mem::take(&mut self.ordered);
        all.settlements.append(&mut self.others.settlements);
        all.recorded.append(&mut self.others.recorded);
        all
    }

    /// Starts to record what may be recorded now; the answer comes as a message. It does not
    /// give up while the database is away, only when the lease ends.
    pub(super) fn record(
        &mut self,
        tasks: &Tasks,
        store: &Store,
        tenure: &Tenure,
        answer: &mpsc::UnboundedSender<Input>,
    ) {
        let ordered = !self.ordered.recorded.is_empty() && !self.ordered_recording;
        let Gathering { settlements, recorded } = if ordered {
            self.ordered_recording = true;
            self.take()
        } else if !self.others.recorded.is_empty() && self.others_recording < AT_ONCE {
            self.others_recording += 1;
            mem::take(&mut self.others)
        } else {
            return;
        };
        let batch = Batch { settlements: Arc::new(settlements), recorded };
        let (node, settlements) = (tenure.node, Arc::clone(&batch.settlements));
        let (tasks, again) = (tasks.clone(), (store.clone(), tenure.clone()));
        let answer = answer.clone();
        let done = move |recorded| {
            fail::fail_point!("after-record", |_| std::process::abort());
            let _ = answer.send(Input::Recorded(RecordedBatch { recorded, ordered }));
        };
        // Nobody has to be woken for it where it goes well.
        store.record_then(node, settlements, move |result| match result {
            Ok(()) => done(batch.recorded),
            Err(error) => tasks.spawn(async move {
                let (store, tenure) = again;
                done(record_again(&store, batch, &tenure, error).await);
            }),
        });
    }

    /// Notes that a batch is done.
    pub(super) fn ended(&mut self, batch: &RecordedBatch) {
        if batch.ordered {
            self.ordered_recording = false;
        } else {
            self.others_recording -= 1;
        }
    }
}

/// Goes on with a batch that was not recorded.
async fn record_again(store: &Store, batch: Batch, tenure: &Tenure, error: Error) -> Vec<Recorded> {
    let mut recorded = Vec::with_capacity(batch.recorded.len());
    let (mut waiting, mut first) = (vec![batch], Some(Err(error)));
    while let Some(mut batch) = waiting.pop() {
        let mut wait = FIRST_WAIT;
        let fate = loop {
            let result = match first.take() {
                Some(result) => result,
                None => store.record(tenure.node, Arc::clone(&batch.settlements)).await,
            };
            match result {
                Ok(()) => break Fate::Recorded,
                Err(error) if error.reason == Reason::Internal && batch.recorded.len() > 1 => {
                    // One of them is at fault: find it, record the others.
                    waiting.push(batch.split_off());
                }
                Err(error) if error.reason == Reason::Internal => {
                    tracing::error!(%error, "an outcome cannot be recorded; the attempt will be made again");
                    break Fate::Refused;
                }
                Err(_) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                        () = tenure.ended() => break Fate::Abandoned,
                    }
                }
            }
        };
        recorded.extend(batch.recorded.into_iter().map(|one| Recorded { fate, ..one }));
    }
    recorded
}

impl Batch {
    /// Splits the second half off.
    fn split_off(&mut self) -> Self {
        let recorded = self.recorded.split_off(self.recorded.len() / 2);
        let (first, second) = self.settlements.split_at(self.recorded.len());
        let (first, second) = (first.to_vec(), second.to_vec());
        self.settlements = Arc::new(first);
        Self { settlements: Arc::new(second), recorded }
    }
}

impl Outcome {
    /// What the dispatcher is told of it once it is recorded.
    fn done(&self) -> Recorded {
        Recorded {
            lane: self.settlement.webhook_key,
            event: self.settlement.event_key,
            order: self.order,
            bytes: self.bytes,
            due: self.settlement.state.due_time,
            fate: Fate::Recorded,
        }
    }
}

impl Recorded {
    /// Of an attempt that was cut off.
    pub(super) fn cut_off(lane: WebhookKey, delivery: &Delivery) -> Self {
        Self {
            lane,
            event: delivery.event_key,
            order: delivery.order,
            bytes: delivery.bytes(),
            due: None,
            fate: Fate::Abandoned,
        }
    }
}
