//! The caretaker: of all nodes that serve a database, the one that does what need not be
//! done on each: jobs, mails, alerts, retention.
//!
//! It is whoever owns [`Shard::CARETAKER`](crate::domain::shard::Shard::CARETAKER). Another
//! node may still be in the middle of a step when this one takes over, so a step must do
//! no harm when it is done twice; nearly always there is one.

use tokio::sync::watch;

/// Knows whether this node is the caretaker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caretaker(watch::Receiver<bool>);

impl Caretaker {
    /// One that hears it from the sender.
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until this node is the caretaker; for ever once the engine has stopped.
    pub(super) async fn turn(&mut self) {
        if self.0.wait_for(|is| *is).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
