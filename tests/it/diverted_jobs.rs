//! Jobs on diverted events: replay, discard, progress, cancellation, crashes.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use tidings::grpc::proto::{
    CancelDivertedEventJobRequest, DeleteWebhookRequest, DeliveryStatus,
    DiscardDivertedEventsRequest, DivertReason, DivertedEventJobState, EventLogFilter,
    GetDivertedEventJobRequest, ListDivertedEventJobsRequest, ListDivertedEventsRequest,
    PublishEventRequest, ReplayDivertedEventsRequest, SuspendWebhookRequest,
    UnsuspendWebhookRequest, Webhook, diverted_event_service_client::DivertedEventServiceClient,
    event_log_service_client::EventLogServiceClient, event_service_client::EventServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use tidings::{
    engine::Pruner,
    grpc::proto::{CreateWebhookRequest, ListEventLogsRequest, RetryPolicy},
    store::{SecretKeys, Store},
};
use tonic::Code;

use super::{
    diverted_events::{failing, of},
    support::{
        api::{event, no_retries, seconds, update, webhook},
        clock::ManualClock,
        database::Database,
        process::ServerProcess,
        receiver::Receiver,
        refusal::refused,
        server::TestServer,
    },
};

#[tokio::test]
async fn a_replay_delivers_what_was_diverted_and_counts_it() {
    let (server, receiver, status, hook) = failing("w").await;
    let ids = server.divert("a", 5).await;
    status.store(200, Ordering::SeqCst);
    let job = server.replay(of(&hook)).await;
    assert_eq!((job.selected_count, job.done_count), (5, 0));
    let ended = server.ended(&job.job_id).await;
    assert_eq!(ended.state(), DivertedEventJobState::Done);
    assert_eq!((ended.selected_count, ended.done_count, ended.skipped_count), (5, 5, 0));
    assert!(ended.end_time.is_some());
    for id in &ids {
        let log = server.wait_log(id, "success", |log| log.status == 3).await;
        assert_eq!(log.attempt_count, 2);
    }
    assert_eq!(receiver.wait_for(10).await.len(), 10);
    let request = ListDivertedEventsRequest { states: vec![2], ..Default::default() };
    assert_eq!(server.diverted(request).await.len(), 5);
}

#[tokio::test]
async fn what_is_diverted_again_is_not_taken_once_more() {
    let (server, receiver, _, hook) = failing("w").await;
    let ids = server.divert("a", 3).await;
    let ended = server.ended(&server.replay(of(&hook)).await.job_id).await;
    assert_eq!((ended.selected_count, ended.done_count), (3, 3));
    for id in &ids {
        let again =
            |log: &tidings::grpc::proto::EventLog| log.status == 4 && log.attempt_count == 2;
        server.wait_log(id, "diverted again", again).await;
    }
    assert_eq!(receiver.count(), 6);
    assert_eq!(server.diverted(Default::default()).await.len(), 3);
}

