//! Testing a webhook: a ping to its destination, and what came of it.

use std::sync::Arc;

use super::{
    destinations,
    scope::Scope,
    webhooks::{URL, Webhooks, check, complete, draft},
};
use crate::{
    domain::{
        delivery::Attempt,
        error::{Faults, Result},
        event::Event,
        id::EventId,
        json::check_payload,
        notification::{TEST_EVENT, TEST_HEADER, TEST_PAYLOAD, masked_headers},
        time::Timestamp,
        webhook::{Header, Webhook, WebhookSpec},
    },
    engine::Ping,
};

/// What is tested.
pub enum Tested {
    /// A stored webhook, in whatever state it is.
    Stored(String),
    /// A definition that need not be stored.
    Definition(Box<WebhookSpec>),
}

/// What came of a test.
pub struct TestOutcome {
    /// The webhook; a draft where a definition was tested.
    pub webhook: Arc<Webhook>,
    /// The event that was made up for it.
    pub event: Arc<Event>,
    /// The one attempt.
    pub attempt: Attempt,
    /// The headers that are the same for each attempt, masked, and the mark of a test.
    pub headers: Vec<Header>,
}

impl Webhooks {
    /// Sends one ping, made and signed as deliveries are, and waits for its end. Nothing
    /// is stored, retried or counted. An empty `payload` stands for a fixed one.
    ///
    /// # Errors
    ///
    /// `WEBHOOK_NOT_FOUND`, all faults of definition and payload, `OVERLOADED` where
    /// too many tests wait, `SERVER_DRAINING`, `STORE_UNAVAILABLE`. An attempt that
    /// fails is an outcome and no error.
    pub async fn test(
        &self,
        scope: &Scope,
        tested: Tested,
        payload: &str,
        mut faults: Faults,
    ) -> Result<TestOutcome> {
        if !payload.is_empty()
            && let Err(fault) = check_payload(payload)
        {
            faults.invalid("payload_json", fault.to_string());
        }
        let now = self.clock.now();
        let webhook = match tested {
            Tested::Stored(id) => {
                if id.is_empty() {
                    faults.required("webhook_id");
                }
                faults.check()?;
                self.get(scope, &id).await?
            }
            Tested::Definition(mut spec) => {
                self.complete_name(scope, &mut spec, None).await?;
                let target = check(&spec, now, self.mail, &mut faults);
                destinations::check(&self.sender, URL, target.as_ref(), &mut faults).await;
                faults.check()?;
                complete(&mut spec, now);
                Arc::new(draft(scope, *spec, now))
            }
        };
        let event = Arc::new(ping_event(payload, now));
        let (tenant, pinged) = (scope.tenant_id.clone(), Arc::clone(&webhook));
        let ping = Ping { tenant, webhook: pinged, event: Arc::clone(&event) };
        let attempt = self.engine.ping(ping).await?;
        let mut headers = masked_headers(&webhook.spec);
        let (name, value) = TEST_HEADER;
        let values = vec![value.to_owned()];
        headers.push(Header { name: name.to_owned(), values, sensitive: false });
        Ok(TestOutcome { webhook, event, attempt, headers })
    }
}

fn ping_event(payload: &str, now: Timestamp) -> Event {
    Event {
        event_id: EventId::new(now, rand::random()),
        event_name: TEST_EVENT.to_owned(),
        ref_id: String::new(),
        request_id: String::new(),
        ordering_key: String::new(),
        payload: if payload.is_empty() { TEST_PAYLOAD.into() } else { payload.into() },
        enrichments: None,
        occur_time: None,
        ingest_time: now,
        attributes: Default::default(),
    }
}
