//! Two whole servers on one PostgreSQL, with transactions held open at the worst moment: what
//! one acknowledges counts on the other, publish order is position order, and both show the
//! same log. `several_writers` has the same of two stores. Without a PostgreSQL there is
//! nothing to test here.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use tidings::grpc::proto::{
    AttemptOutcome, ChangeKind, CreateWebhookRequest, DeliveryOrder, Event, EventLogChange,
    PublishEventRequest, PublishResult, RetryDeliveryRequest, RetryPolicy, TestWebhookRequest,
    Webhook, test_webhook_request::Subject,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use super::support::{
    api::{event, seconds, webhook},
    database::{Database, is_postgres, until_waiting},
    proxy::Proxy,
    receiver::{Receiver, Reply},
    server::TestServer,
    tailing::{earliest, reason, sequences},
};

/// Two servers on one database.
async fn two_nodes() -> (Arc<Database>, [TestServer; 2]) {
    let database = Database::new().await;
    let start = || TestServer::on_database(Arc::clone(&database), |_| {});
    let nodes = [start().await, start().await];
    (database, nodes)
}

/// A transaction of somebody else that has done this.
async fn held_open(database: &Database, sql: &str) -> DatabaseTransaction {
    let transaction = database.connect().await.begin().await.expect("begun");
    transaction.execute_unprepared(sql).await.expect(sql);
    transaction
}

/// Takes the end of every journal, where publishes stand last before their commit.
const TAKE_HEADS: &str = "UPDATE journal_heads SET head = head";
/// Takes the row that tells the version of a configuration, where changes of it begin.
const TAKE_VERSIONS: &str = "SELECT 1 FROM tenants FOR UPDATE";

