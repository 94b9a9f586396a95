//! Fair shares: destinations that do not answer hold up nobody else, in their own tenant
//! and in others.

use std::{sync::Arc, time::Duration};

use tidings::grpc::proto::{
    BatchPublishEventsRequest, CreateWebhookRequest, PublishEventRequest, Webhook,
};
use tokio::sync::Semaphore;

use super::support::{
    api::{event, webhook},
    receiver::{Receiver, Reply},
    server::TestServer,
};

async fn create(server: &TestServer, tenant: &str, hook: Webhook) {
    let request = CreateWebhookRequest {
        tenant_id: tenant.into(),
        webhook: Some(hook),
        ..Default::default()
    };
    server.webhooks().create_webhook(request).await.expect("a webhook");
}

async fn publish(server: &TestServer, tenant: &str, name: &str, count: usize) {
    let request = BatchPublishEventsRequest {
        tenant_id: tenant.into(),
        events: vec![event(name, "{}"); count],
        ..Default::default()
    };
    server.events().batch_publish_events(request).await.expect("published");
}

#[tokio::test]
async fn destinations_that_never_answer_leave_slots_to_everybody_else() {
    // No attempt ends by itself while the test runs.
    let server = TestServer::with(|config| {
        config.max_attempts = 32;
        config.attempt_timeout = Duration::from_secs(120);
        config.drain_grace = Duration::from_millis(1);
    })
    .await;
    let never = Arc::new(Semaphore::new(0));
    let silent = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&never))).await;
    let (neighbour, other) = (Receiver::start().await, Receiver::start().await);
    for tenant in ["one", "two"] {
        for number in 0..6 {
            create(&server, tenant, webhook(&format!("silent{number}"), &silent.url(), &["bad"]))
                .await;
        }
    }
    create(&server, "one", webhook("neighbour", &neighbour.url(), &["good"])).await;
    create(&server, "three", webhook("other", &other.url(), &["good"])).await;

    // Enough for all their connections, which are more than there are slots.
    publish(&server, "one", "bad", 20).await;
    silent.wait_for(14).await;
    publish(&server, "two", "bad", 20).await;
    silent.wait_for(21).await;

    publish(&server, "one", "good", 50).await;
    publish(&server, "three", "good", 50).await;
    neighbour.wait_for(50).await;
    other.wait_for(50).await;
    assert_eq!(silent.count(), 21, "those that hang get no more");

    // One event at a time, too, and for a tenant that comes only now.
    let late = Receiver::start().await;
    create(&server, "four", webhook("late", &late.url(), &["good"])).await;
    for _ in 0..3 {
        let request = PublishEventRequest {
            tenant_id: "four".into(),
            event: Some(event("good", "{}")),
            ..Default::default()
        };
        server.events().publish_event(request).await.expect("published");
    }
    late.wait_for(3).await;
}
