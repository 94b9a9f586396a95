//! Recording outcomes: one batch at a time, while the next one gathers. A slot is
//! free only when its outcome is committed, so what gathers is bounded by the slots.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{dispatcher::Input, tasks::Tasks};
use crate::{
    domain::{
        error::Reason,
        id::{EventKey, WebhookKey},
        order::OrderKey,
        time::Timestamp,
    },
    store::{Settlement, Store},
};

/// Wait before a batch is tried again after the database failed; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

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
    /// Whether the database would not take it: the delivery is as it was.
    pub(super) refused: bool,
}

/// An outcome to be recorded.
pub(super) struct Outcome {
    pub(super) settlement: Settlement,
    pub(super) order: Option<OrderKey>,
    pub(super) bytes: usize,
}

/// Starts to record a batch; the answer comes as a message. It does not give up
/// while the database is away.
pub(super) fn start(
    tasks: &Tasks,
    store: Store,
    batch: Vec<Outcome>,
    answer: mpsc::UnboundedSender<Input>,
) {
    tasks.spawn(async move {
        let recorded = record(&store, batch).await;
        fail::fail_point!("after-record", |_| std::process::abort());
        let _ = answer.send(Input::Recorded(recorded));
    });
}

async fn record(store: &Store, batch: Vec<Outcome>) -> Vec<Recorded> {
    let mut recorded = Vec::with_capacity(batch.len());
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        let mut wait = FIRST_WAIT;
        loop {
            let settlements = batch.iter().map(|outcome| outcome.settlement.clone()).collect();
            match store.record(settlements).await {
                Ok(()) => {
                    recorded.extend(batch.iter().map(|outcome| outcome.done(false)));
                    break;
                }
                Err(error) if error.reason == Reason::Internal && batch.len() > 1 => {
                    // One of them is at fault: find it, record the others.
                    waiting.push(batch.split_off(batch.len() / 2));
                }
                Err(error) if error.reason == Reason::Internal => {
                    tracing::error!(%error, "an outcome cannot be recorded; the attempt will be made again");
                    recorded.extend(batch.iter().map(|outcome| outcome.done(true)));
                    break;
                }
                Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }
    recorded
}

impl Outcome {
    fn done(&self, refused: bool) -> Recorded {
        Recorded {
            lane: self.settlement.webhook_key,
            event: self.settlement.event_key,
            order: self.order,
            bytes: self.bytes,
            due: self.settlement.state.due_time,
            refused,
        }
    }
}
