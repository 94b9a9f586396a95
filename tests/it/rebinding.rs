//! Destinations that were good when they were stored and lead elsewhere later.

use tidings::grpc::proto::{AttemptOutcome, DeliveryStatus, EventLog};

use super::support::{
    api::{event, quick_retries, webhook},
    names::Names,
    raw::Raw,
    receiver::{Receiver, Reply},
    server::TestServer,
};

/// Publishes an event and gives its record once it is settled.
async fn settled(server: &TestServer) -> EventLog {
    let published = server.publish(event("a", "{}")).await;
    let is_settled = |log: &EventLog| log.end_time.is_some();
    server.wait_log(&published.event_id, "the end", is_settled).await
}

fn assert_forbidden(log: &EventLog) {
    assert_eq!(log.last_outcome(), AttemptOutcome::ForbiddenDestination, "{log:?}");
    // Kept, and not tried again by itself.
    assert_eq!((log.status(), log.attempt_count), (DeliveryStatus::Diverted, 1), "{log:?}");
    assert!(log.last_error.contains("is not allowed"), "{}", log.last_error);
}

#[tokio::test]
async fn a_name_that_leads_inside_by_now_is_not_connected_to() {
    let (names, receiver) = (Names::new(), Receiver::start().await);
    let server = TestServer::guarded(names.clone(), &[]).await;
    names.tell("hook.test", &["8.8.8.8"]);
    let url = receiver.url().replace("127.0.0.1", "hook.test");
    let mut hook = webhook("w", &url, &["*"]);
    hook.retry_policy = Some(quick_retries(3));
    server.create(hook).await;
    for addresses in [&["127.0.0.1"][..], &["::ffff:127.0.0.1"], &["8.8.8.8", "127.0.0.1"]] {
        names.tell("hook.test", addresses);
        let log = settled(&server).await;
        assert_forbidden(&log);
        assert!(!log.last_error.contains("127.0.0.1"), "{}", log.last_error);
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn each_connection_is_checked_and_leads_where_the_check_said() {
    let names = Names::new();
    let receiver = Receiver::with(|_| Reply::status(200).header("connection", "close")).await;
    let server = TestServer::guarded(names.clone(), &["127.0.0.1/32"]).await;
    // At the creation, at the first delivery, and at the second.
    names.tell_in_turn("hook.test", &[&["127.0.0.1"], &["127.0.0.1"], &["127.0.0.2"]]);
    server.create(webhook("w", &receiver.url().replace("127.0.0.1", "hook.test"), &["*"])).await;
    assert_eq!(settled(&server).await.status(), DeliveryStatus::Succeeded);
    assert_eq!((receiver.count(), names.asked("hook.test")), (1, 2));
    assert_forbidden(&settled(&server).await);
    assert_eq!((receiver.count(), names.asked("hook.test")), (1, 3));
}

#[tokio::test]
async fn what_was_stored_in_development_is_checked_like_all_else() {
    let receiver = Receiver::start().await;
    let server = TestServer::start().await;
    let made = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let database = server.stop_and_keep().await;
    let server = TestServer::guarded_on(database, Names::new(), &[]).await;
    assert_forbidden(&settled(&server).await);
    assert_eq!(receiver.connections(), 0);
    assert_eq!(server.enable(&made, false).await.enabled, Some(false));
}

#[tokio::test]
async fn redirects_lead_nowhere_and_are_failures() {
    let inside = Raw::start("127.0.0.2:0", vec![String::new()]).await;
    let server = TestServer::guarded(Names::new(), &["127.0.0.1/32"]).await;
    for (status, location) in [
        (301, inside.url.clone()),
        (302, "http://169.254.169.254/latest/meta-data/".to_owned()),
        (303, "//localhost/".to_owned()),
        (307, inside.url.clone()),
        (308, inside.url.replace("127.0.0.2", "[::ffff:127.0.0.2]")),
    ] {
        let redirect = move |_: &_| Reply::status(status).header("location", location.clone());
        let receiver = Receiver::with(redirect).await;
        server.register(&format!("a{status}")).await;
        let hook = webhook(&format!("w{status}"), &receiver.url(), &[&format!("a{status}")]);
        server.create(hook).await;
        let published = server.publish(event(&format!("a{status}"), "{}")).await;
        let is_settled = |log: &EventLog| log.end_time.is_some();
        let log = server.wait_log(&published.event_id, "the end", is_settled).await;
        assert_eq!(log.last_outcome(), AttemptOutcome::HttpError);
        assert_eq!(log.status(), DeliveryStatus::Diverted);
        assert_eq!(receiver.count(), 1);
    }
    assert_eq!(inside.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}
