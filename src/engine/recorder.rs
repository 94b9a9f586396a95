//! Recording outcomes: one batch at a time, while the next one gathers. A slot is
//! free only when its outcome is committed, so what gathers is bounded by the slots.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{delivery::Delivery, input::Input, ownership::Tenure, tasks::Tasks};
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

/// Starts to record a batch; the answer comes as a message. It does not give up while the
/// database is away, only when the lease ends.
pub(super) fn start(
    tasks: &Tasks,
    store: Store,
    batch: Vec<Outcome>,
    tenure: Tenure,
    answer: mpsc::UnboundedSender<Input>,
) {
    tasks.spawn(async move {
        let recorded = record(&store, batch, &tenure).await;
        fail::fail_point!("after-record", |_| std::process::abort());
        let _ = answer.send(Input::Recorded(recorded));
    });
}

async fn record(store: &Store, batch: Vec<Outcome>, tenure: &Tenure) -> Vec<Recorded> {
    let mut recorded = Vec::with_capacity(batch.len());
    let mut waiting = vec![batch];
    while let Some(mut batch) = waiting.pop() {
        let mut wait = FIRST_WAIT;
        loop {
            let settlements = batch.iter().map(|outcome| outcome.settlement.clone()).collect();
            match store.record(tenure.node, settlements).await {
                Ok(()) => {
                    recorded.extend(batch.iter().map(|outcome| outcome.done(Fate::Recorded)));
                    break;
                }
                Err(error) if error.reason == Reason::Internal && batch.len() > 1 => {
                    // One of them is at fault: find it, record the others.
                    waiting.push(batch.split_off(batch.len() / 2));
                }
                Err(error) if error.reason == Reason::Internal => {
                    tracing::error!(%error, "an outcome cannot be recorded; the attempt will be made again");
                    recorded.extend(batch.iter().map(|outcome| outcome.done(Fate::Refused)));
                    break;
                }
                Err(_) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                        () = tenure.ended() => {
                            let given_up = batch.iter().map(|it| it.done(Fate::Abandoned));
                            recorded.extend(given_up);
                            break;
                        }
                    }
                }
            }
        }
    }
    recorded
}

impl Outcome {
    /// What the dispatcher is told of it.
    pub(super) fn done(&self, fate: Fate) -> Recorded {
        Recorded {
            lane: self.settlement.webhook_key,
            event: self.settlement.event_key,
            order: self.order,
            bytes: self.bytes,
            due: self.settlement.state.due_time,
            fate,
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