/// A publish that is on its way.
fn start_publish(on: &TestServer, name: &str) -> JoinHandle<PublishResult> {
    let request = PublishEventRequest { event: Some(event(name, "{}")), ..Default::default() };
    let mut events = on.events();
    tokio::spawn(async move {
        let published = events.publish_event(request).await.expect("published").into_inner();
        published.result.expect("a result")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_acknowledged_by_one_node_count_for_the_next_publish_on_the_other() {
    if !is_postgres() {
        return;
    }
    let (_database, [one, other]) = two_nodes().await;
    let receiver = Receiver::start().await;
    // The other one always has a transaction under way, and one that gathers.
    let (stop, mut noise) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..4 {
        let (mut events, stop) = (other.events(), stop.clone());
        noise.spawn(async move {
            while !stop.is_cancelled() {
                let event = Some(event("noise", "{}"));
                let request = PublishEventRequest { event, ..Default::default() };
                events.publish_event(request).await.expect("published");
            }
        });
    }
    let matched = async || other.publish(event("a", "{}")).await.matched_webhook_count;
    let mut made = Vec::new();
    for n in 1..=20 {
        let name = format!("w{n}");
        made.push(one.create(webhook(&name, &receiver.url(), &["a"])).await);
        assert_eq!(matched().await, n);
    }
    for (left, webhook) in (0..20).rev().zip(&made) {
        one.enable(webhook, false).await;
        assert_eq!(matched().await, left);
    }
    stop.cancel();
    noise.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_waits_for_a_publish_on_another_node_that_has_missed_it() {
    if !is_postgres() {
        return;
    }
    let (database, [one, other]) = two_nodes().await;
    let receiver = Receiver::start().await;
    one.create(webhook("w1", &receiver.url(), &["*"])).await;
    let beside = database.connect().await;
    let held = held_open(&database, TAKE_HEADS).await;
    let missing = start_publish(&other, "a");
    until_waiting(&beside, 1).await;
    let mut webhooks = one.webhooks();
    let request = CreateWebhookRequest {
        webhook: Some(webhook("w2", &receiver.url(), &["*"])),
        ..Default::default()
    };
    let making = tokio::spawn(async move { webhooks.create_webhook(request).await.map(drop) });
    until_waiting(&beside, 2).await;
    assert!(!making.is_finished() && !missing.is_finished());
    held.commit().await.expect("committed");
    making.await.expect("no panic").expect("made");
    assert_eq!(other.publish(event("a", "{}")).await.matched_webhook_count, 2);
    assert_eq!(missing.await.expect("no panic").matched_webhook_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_during_a_change_on_another_node_is_matched_with_it() {
    if !is_postgres() {
        return;
    }
    let (database, [one, other]) = two_nodes().await;
    let receiver = Receiver::start().await;
    other.publish(event("a", "{}")).await;
    let beside = database.connect().await;
    let held = held_open(&database, TAKE_VERSIONS).await;
    let mut webhooks = one.webhooks();
    let request = CreateWebhookRequest {
        webhook: Some(webhook("w", &receiver.url(), &["*"])),
        ..Default::default()
    };
    let making = tokio::spawn(async move { webhooks.create_webhook(request).await.map(drop) });
    until_waiting(&beside, 1).await;
    let publishing = start_publish(&other, "a");
    until_waiting(&beside, 2).await;
    held.commit().await.expect("committed");
    making.await.expect("no panic").expect("made");
    assert_eq!(publishing.await.expect("no panic").matched_webhook_count, 1);
    assert_eq!(other.publish(event("a", "{}")).await.matched_webhook_count, 1);
}

/// A publish: from when to when its caller waited, and its event.
struct Publish {
    begun: Instant,
    ended: Instant,
    event_id: String,
}

/// Publishes some events on each node, some of them at the same time; those of one node come
/// after each other.
fn publish_on(nodes: &[TestServer; 2], count: usize) -> JoinSet<Vec<Publish>> {
    let mut publishing = JoinSet::new();
    for node in nodes.iter().chain(nodes) {
        let mut events = node.events();
        publishing.spawn(async move {
            let mut done = Vec::new();
            for _ in 0..count {
                let begun = Instant::now();
                let event = Some(event("a", "{}"));
                let request = PublishEventRequest { event, ..Default::default() };
                let published = events.publish_event(request).await.expect("published");
                let event_id = published.into_inner().result.expect("a result").event_id;
                done.push(Publish { begun, ended: Instant::now(), event_id });
            }
            done
        });
    }
    publishing
}

/// The events in the order of their acceptance.
fn accepted(changes: &[EventLogChange]) -> Vec<String> {
    let accepted = changes.iter().filter(|change| change.kind() == ChangeKind::Accepted);
    accepted.map(|change| change.event_log.as_ref().expect("a record").event_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_order_is_position_order_on_both_nodes_while_transactions_are_open() {
    if !is_postgres() {
        return;
    }
    const ROUNDS: usize = 5;
    const EACH: usize = 5;
    let (database, nodes) = two_nodes().await;
    let receiver = Receiver::start().await;
    let fifo = Webhook {
        delivery_order: DeliveryOrder::Fifo.into(),
        ..webhook("w", &receiver.url(), &["*"])
    };
    nodes[0].create(fifo).await;
    let mut tails = Vec::new();
    for node in &nodes {
        tails.push(node.tail(earliest()).await.expect("a tail"));
    }
    // It has a number and a snapshot from before all others, and stays idle.
    let idle = held_open(
        &database,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()",
    )
    .await;
    let beside = database.connect().await;
    let mut history = Vec::new();
    for _ in 0..ROUNDS {
        let held = held_open(&database, TAKE_HEADS).await;
        let publishing = publish_on(&nodes, EACH);
        // Both nodes stand before their commits.
        until_waiting(&beside, 2).await;
        held.commit().await.expect("committed");
        history.extend(publishing.join_all().await.into_iter().flatten());
    }
    let count = history.len();
    assert_eq!(count, ROUNDS * EACH * 4);

    let mut logs = Vec::new();
    for tail in &mut tails {
        // Each is accepted, and settled.
        let changes = tail.changes(2 * count).await;
        assert_eq!(sequences(&changes), (1..=2 * count as i64).collect::<Vec<_>>());
        logs.push(changes);
    }
    assert_eq!(logs[0], logs[1]);
    idle.commit().await.expect("committed");

    let order = accepted(&logs[0]);
    let publishes: HashMap<_, _> =
        history.iter().map(|publish| (publish.event_id.as_str(), publish)).collect();
    let mut latest_begin = publishes[order[0].as_str()].begun;
    for event in &order {
        let publish = publishes[event.as_str()];
        latest_begin = latest_begin.max(publish.begun);
        assert!(publish.ended >= latest_begin, "{event} stands behind what began after its end");
    }
    let came: Vec<_> = receiver
        .received()
        .iter()
        .map(|received| received.header("tidings-event-id").expect("an id").to_owned())
        .collect();
    assert_eq!(came, order);
}

/// Has a node test a webhook, with success.
async fn ping(on: &TestServer, webhook: &Webhook) {
    let subject = Some(Subject::WebhookId(webhook.webhook_id.clone()));
    let request = TestWebhookRequest { subject, ..Default::default() };
    let tested = on.webhooks().test_webhook(request).await.expect("a test").into_inner();
    assert_eq!(tested.attempt.expect("an attempt").outcome(), AttemptOutcome::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_and_retries_by_hand_may_be_asked_for_on_any_node() {
    if !is_postgres() {
        return;
    }
    let (_database, nodes) = two_nodes().await;
    let receiver = Receiver::with(|received| {
        let again = received.header("tidings-attempt").is_some_and(|number| number != "1");
        let test = received.header("tidings-test").is_some();
        Reply::status(if again || test { 200 } else { 503 })
    })
    .await;
    let mut made = Vec::new();
    for n in 0..4 {
        // Left alone it would be tried again in an hour.
        let wait = Some(seconds(3_600));
        let policy = RetryPolicy { initial_backoff: wait, max_backoff: wait, ..Default::default() };
        let hook = webhook(&format!("w{n}"), &receiver.url(), &[&format!("a{n}")]);
        made.push(nodes[0].create(Webhook { retry_policy: Some(policy), ..hook }).await);
    }
    for node in &nodes {
        for (n, webhook) in made.iter().enumerate() {
            ping(node, webhook).await;
            let id = node.publish(event(&format!("a{n}"), "{}")).await.event_id;
            let failed = node.wait_log(&id, "a failure", |log| log.attempt_count == 1).await;
            let event_log_id = failed.event_log_id;
            let request = RetryDeliveryRequest { event_log_id, ..Default::default() };
            let asked = Instant::now();
            node.event_logs().retry_delivery(request).await.expect("put back");
            node.wait_log(&id, "success", |log| log.status == 3).await;
            assert!(asked.elapsed() < Duration::from_secs(10), "its owner heard of it too late");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_asked_for_during_an_attempt_of_another_node_is_that_attempt() {
    if !is_postgres() {
        return;
    }
    let (_database, nodes) = two_nodes().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let receiver = Receiver::with(move |received| match received.header("tidings-test") {
        Some(_) => Reply::status(200),
        None => Reply::status(200).held_by(Arc::clone(&held)),
    })
    .await;
    let webhook = nodes[0].create(webhook("w", &receiver.url(), &["*"])).await;
    for node in &nodes {
        // It knows the webhook then.
        ping(node, &webhook).await;
    }
    let id = nodes[0].publish(event("a", "{}")).await.event_id;
    receiver.wait_for(3).await;
    let event_log_id = nodes[0].log(&id).await.event_log_id;
    let mut refused = 0;
    for node in &nodes {
        let event_log_id = event_log_id.clone();
        let request = RetryDeliveryRequest { event_log_id, ..Default::default() };
        if let Err(status) = node.event_logs().retry_delivery(request).await {
            assert_eq!(reason(&status), "WEBHOOK_STATE_CONFLICT");
            refused += 1;
        }
    }
    assert_eq!(refused, 1, "by the node that makes the attempt");
    gate.close();
    for node in &nodes {
        let done = node.wait_log(&id, "success", |log| log.status == 3).await;
        assert_eq!(done.attempt_count, 1);
        node.publish(event("a", "{}")).await;
    }
    receiver.wait_for(5).await;
    assert_eq!(receiver.count(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_from_the_database_is_replaced_and_comes_back() {
    if !is_postgres() {
        return;
    }
    const WEBHOOKS: usize = 4;
    for cut in [Proxy::close, Proxy::silence] {
        let database = Database::new().await;
        let (proxy, url) = Proxy::before(&database.url()).await;
        let cut_off =
            TestServer::on_database(Arc::clone(&database), |config| config.database = url).await;
        let receiver = Receiver::start().await;
        for n in 0..WEBHOOKS {
            cut_off.create(webhook(&format!("w{n}"), &receiver.url(), &["*"])).await;
        }
        cut_off.publish(event("a", "{}")).await;
        receiver.wait_for(WEBHOOKS).await;
        let other = TestServer::on_database(database, |_| {}).await;

        cut(&proxy);
        let since = Instant::now();
        other.publish(event("a", "{}")).await;
        receiver.wait_for(2 * WEBHOOKS).await;
        // Ten seconds, and some for a machine that has other things to do.
        assert!(since.elapsed() < Duration::from_secs(15), "replaced after {:?}", since.elapsed());
        // The same one each time: what is refused may be stored all the same.
        let same = Event { event_id: Uuid::new_v4().to_string(), ..event("a", "{}") };
        let request = PublishEventRequest { event: Some(same), ..Default::default() };
        let refused = cut_off.events().publish_event(request.clone()).await.expect_err("cut off");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");

        proxy.open();
        let again =
            async { while cut_off.events().publish_event(request.clone()).await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("it comes back");
        receiver.wait_for(3 * WEBHOOKS).await;
        assert_eq!(receiver.count(), 3 * WEBHOOKS, "nothing came twice");
    }
}
