//! The main job: what is published reaches the webhooks that want it.

use super::support::{
    api::{event, quick_retries, webhook},
    receiver::{Receiver, Reply},
    server::TestServer,
};

#[tokio::test]
async fn a_published_event_reaches_its_webhook_and_the_log_says_so() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    server.create(webhook("w", &receiver.url(), &["pointsIssued"])).await;

    let published = server.publish(event("pointsIssued", r#"{"points": 9007199254740993}"#)).await;
    assert_eq!(published.matched_webhook_count, 1);

    let received = receiver.wait_for(1).await;
    let body = String::from_utf8(received[0].body.to_vec()).expect("UTF-8");
    assert!(body.ends_with(r#""data":{"points": 9007199254740993}}"#), "{body}");
    assert_eq!(received[0].header("tidings-event-id"), Some(&*published.event_id));
}

#[tokio::test]
async fn a_failed_attempt_is_made_again() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index == 0 { 503 } else { 204 })).await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(quick_retries(3));
    server.create(hook).await;
    let published = server.publish(event("pointsIssued", "{}")).await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].header("tidings-attempt"), Some("2"));
    let _ = server.log(&published.event_id).await;
}
