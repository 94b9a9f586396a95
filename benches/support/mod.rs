//! What measurements need beside the parts of `tidings bench`: the server as they call it,
//! and how figures are shown.

use std::{
    fs::File,
    future::Future,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tidings::{
    cli::bench::{Access, Database, Sample, ServerProcess},
    grpc::proto::{
        CreateWebhookRequest, GetWebhookRequest, Webhook,
        webhook_service_client::WebhookServiceClient,
    },
};
use tonic::transport::Channel;

/// The program that is measured.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tidings");
const CALL: Duration = Duration::from_secs(10);

/// Whether `cargo bench` runs this; `cargo test --all-targets` only wants to see it built.
pub(crate) fn is_asked_to_measure() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Ends the measurement where something takes longer than it ever should.
pub(crate) async fn within<T>(limit: Duration, what: &str, wanted: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, wanted).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// A directory that is removed in the end. Below the build's directory and not the
/// system's for temporary files, which may be in memory, where syncing costs nothing.
pub(crate) fn directory() -> tempfile::TempDir {
    let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&parent).expect("a directory");
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).expect("a directory")
}

/// A server, and how it is reached.
pub(crate) struct Server {
    pub(crate) process: ServerProcess,
    pub(crate) access: Access,
}

impl Server {
    /// Starts a server of this program on a database.
    pub(crate) async fn start(program: &Path, Database { url, directory }: &Database) -> Self {
        let process = ServerProcess::start(program, url, directory).await;
        let process = process.expect("the server starts");
        let access = Access::new(&process.url(), None).expect("a URL");
        Self { process, access }
    }

    /// A connection of its own; it is made by the first call.
    pub(crate) fn channel(&self) -> Channel {
        self.access.channel()
    }

    /// Makes a webhook.
    pub(crate) async fn create_webhook(&self, webhook: Webhook) -> Webhook {
        let tenant_id = webhook.tenant_id.clone();
        let webhook = Some(webhook);
        let request = CreateWebhookRequest { tenant_id, webhook, ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(self.channel());
        let made = Box::pin(within(CALL, "CreateWebhook", webhooks.create_webhook(request))).await;
        made.expect("a webhook").into_inner().webhook.expect("the webhook")
    }

    /// Reads a webhook.
    pub(crate) async fn get_webhook(&self, webhook_id: &str) -> Webhook {
        let request = GetWebhookRequest { webhook_id: webhook_id.to_owned(), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(self.channel());
        let read = within(CALL, "GetWebhook", webhooks.get_webhook(request)).await;
        read.expect("the webhook").into_inner().webhook.expect("the webhook")
    }
}

/// Milliseconds with two decimals.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{} MiB", kib / 1024)
}

/// What a small synced write costs here: the floor of every answer to a publish.
fn synced_write(directory: &Path) -> Duration {
    let mut file = File::create(directory.join("synced")).expect("a file");
    let writes = (0..100).map(|_| {
        let began = Instant::now();
        file.write_all(&[1; 4096]).expect("written");
        file.sync_data().expect("synced");
        began.elapsed()
    });
    Sample::new(writes.collect()).quantile(0.5)
}

/// The machine, in a line.
pub(crate) fn machine(directory: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!(
        "{cores} cores, load average {load}, a synced write of 4 KiB takes {}",
        millis(synced_write(directory))
    )
}