#[tokio::test]
async fn a_discard_drops_and_keeps_the_log() {
    let (server, receiver, _, hook) = failing("w").await;
    let ids = server.divert("a", 2).await;
    let request = DiscardDivertedEventsRequest {
        selector: Some(of(&hook)),
        validate_only: true,
        ..Default::default()
    };
    let mut client = server.diverted_events();
    let draft = client.discard_diverted_events(request.clone()).await.expect("counted");
    let draft = draft.into_inner().job.expect("the job");
    assert_eq!((draft.job_id.as_str(), draft.selected_count), ("", 2));

    // The same key gives the same job, and another request under it is refused.
    let key = uuid::Uuid::new_v4().to_string();
    let request = DiscardDivertedEventsRequest {
        validate_only: false,
        idempotency_key: key.clone(),
        ..request
    };
    let mut made = Vec::new();
    for _ in 0..2 {
        let job = client.discard_diverted_events(request.clone()).await.expect("a job");
        made.push(job.into_inner().job.expect("the job").job_id);
    }
    assert_eq!(made[0], made[1]);
    let other = DiscardDivertedEventsRequest {
        selector: Some(tidings::grpc::proto::DivertedEventSelector {
            reasons: vec![1],
            ..Default::default()
        }),
        ..request
    };
    let refusal = refused(client.discard_diverted_events(other).await);
    assert_eq!(refusal.what(), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));

    assert_eq!(server.ended(&made[0]).await.done_count, 2);
    for id in &ids {
        let log = server.wait_log(id, "dropped", |log| log.status == 5).await;
        assert_eq!((log.diverted_event_id.as_str(), log.attempt_count), ("", 1));
    }
    assert!(server.diverted(Default::default()).await.is_empty());
    let request = ListDivertedEventsRequest { states: vec![3], ..Default::default() };
    assert_eq!(server.diverted(request).await.len(), 2);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_job_is_cancelled_midway_and_what_is_done_stays_done() {
    let (server, _receiver, status, hook) = failing("w").await;
    server.divert("a", 4).await;
    status.store(200, Ordering::SeqCst);
    let request = ReplayDivertedEventsRequest {
        selector: Some(of(&hook)),
        // One in a thousand seconds.
        max_per_second: 0.001,
        ..Default::default()
    };
    let mut client = server.diverted_events();
    let job = client.replay_diverted_events(request).await.expect("a job").into_inner().job;
    let job = job.expect("the job");
    let first = async {
        while server.job(&job.job_id).await.done_count == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), first).await.expect("progress");
    let request =
        CancelDivertedEventJobRequest { job_id: job.job_id.clone(), ..Default::default() };
    for _ in 0..2 {
        let ended = client.cancel_diverted_event_job(request.clone()).await.expect("cancelled");
        let ended = ended.into_inner().job.expect("the job");
        assert_eq!(ended.state(), DivertedEventJobState::Cancelled);
        assert_eq!((ended.selected_count, ended.done_count), (4, 1));
        assert!(ended.end_time.is_some());
    }
    assert_eq!(server.diverted(Default::default()).await.len(), 3);
    let unknown =
        CancelDivertedEventJobRequest { tenant_id: "other".into(), job_id: job.job_id.clone() };
    let refusal = refused(client.cancel_diverted_event_job(unknown).await);
    assert_eq!(refusal.what(), (Code::NotFound, "JOB_NOT_FOUND"));

    let second = server.replay(of(&hook)).await;
    let request = ListDivertedEventJobsRequest { page_size: 1, ..Default::default() };
    let page = client.list_diverted_event_jobs(request.clone()).await.expect("jobs").into_inner();
    assert_eq!(page.jobs[0].job_id, second.job_id);
    let request = ListDivertedEventJobsRequest { page_token: page.next_page_token, ..request };
    let page = client.list_diverted_event_jobs(request).await.expect("jobs").into_inner();
    assert_eq!((page.jobs[0].job_id.as_str(), page.next_page_token.as_str()), (&*job.job_id, ""));
}

