//! A server that is measured, and what the benchmark makes on it.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    access::Access, process::ServerProcess, receiver::Receiver, site::Database, usage::Usage,
};
use crate::{
    cli::refusal::refused,
    grpc::proto::{
        CreateEventMetadataRequest, CreateWebhookRequest, DeleteEventMetadataRequest,
        DeleteWebhookRequest, Destination, EventMetadata, HttpDestination, ListWebhooksRequest,
        Webhook, destination::Kind, event_metadata_service_client::EventMetadataServiceClient,
        webhook_service_client::WebhookServiceClient,
    },
    store::CommitCounter,
};

/// How long a call may take that is not measured.
const CALL: Duration = Duration::from_secs(30);

/// A server that is measured.
pub(super) struct Served {
    pub(super) guest: Guest,
    /// Absent where it ran before.
    pub(super) own: Option<Own>,
}

/// A server of the benchmark's own.
pub(super) struct Own {
    process: ServerProcess,
    commits: CommitCounter,
    /// From its start to the answer to the first call.
    pub(super) first_answer: Duration,
}

impl Own {
    /// Starts one on an empty database.
    pub(super) async fn start(program: &Path, database: &Database) -> Result<Served, String> {
        let commits = CommitCounter::new(&database.url.parse()?);
        let process = ServerProcess::start(program, &database.url, &database.directory).await?;
        let guest = Guest::new(Access::new(&process.url(), None)?);
        guest.ask().await?;
        let first_answer = process.age();
        Ok(Served { guest, own: Some(Self { process, commits, first_answer }) })
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Result<Usage, String> {
        self.process.usage()
    }

    /// How many transactions it has committed that write, counted from anywhere.
    pub(super) async fn commits(&self) -> Result<u64, String> {
        self.commits.count().await
    }
}

impl Served {
    /// A server that runs already.
    pub(super) async fn of_others(guest: Guest) -> Result<Self, String> {
        guest.ask().await?;
        guest.introduce().await?;
        Ok(Self { guest, own: None })
    }

    /// Ends it where it is the benchmark's own.
    pub(super) async fn end(self) -> Result<(), String> {
        match self.own {
            Some(own) => own.process.kill().await,
            None => Ok(()),
        }
    }
}

/// The benchmark as a guest of a server: an event type that nobody else has, and webhooks.
#[derive(Clone)]
pub(super) struct Guest {
    pub(super) access: Access,
    pub(super) event_name: Arc<str>,
    /// Whether the event type was made, and which webhooks.
    made: Arc<Mutex<(bool, Vec<String>)>>,
}

impl Guest {
    pub(super) fn new(access: Access) -> Self {
        let event_name = format!("bench.{}", Uuid::new_v4().simple()).into();
        Self { access, event_name, made: Arc::default() }
    }

    /// Makes a call that changes nothing.
    async fn ask(&self) -> Result<(), String> {
        let mut webhooks = WebhookServiceClient::new(self.access.wire());
        let request = ListWebhooksRequest { page_size: 1, ..Default::default() };
        call("ListWebhooks", webhooks.list_webhooks(request)).await.map(drop)
    }

    /// Makes the event type, which does not come into being by itself on every server.
    async fn introduce(&self) -> Result<(), String> {
        let event_name = self.event_name.as_ref().to_owned();
        let metadata = EventMetadata { event_name, ..Default::default() };
        let request =
            CreateEventMetadataRequest { event_metadata: Some(metadata), ..Default::default() };
        self.made.lock().0 = true;
        let mut types = EventMetadataServiceClient::new(self.access.wire());
        call("CreateEventMetadata", types.create_event_metadata(request)).await.map(drop)
    }

    /// Makes so many webhooks for the events. Returns their ids.
    pub(super) async fn subscribe(
        &self,
        receiver: &Receiver,
        count: usize,
        connections: i32,
    ) -> Result<Vec<String>, String> {
        let mut webhooks = WebhookServiceClient::new(self.access.wire());
        let mut ids = Vec::with_capacity(count);
        for n in 0..count {
            let name = format!("{} {n}", self.event_name);
            let webhook = webhook(&name, receiver.url(n), &self.event_name, connections);
            let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
            let made = call("CreateWebhook", webhooks.create_webhook(request)).await?;
            let webhook = made.into_inner().webhook.ok_or("CreateWebhook made none")?;
            self.made.lock().1.push(webhook.webhook_id.clone());
            ids.push(webhook.webhook_id);
        }
        Ok(ids)
    }

    /// Removes what it made.
    pub(super) async fn leave(&self) -> Result<(), String> {
        let (introduced, ids) = std::mem::take(&mut *self.made.lock());
        let mut webhooks = WebhookServiceClient::new(self.access.wire());
        for webhook_id in ids {
            let request =
                DeleteWebhookRequest { webhook_id, allow_missing: true, ..Default::default() };
            call("DeleteWebhook", webhooks.delete_webhook(request)).await?;
        }
        if introduced {
            let mut types = EventMetadataServiceClient::new(self.access.wire());
            let event_name = self.event_name.as_ref().to_owned();
            let request = DeleteEventMetadataRequest { event_name, ..Default::default() };
            call("DeleteEventMetadata", types.delete_event_metadata(request)).await?;
        }
        Ok(())
    }
}

/// A webhook for the events of one name.
pub fn webhook(name: &str, url: String, event_name: &str, connections: i32) -> Webhook {
    let http = HttpDestination { url, ..Default::default() };
    Webhook {
        name: name.to_owned(),
        event_names: vec![event_name.to_owned()],
        destination: Some(Destination { kind: Some(Kind::Http(http)) }),
        max_allowed_connections: Some(connections),
        ..Default::default()
    }
}

async fn call<T>(name: &str, answer: impl Future<Output = Result<T, Status>>) -> Result<T, String> {
    let answer = timeout(CALL, answer).await;
    let answer = answer.unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "no answer")));
    answer.map_err(|status| refused(name, &status))
}
