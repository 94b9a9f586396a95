//! Alerts of exhausted deliveries, out of the outbox. Each is sent once and never tried
//! again: it leaves the outbox before it is sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::task::JoinSet;

use super::{caretaker::Caretaker, clock::Clock, lane_config::USER_AGENT};
use crate::{
    domain::{error::Result, id::WebhookKey},
    sender::{Connection, HttpSender, Limits, Request, Target},
    store::{Notice, Store},
};

/// Alerts under way at once; of one webhook, one.
const SLOTS: usize = 32;
/// Pause before the outbox is looked at again when it was empty, or failed.
const PACE: Duration = Duration::from_millis(500);
/// An alert that could not be sent by then is of no use any more.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

/// Sends alerts, the webhooks taking turns.
pub(super) struct Alerts {
    store: Store,
    sender: Arc<HttpSender>,
    clock: Arc<dyn Clock>,
    under_way: JoinSet<WebhookKey>,
    busy: Vec<WebhookKey>,
    /// Whose turn was last.
    last: WebhookKey,
}

impl Alerts {
    pub(super) fn new(store: Store, sender: Arc<HttpSender>, clock: Arc<dyn Clock>) -> Self {
        let under_way = JoinSet::new();
        Self { store, sender, clock, under_way, busy: Vec::new(), last: WebhookKey(0) }
    }

    /// The loop; errors of the database do not end it.
    pub(super) async fn run(mut self, mut caretaker: Caretaker) {
        loop {
            caretaker.turn().await;
            while self.under_way.len() < SLOTS && self.start_next().await == Ok(true) {}
            tokio::select! {
                Some(ended) = self.under_way.join_next() => match ended {
                    Ok(webhook) => self.busy.retain(|busy| *busy != webhook),
                    Err(error) => tracing::error!(%error, "an alert ended badly"),
                },
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }

    /// Starts the alert of the webhook whose turn it is; says whether there was one.
    async fn start_next(&mut self) -> Result<bool> {
        let mut next = self.store.next_alert(self.last, &self.busy).await?;
        if next.is_none() && self.last != WebhookKey(0) {
            next = self.store.next_alert(WebhookKey(0), &self.busy).await?;
        }
        let Some(notice) = next else { return Ok(false) };
        let webhook = self.store.webhook(notice.webhook_key).await?;
        self.store.forget_notice(notice.key).await?;
        self.last = notice.webhook_key;
        let handling = webhook.and_then(|webhook| webhook.spec.failure_handling);
        // Checked when it was stored; gone where its owner wants no alerts any more.
        let target = handling.and_then(|handling| Target::parse(&handling.alert_url).ok());
        if let Some(target) = target
            && self.clock.now().since(notice.create_time) < LONGEST_AGE
        {
            self.busy.push(notice.webhook_key);
            self.under_way.spawn(send(Arc::clone(&self.sender), target, notice));
        }
        Ok(true)
    }
}

/// Sends an alert; says whose it was.
async fn send(sender: Arc<HttpSender>, target: Target, notice: Notice) -> WebhookKey {
    let webhook = notice.webhook_key;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let body = Bytes::from(notice.content);
    let request = Request { method: Method::POST, headers, body };
    match Connection::new(sender).send(&target, request, &Limits::default()).await {
        Ok(answer) if (200..300).contains(&answer.status) => {}
        Ok(answer) => {
            tracing::warn!(webhook = webhook.0, status = answer.status, "an alert was refused");
        }
        Err(error) => tracing::warn!(webhook = webhook.0, %error, "an alert was not sent"),
    }
    webhook
}
