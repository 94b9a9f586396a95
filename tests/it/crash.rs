//! Crashes: what was acknowledged is delivered, nothing is stuck, and the log is
//! whole, however often and wherever the process dies.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tidings::grpc::proto::{
    CreateWebhookRequest, DeliveryStatus, EventLogChange, EventLogFilter, ListEventLogsRequest,
    PublishEventRequest, TailEventLogsRequest, event_log_service_client::EventLogServiceClient,
    event_service_client::EventServiceClient, tail_event_logs_response::Message,
    webhook_service_client::WebhookServiceClient,
};
use tokio::{sync::watch, task::JoinSet};
use tonic::transport::Channel;
use uuid::Uuid;

use super::support::{
    api::{event, quick_retries, webhook},
    database::Database,
    process::ServerProcess,
    receiver::{Receiver, Reply},
    tailing::{after, earliest},
};

const PUBLISHERS: usize = 16;
/// How long everything may take to arrive after the last crash.
const DEADLINE: Duration = Duration::from_secs(60);

/// Publishers, a receiver that fails one request in 17, and a tail that resumes.
struct Load {
    channel: Channel,
    receiver: Receiver,
    acknowledged: watch::Sender<Vec<String>>,
    stop: Arc<AtomicBool>,
    publishers: JoinSet<()>,
    tailed: Arc<Mutex<BTreeMap<i64, EventLogChange>>>,
    tail: tokio::task::JoinHandle<()>,
}

