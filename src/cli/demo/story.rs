//! The story that the demo tells, step by step, and whether it ended well.

use std::{net::SocketAddr, path::Path};

use super::{
    client::Client,
    expected::{Expected, arrived, logged},
    invitation::invite,
    output::Output,
    receiver::Receiver,
    samples,
    tail::{Tail, show},
};
use crate::grpc::proto::{ChangeKind, Event, Webhook, event::Payload};

/// A story that is being told.
pub(super) struct Story<'a> {
    output: &'a Output,
    receiver: &'a Receiver,
    client: Client,
    webhooks: Vec<Webhook>,
    tail: Option<Tail>,
    expected: Vec<Expected>,
}

impl<'a> Story<'a> {
    pub(super) fn new(output: &'a Output, receiver: &'a Receiver, client: Client) -> Self {
        Self { output, receiver, client, webhooks: Vec::new(), tail: None, expected: Vec::new() }
    }

    /// Says what this is about, and what runs where.
    pub(super) fn introduce(&self, service: SocketAddr, directory: &Path) -> Result<(), String> {
        self.output.line(
            "Tidings tells other systems what happened in yours. You publish an event once; every\n\
             webhook that asked for it gets it, is tried again until it answers, and a log keeps\n\
             what became of each delivery.",
        )?;
        self.output.step(1, "Start", "the service, on an empty database, and a receiver")?;
        let receiver = self.receiver.address();
        self.output
            .line(&format!("  service   {service}  speaks gRPC: subscribe, publish, follow"))?;
        self.output.line(&format!("  receiver  {receiver}  stands for the other systems"))?;
        self.output.line(&format!("  database  {}", directory.display()))?;
        Ok(())
    }

    /// Tells it.
    ///
    /// # Errors
    ///
    /// Where something went another way than it must.
    pub(super) async fn tell(&mut self) -> Result<(), String> {
        self.subscribe().await?;
        let why = "a live tail shows each change of a delivery, in lines that begin with a #";
        self.output.step(3, "Follow", why)?;
        self.tail = Some(self.client.tail().await?);

        let why = "OK means on disk, deliveries included: nothing is lost from here on";
        self.output.step(4, "Publish", why)?;
        let [points, bill] = samples::purchase();
        self.publish(points, &["test_post_webhook_12345", "DemoWebhook1"], 1).await?;
        self.publish(bill, &["DemoWebhook1"], 1).await?;
        self.follow(3).await?;

        let why = "the receiver answers 503 once; nobody has to look after it";
        self.output.step(5, "Fail and recover", why)?;
        self.receiver.refuse_next();
        self.publish(samples::transaction(), &["DemoWebhook1"], 2).await?;
        self.follow(1).await?;

        self.check().await
    }

    /// Says what to try next, then shows what the tail brings.
    ///
    /// # Errors
    ///
    /// When the tail ends; there is no other end.
    pub(super) async fn stay(&mut self, service: SocketAddr) -> Result<(), String> {
        invite(self.output, service, self.receiver.address())?;
        loop {
            self.follow(1).await?;
        }
    }

    async fn subscribe(&mut self) -> Result<(), String> {
        let why = "a webhook says which events it wants, and where they go";
        self.output.step(2, "Subscribe", why)?;
        let at = self.receiver.address();
        for webhook in [samples::loyalty_webhook(at), samples::sales_webhook(at)] {
            let webhook = self.client.create(webhook).await?;
            let names = &webhook.event_names;
            let shown = match names.len() {
                0..=4 => names.join(", "),
                more => format!("{more} events: {}, {}, ...", names[0], names[1]),
            };
            self.output.line(&format!("  {:<23}  {shown}", webhook.name))?;
            self.webhooks.push(webhook);
        }
        Ok(())
    }

    /// Publishes an event that must reach these webhooks after so many attempts.
    async fn publish(&mut self, event: Event, to: &[&str], attempts: i32) -> Result<(), String> {
        let name = event.event_name.clone();
        let payload = match &event.payload {
            Some(Payload::Json(json)) => json.clone(),
            _ => String::new(),
        };
        let result = self.client.publish(event).await?;
        if let Some(warning) = result.warnings.first() {
            return Err(format!("{name} does not fit its schema: {warning}"));
        }
        for webhook in self.webhooks.iter().filter(|webhook| to.contains(&&*webhook.name)) {
            self.expected.push(Expected {
                event_id: result.event_id.clone(),
                webhook_id: webhook.webhook_id.clone(),
                path: format!("/{}", webhook.name),
                payload: payload.clone(),
                attempts,
            });
        }
        let plural = if result.matched_webhook_count == 1 { "" } else { "s" };
        self.output.line(&format!(
            "  OK   {name:<16}  {}  for {} webhook{plural}",
            result.event_id, result.matched_webhook_count
        ))
    }

    /// Shows changes until so many deliveries are settled.
    async fn follow(&mut self, settled: usize) -> Result<(), String> {
        let tail = self.tail.as_mut().ok_or("the tail is not open")?;
        let mut left = settled;
        while left > 0 {
            let change = tail.next().await?;
            let id = change.event_log.as_ref().map_or("", |log| &log.webhook_id);
            let webhook = self.webhooks.iter().find(|webhook| webhook.webhook_id == id);
            show(self.output, &change, webhook.map_or(id, |webhook| &webhook.name))?;
            if change.kind() == ChangeKind::Settled {
                left -= 1;
            }
        }
        Ok(())
    }

    async fn check(&mut self) -> Result<(), String> {
        self.output.step(6, "Check", "was it as promised?")?;
        let count = self.expected.len();
        let arrived = arrived(&self.expected, &self.receiver.received());
        let what = format!(
            "{count} deliveries arrived, payloads byte for byte ({})",
            samples::LARGE_NUMBER
        );
        self.output.check(arrived, &what)?;
        let logged = logged(&self.expected, &self.client.log().await?);
        self.output.check(logged, &format!("the log says SUCCEEDED for all {count}"))?;
        // One that is accepted and one that is settled for each, and the failure. A gap
        // would have ended the tail.
        let changes = self.tail.as_ref().map_or(0, Tail::count);
        let complete = usize::try_from(changes).is_ok_and(|changes| changes == 2 * count + 1);
        let what = format!("the tail showed all {changes} changes in sequence, without a gap");
        self.output.check(complete, &what)?;
        if arrived && logged && complete {
            self.output.line("\nAll went well.")
        } else {
            Err("not everything went well: see above".to_owned())
        }
    }
}