#[tokio::test]
async fn stopped_and_deleted_webhooks_are_left_alone_but_their_events_can_be_discarded() {
    let (server, receiver, _, hook) = failing("w").await;
    server.divert("a", 2).await;
    server.enable(&hook, false).await;
    let ended = server.ended(&server.replay(of(&hook)).await.job_id).await;
    assert_eq!((ended.done_count, ended.skipped_count), (0, 2));
    let request =
        DeleteWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    server.webhooks().delete_webhook(request).await.expect("deleted");
    let ended = server.ended(&server.replay(of(&hook)).await.job_id).await;
    assert_eq!((ended.done_count, ended.skipped_count), (0, 2));
    assert_eq!(server.diverted(Default::default()).await.len(), 2);
    let request = DiscardDivertedEventsRequest { selector: Some(of(&hook)), ..Default::default() };
    let job = server.diverted_events().discard_diverted_events(request).await.expect("a job");
    let job = job.into_inner().job.expect("the job");
    assert_eq!(server.ended(&job.job_id).await.done_count, 2);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn an_unsuspension_replays_what_was_diverted_since() {
    let (server, _receiver, status, hook) = failing("w").await;
    server.divert("before", 1).await;
    let suspend =
        || SuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(suspend()).await.expect("suspended");
    let id = server.publish(event("during", "{}")).await.event_id;
    // Stopping diverts what waits.
    server.enable(&hook, false).await;
    server.wait_log(&id, "diverted", |log| log.status == 4).await;
    server.enable(&hook, true).await;
    status.store(200, Ordering::SeqCst);
    let lift = UnsuspendWebhookRequest {
        webhook_id: hook.webhook_id.clone(),
        replay_diverted: true,
        ..Default::default()
    };
    let lifted = server.webhooks().unsuspend_webhook(lift.clone()).await.expect("lifted");
    let job = lifted.into_inner().replay_job.expect("a job");
    assert_eq!(job.selected_count, 1);
    assert_eq!(server.ended(&job.job_id).await.done_count, 1);
    server.wait_log(&id, "success", |log| log.status == 3).await;
    assert_eq!(server.diverted(Default::default()).await.len(), 1);
    // Nothing is suspended any more: nothing to replay.
    let again = server.webhooks().unsuspend_webhook(lift).await.expect("nothing to do");
    assert_eq!(again.into_inner().replay_job, None);
}

#[tokio::test]
async fn a_replayed_event_gets_its_time_anew() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |_| {}).await;
    let receiver = Receiver::start().await;
    let mut hook = webhook("w", &receiver.url(), &["*"]);
    hook.retry_policy = Some(RetryPolicy { max_age: Some(seconds(60)), ..no_retries() });
    let hook = server.create(hook).await;
    let suspend =
        SuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let id = server.publish(event("a", "{}")).await.event_id;
    server.enable(&hook, false).await;
    let diverted = server.wait_log(&id, "diverted", |log| log.status == 4).await;
    assert_eq!(diverted.attempt_count, 0);
    let lift =
        UnsuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    server.webhooks().unsuspend_webhook(lift).await.expect("lifted");
    clock.advance(Duration::from_secs(3600));
    server.enable(&hook, true).await;
    server.replay(of(&hook)).await;
    server.wait_log(&id, "success", |log| log.status == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_survives_kills_and_does_each_event_once() {
    const EVENTS: usize = 1_500;
    let mut server = ServerProcess::start(&Database::new().await).await;
    let receiver = Receiver::start().await;
    let channel = server.channel();
    let mut webhooks = WebhookServiceClient::new(channel.clone());
    let request = CreateWebhookRequest {
        webhook: Some(webhook("w", &receiver.url(), &["*"])),
        ..Default::default()
    };
    let hook = webhooks.create_webhook(request).await.expect("a webhook").into_inner().webhook;
    let hook = hook.expect("the webhook");
    let suspend =
        SuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    webhooks.suspend_webhook(suspend).await.expect("suspended");
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..15 {
        let mut events = EventServiceClient::new(channel.clone());
        publishers.spawn(async move {
            for _ in 0..EVENTS / 15 {
                let event = Some(event("a", "{}"));
                let request = PublishEventRequest { event, ..Default::default() };
                events.publish_event(request).await.expect("published");
            }
        });
    }
    publishers.join_all().await;

    // Stopping diverts what waits; then everything is started again.
    let enable = |enabled| {
        let webhook_id = hook.webhook_id.clone();
        update(Webhook { webhook_id, enabled: Some(enabled), ..Default::default() }, &["enabled"])
    };
    webhooks.update_webhook(enable(false)).await.expect("stopped");
    let mut client = DivertedEventServiceClient::new(channel.clone());
    let counting = ReplayDivertedEventsRequest {
        selector: Some(of(&hook)),
        validate_only: true,
        ..Default::default()
    };
    let all = async {
        loop {
            let job = client.replay_diverted_events(counting.clone()).await.expect("counted");
            if job.into_inner().job.expect("the job").selected_count == EVENTS as i64 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all are diverted");
    webhooks.update_webhook(enable(true)).await.expect("started");
    let lift =
        UnsuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    webhooks.unsuspend_webhook(lift).await.expect("lifted");

    let replay = ReplayDivertedEventsRequest { validate_only: false, ..counting };
    let job = client.replay_diverted_events(replay).await.expect("a job").into_inner().job;
    let job_id = job.expect("the job").job_id;
    let request = GetDivertedEventJobRequest { job_id, ..Default::default() };
    // Killed after the first batch, and once more a few batches later.
    let (mut kills, mut done) = (0, 0);
    let ended = async {
        loop {
            let Ok(job) = client.get_diverted_event_job(request.clone()).await else { continue };
            let job = job.into_inner().job.expect("the job");
            if job.state() == DivertedEventJobState::Done {
                return (job, kills);
            }
            if kills < 3 && job.done_count > done {
                (kills, done) = (kills + 1, job.done_count);
                server.kill_and_restart().await;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), ended).await;
    let (job, kills) = ended.expect("the job ends");
    assert!(kills > 0, "it was killed midway");
    let counts = (job.selected_count, job.done_count, job.skipped_count);
    assert_eq!(counts, (EVENTS as i64, EVENTS as i64, 0));

    let mut logs = EventLogServiceClient::new(channel.clone());
    let open = ListEventLogsRequest {
        filter: Some(EventLogFilter { statuses: vec![1, 2, 4, 5], ..Default::default() }),
        ..Default::default()
    };
    let settled = async {
        loop {
            let page = logs.list_event_logs(open.clone()).await.expect("a page").into_inner();
            if page.event_logs.is_empty() && page.next_page_token.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("all arrive");

    // The journal says of each: put back once, settled as a success once.
    let mut changes: HashMap<String, (usize, usize)> = HashMap::new();
    let request = tidings::grpc::proto::TailEventLogsRequest {
        stop_when_caught_up: true,
        ..super::support::tailing::earliest()
    };
    let mut tail = logs.tail_event_logs(request).await.expect("a tail").into_inner();
    while let Some(message) = tail.message().await.expect("a message") {
        use tidings::grpc::proto::{ChangeKind, tail_event_logs_response::Message};
        let Some(Message::EventLogs(batch)) = message.message else { continue };
        for change in batch.changes {
            let kind = change.kind();
            let record = change.event_log.expect("a record");
            let counted = changes.entry(record.event_id.clone()).or_default();
            counted.0 += usize::from(kind == ChangeKind::Requeued);
            counted.1 += usize::from(record.status() == DeliveryStatus::Succeeded);
        }
    }
    assert_eq!(changes.len(), EVENTS);
    assert!(changes.values().all(|counted| *counted == (1, 1)));
}

#[tokio::test]
async fn retention_diverts_what_waits_under_a_suspension() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let hook = server.create(webhook("w", &receiver.url(), &["*"])).await;
    let suspend =
        SuspendWebhookRequest { webhook_id: hook.webhook_id.clone(), ..Default::default() };
    server.webhooks().suspend_webhook(suspend).await.expect("suspended");
    let id = server.publish(event("a", "{}")).await.event_id;
    let database = server.stop_and_keep().await;

    let (store, _accepted) =
        Store::open(&database.parsed(), SecretKeys::default()).await.expect("a store");
    // A clock in the future: everything is too old, but what is diverted now stays.
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(50 * 365 * 24 * 3600));
    let pruner = Pruner::new(store, clock, Duration::from_secs(3600));
    // What told of the suspension went to nobody.
    for deleted in [1, 0] {
        assert_eq!(pruner.run_once().await.expect("prunes").1, deleted);
    }
    drop(pruner);
    let server = TestServer::reopen(database).await;
    let diverted = server.diverted(Default::default()).await;
    assert_eq!(diverted.len(), 1);
    assert_eq!(diverted[0].reason(), DivertReason::Suspended);
    assert_eq!(diverted[0].event.as_ref().expect("the event").event_id, id);
    assert_eq!(receiver.count(), 0);
}
