//! Mails to the owners of webhooks, out of the outbox: one at a time, tried again with
//! growing waits. Nothing else waits for them.

use std::{sync::Arc, time::Duration};

use super::{caretaker::Caretaker, clock::Clock};
use crate::{
    domain::error::Result,
    sender::Mailer,
    store::{Notice, Store},
};

/// Mails that one look takes up.
const BATCH: usize = 20;
/// Pause between two looks, and after an error of the database.
const PACE: Duration = Duration::from_millis(500);
/// Wait after the first failure; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// A mail that could not be sent for so long is given up.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// Sends what is due.
pub(super) struct Mails {
    store: Store,
    /// Absent where no server is configured any more: what waits is kept for its age.
    mailer: Option<Mailer>,
    clock: Arc<dyn Clock>,
}

impl Mails {
    pub(super) fn new(store: Store, mailer: Option<Mailer>, clock: Arc<dyn Clock>) -> Self {
        Self { store, mailer, clock }
    }

    /// The loop; errors of the database do not end it.
    pub(super) async fn run(self, mut caretaker: Caretaker) {
        loop {
            caretaker.turn().await;
            if self.run_once().await != Ok(BATCH) {
                tokio::time::sleep(PACE).await;
            }
        }
    }

    /// Tries what is due, up to a batch; says how many mails that were.
    async fn run_once(&self) -> Result<usize> {
        let due = self.store.due_mails(self.clock.now(), BATCH).await?;
        for notice in &due {
            self.deliver(notice).await?;
        }
        Ok(due.len())
    }

    async fn deliver(&self, notice: &Notice) -> Result<()> {
        fail::fail_point!("before-mail", |_| std::process::abort());
        let Err(error) = self.send(notice).await else {
            return self.store.forget_notice(notice.key).await;
        };
        let now = self.clock.now();
        let webhook = notice.webhook_key.0;
        if now.since(notice.create_time) >= LONGEST_AGE {
            tracing::error!(webhook, error, "a mail about a webhook is given up");
            return self.store.forget_notice(notice.key).await;
        }
        tracing::warn!(webhook, error, "a mail about a webhook could not be sent");
        self.store.put_off_mail(notice.key, now.plus(wait(notice.attempt_count))).await
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), String> {
        let Some(mailer) = &self.mailer else {
            return Err("no mail server is configured".to_owned());
        };
        let Notice { key, address, subject, content, create_time, .. } = notice;
        let id = format!("{key}.{:016x}", self.store.database_id().0);
        let sent = mailer.send(address, subject, content, &id, *create_time).await;
        sent.map_err(|error| error.to_string())
    }
}

/// How long a mail waits that has failed so often before.
fn wait(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits = [0, 1, 2, 6, 7, u32::MAX].map(|failures| wait(failures).as_secs());
        assert_eq!(waits, [30, 60, 120, 1920, 3600, 3600]);
    }
}