impl Load {
    async fn start(server: &ServerProcess) -> Self {
        let receiver =
            Receiver::with(|r| Reply::status(if r.index % 17 == 16 { 503 } else { 200 })).await;
        let channel = server.channel();
        let mut hook = webhook("w", &receiver.url(), &["crash"]);
        hook.retry_policy = Some(quick_retries(1_000));
        hook.max_allowed_connections = Some(20);
        let request = CreateWebhookRequest { webhook: Some(hook), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(channel.clone());
        webhooks.create_webhook(request).await.expect("a webhook");

        let (acknowledged, stop) = (watch::Sender::new(Vec::new()), Arc::<AtomicBool>::default());
        let mut publishers = JoinSet::new();
        for _ in 0..PUBLISHERS {
            publishers.spawn(publish(channel.clone(), acknowledged.clone(), Arc::clone(&stop)));
        }
        let tailed = Arc::default();
        let tail = tokio::spawn(follow(channel.clone(), Arc::clone(&tailed)));
        Self { channel, receiver, acknowledged, stop, publishers, tailed, tail }
    }

    /// Waits until that many more events were acknowledged.
    async fn acknowledged(&self, more: usize) {
        let mut ids = self.acknowledged.subscribe();
        let wanted = ids.borrow().len() + more;
        let enough = ids.wait_for(|ids| ids.len() >= wanted);
        tokio::time::timeout(DEADLINE, enough).await.expect("in time").expect("publishers run");
    }

    /// Stops publishing and checks what was promised.
    async fn check(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.publishers.join_next().await.is_some() {}
        let acknowledged: HashSet<String> = self.acknowledged.borrow().iter().cloned().collect();
        assert!(!acknowledged.is_empty());

        self.receiver
            .wait_until("every acknowledged event arrived with success", |received| {
                let succeeded: HashSet<_> = received
                    .iter()
                    .filter(|r| r.index % 17 != 16)
                    .filter_map(|r| r.header("tidings-event-id"))
                    .collect();
                acknowledged.iter().all(|id| succeeded.contains(id.as_str()))
            })
            .await;
        let exported = self.export_until_settled(&acknowledged).await;

        // The tail that resumed across all crashes saw the very same log.
        let all = tokio::time::timeout(DEADLINE, async {
            while self.tailed.lock().len() < exported.len() {
                tokio::task::yield_now().await;
            }
        });
        all.await.expect("the resumed tail catches up");
        self.tail.abort();
        assert_eq!(*self.tailed.lock(), exported);
    }

    /// Reads the whole log until no delivery is waiting any more.
    async fn export_until_settled(
        &self,
        acknowledged: &HashSet<String>,
    ) -> BTreeMap<i64, EventLogChange> {
        let settled = async {
            loop {
                let filter = EventLogFilter {
                    statuses: vec![DeliveryStatus::Pending.into(), DeliveryStatus::Retrying.into()],
                    ..Default::default()
                };
                let request = ListEventLogsRequest { filter: Some(filter), ..Default::default() };
                let mut logs = EventLogServiceClient::new(self.channel.clone());
                let page = logs.list_event_logs(request).await.expect("a list").into_inner();
                if page.event_logs.is_empty() && page.next_page_token.is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, settled).await.expect("no delivery is stuck");

        let mut changes = BTreeMap::new();
        let request = TailEventLogsRequest { stop_when_caught_up: true, ..earliest() };
        read_tail(&self.channel, request, &mut |change, _| {
            assert_eq!(change.sequence, changes.len() as i64 + 1, "in order and without a gap");
            changes.insert(change.sequence, change);
        })
        .await
        .expect("an export");
        let succeeded: HashSet<&str> = changes
            .values()
            .filter_map(|change| change.event_log.as_ref())
            .filter(|record| record.status() == DeliveryStatus::Succeeded)
            .map(|record| record.event_id.as_str())
            .collect();
        assert!(acknowledged.iter().all(|id| succeeded.contains(id.as_str())));
        changes
    }
}

/// Publishes events with ids of its own; one that was not acknowledged is sent again.
async fn publish(
    channel: Channel,
    acknowledged: watch::Sender<Vec<String>>,
    stop: Arc<AtomicBool>,
) {
    let mut events = EventServiceClient::new(channel);
    while !stop.load(Ordering::Relaxed) {
        let mut event = event("crash", r#"{"n":1}"#);
        event.event_id = Uuid::new_v4().to_string();
        let id = event.event_id.clone();
        let request = PublishEventRequest { event: Some(event), ..Default::default() };
        while !stop.load(Ordering::Relaxed) {
            if events.publish_event(request.clone()).await.is_ok() {
                acknowledged.send_modify(|ids| ids.push(id));
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Follows the log across crashes with the last token.
async fn follow(channel: Channel, tailed: Arc<Mutex<BTreeMap<i64, EventLogChange>>>) {
    let mut token = String::new();
    loop {
        let request = if token.is_empty() { earliest() } else { after(&token) };
        let mut last = token.clone();
        let _ = read_tail(&channel, request, &mut |change, resume_token| {
            let mut tailed = tailed.lock();
            let next = tailed.len() as i64 + 1;
            assert!(change.sequence <= next, "a gap before {}", change.sequence);
            if let Some(seen) = tailed.insert(change.sequence, change.clone()) {
                assert_eq!(seen, change, "the log does not change");
            }
            last = resume_token.to_owned();
        })
        .await;
        token = last;
    }
}

async fn read_tail(
    channel: &Channel,
    request: TailEventLogsRequest,
    on_change: &mut (dyn FnMut(EventLogChange, &str) + Send),
) -> Result<(), tonic::Status> {
    let mut logs = EventLogServiceClient::new(channel.clone());
    let mut stream = logs.tail_event_logs(request).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if let Some(Message::EventLogs(batch)) = response.message {
            for change in batch.changes {
                on_change(change, &response.resume_token);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_over_five_kills_under_load() {
    let database = Database::new().await;
    let mut server = ServerProcess::start(&database).await;
    let load = Load::start(&server).await;
    for _ in 0..5 {
        load.acknowledged(50 + rand::random_range(0..400)).await;
        server.kill_and_restart().await;
    }
    load.acknowledged(100).await;
    load.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "left out: needs --features failpoints, as scripts/test.sh has it"
)]
async fn nothing_is_lost_when_it_dies_between_any_two_steps() {
    for fail_point in
        ["before-commit", "after-commit", "before-attempt", "after-attempt", "after-record"]
    {
        let database = Database::new().await;
        // The first hundred times it goes well.
        let rule = format!("{fail_point}=100*off->return");
        let mut server = ServerProcess::with_fail_point(&database, &rule).await;
        let load = Load::start(&server).await;
        server.wait_for_abort_and_restart().await;
        load.acknowledged(50).await;
        load.check().await;
    }
}
