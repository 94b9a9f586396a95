//! A database that fails for a while: callers are told, no loop dies, nothing
//! acknowledged is lost, and everything goes on afterwards.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, Database as Connections};
use tidings::grpc::proto::{
    CreateWebhookRequest, PublishEventRequest, event_service_client::EventServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::support::{
    api::{event, webhook},
    database::{Database, is_postgres},
    process::ServerProcess,
    proxy::{Commit, Proxy},
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::reason,
};

fn request(payload: &str) -> PublishEventRequest {
    PublishEventRequest { event: Some(event("a", payload)), ..Default::default() }
}

fn assert_unavailable(refused: &Status) {
    assert_eq!(
        (refused.code(), reason(refused).as_str()),
        (Code::Unavailable, "STORE_UNAVAILABLE")
    );
}

/// Has an attempt under way, whose answer comes once the semaphore is closed.
async fn under_way(server: &TestServer) -> (Receiver, Arc<Semaphore>) {
    let answers = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&answers);
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(Arc::clone(&held))).await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    server.publish(event("a", "{}")).await;
    receiver.wait_for(1).await;
    (receiver, answers)
}

#[tokio::test]
async fn a_locked_sqlite_file_is_unavailable_and_comes_back() {
    let server = TestServer::on_database(Database::file(), |_| {}).await;
    let (_receiver, answers) = under_way(&server).await;

    let foreign = Connections::connect(server.database()).await.expect("connects");
    foreign.execute_unprepared("BEGIN IMMEDIATE").await.expect("locks");
    // The outcome of the attempt cannot be recorded now.
    answers.close();
    let refused = server.events().publish_event(request("{}")).await.expect_err("locked");
    assert_unavailable(&refused);

    foreign.execute_unprepared("ROLLBACK").await.expect("unlocks");
    let mut tail = server.tail(super::support::tailing::earliest()).await.expect("a tail");
    assert_eq!(tail.changes(2).await.len(), 2, "accepted, and settled once it could be");
    server.publish(event("a", "{}")).await;
    assert_eq!(tail.changes(2).await.len(), 2);
}

#[tokio::test]
async fn a_server_that_goes_away_is_unavailable_and_comes_back() {
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let (proxy, url) = Proxy::before(&database.url()).await;
    let server = TestServer::on_database(database, |config| config.database = url).await;
    let (_receiver, answers) = under_way(&server).await;

    proxy.close();
    // The outcome of the attempt cannot be recorded now.
    answers.close();
    let refused = server.events().publish_event(request("{}")).await.expect_err("away");
    assert_unavailable(&refused);

    proxy.open();
    server.publish(event("a", "{}")).await;
    let mut tail = server.tail(super::support::tailing::earliest()).await.expect("a tail");
    // Each is accepted and settled, in an order that depends on when the first was recorded.
    assert_eq!(tail.changes(4).await.len(), 4);
}

#[tokio::test]
async fn a_commit_that_a_crash_forgets_is_not_taken_for_that_of_another() {
    if !is_postgres() {
        return;
    }
    let database = Database::own().await;
    let (proxy, url) = Proxy::before(&database.url()).await;
    let server =
        TestServer::on_database(Arc::clone(&database), |config| config.database = url).await;
    let receiver = Receiver::start().await;
    server.create(webhook("w", &receiver.url(), &["*"])).await;
    let beside = database.connect().await;
    for sql in ["ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"] {
        beside.execute_unprepared(sql).await.expect(sql);
    }
    let mut acknowledged = HashSet::from([server.publish(event("a", "{}")).await.event_id]);
    // Until it is the commit of a publish: other work commits as well.
    loop {
        proxy.next_commit(Commit::IsLost);
        match server.events().publish_event(request("{}")).await {
            Ok(done) => acknowledged.insert(done.into_inner().result.expect("a result").event_id),
            Err(refused) => break assert_unavailable(&refused),
        };
    }
    proxy.close();
    database.crash_server().await;
    // What the server did not sync it does not know any more, and gives the names again.
    let beside = database.connect().await;
    for _ in 0..100 {
        beside.execute_unprepared("SELECT pg_current_xact_id()").await.expect("a transaction");
    }
    proxy.open();
    for _ in 0..3 {
        acknowledged.insert(server.publish(event("a", "{}")).await.event_id);
    }
    let received = receiver.wait_for(acknowledged.len()).await;
    let came = received.iter().map(|one| one.header("tidings-event-id").expect("an id").to_owned());
    assert_eq!(came.collect::<HashSet<_>>(), acknowledged);
}

#[tokio::test]
async fn a_node_without_its_database_is_not_serving_until_it_answers_again() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    if !is_postgres() {
        return;
    }
    let database = Database::new().await;
    let (proxy, url) = Proxy::before(&database.url()).await;
    let server = TestServer::on_database(database, |config| {
        config.database = url;
        config.health_grace = Duration::from_millis(200);
    })
    .await;
    let mut health = HealthClient::new(server.channel.clone());
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "tidings.v1.EventService"] {
        let mut watch = health.watch(of(service)).await.expect("a watch").into_inner();
        let mut expect = async |status: ServingStatus| {
            let message = watch.message().await.expect("no error").expect("a status");
            assert_eq!(message.status(), status);
        };
        expect(ServingStatus::Serving).await;
        proxy.close();
        expect(ServingStatus::NotServing).await;
        let live = health.check(of("live")).await.expect("known").into_inner();
        assert_eq!(live.status(), ServingStatus::Serving, "a restart would not help");
        proxy.open();
        expect(ServingStatus::Serving).await;
    }
    server.publish(event("a", "{}")).await;
}

#[tokio::test]
async fn a_full_disk_below_sqlite_is_unavailable_until_there_is_room() {
    let database = Database::file();
    // Files may grow to two mebibytes, for now.
    let server = ServerProcess::with_file_limit(&database, 2_048).await;
    let receiver = Receiver::start().await;
    let hook = webhook("w", &receiver.url(), &["*"]);
    let create = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
    let channel = server.channel();
    WebhookServiceClient::new(channel.clone()).create_webhook(create).await.expect("a webhook");

    let mut events = EventServiceClient::new(channel);
    let payload = format!("{{\"filler\":\"{}\"}}", "x".repeat(50_000));
    let mut acknowledged = HashSet::new();
    let refused = loop {
        match events.publish_event(request(&payload)).await {
            Ok(response) => {
                acknowledged.insert(response.into_inner().result.expect("a result").event_id);
            }
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 200, "the disk never was full");
    };
    assert_unavailable(&refused);
    assert!(!acknowledged.is_empty());

    server.lift_file_limit().await;
    let more = events.publish_event(request(&payload)).await.expect("there is room again");
    acknowledged.insert(more.into_inner().result.expect("a result").event_id);
    receiver
        .wait_until("everything acknowledged arrived", |received| {
            let ids: HashSet<_> =
                received.iter().filter_map(|r| r.header("tidings-event-id")).collect();
            acknowledged.iter().all(|id| ids.contains(id.as_str()))
        })
        .await;
}
