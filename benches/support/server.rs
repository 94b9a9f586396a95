//! The server as a process of its own, and what it costs.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tidings::grpc::proto::{
    CreateWebhookRequest, Destination, GetWebhookRequest, HttpDestination, Webhook,
    destination::Kind, webhook_service_client::WebhookServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use super::within;

const START: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(10);
/// Ticks per second of the times in `/proc`: the same on every Linux.
const TICKS: u64 = 100;

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    started: Instant,
    /// From its start to the line that says that it listens.
    pub(crate) time_to_listen: Duration,
}

/// What a server has used so far.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Resident memory now, KiB.
    pub(crate) resident: u64,
    /// Most resident memory at any time, KiB.
    pub(crate) peak: u64,
}

impl Server {
    /// Starts a server on the database in a directory, a new one where there is none.
    pub(crate) fn start(directory: &Path) -> Self {
        let database = format!("sqlite:{}", directory.join("tidings.db").display());
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--log", "warn"])
            .args(["--database", &database])
            .current_dir(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("its standard output");
        let (line, listening) = mpsc::channel();
        std::thread::spawn(move || {
            let mut first = String::new();
            drop(BufReader::new(stdout).read_line(&mut first));
            line.send(first)
        });
        // Made before the wait, so that the process is killed where that fails.
        let mut server =
            Self { child, address: ([0; 4], 0).into(), started, time_to_listen: Duration::ZERO };
        let line = listening.recv_timeout(START).expect("the server listens in time");
        server.time_to_listen = started.elapsed();
        let address = line.trim().strip_prefix("listening on ").expect("listening on HOST:PORT");
        server.address = address.parse().expect("an address");
        server
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// A connection of its own; it is made by the first call.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URI");
        endpoint.tcp_nodelay(true).timeout(CALL).connect_lazy()
    }

    /// Makes a webhook for the events of one name.
    pub(crate) async fn create_webhook(
        &self,
        name: &str,
        url: String,
        event_name: &str,
        connections: i32,
    ) -> Webhook {
        let http = HttpDestination { url, ..Default::default() };
        let webhook = Webhook {
            name: name.to_owned(),
            event_names: vec![event_name.to_owned()],
            destination: Some(Destination { kind: Some(Kind::Http(http)) }),
            max_allowed_connections: Some(connections),
            ..Default::default()
        };
        let request = CreateWebhookRequest { webhook: Some(webhook), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(self.channel());
        let made = within(CALL, "CreateWebhook", webhooks.create_webhook(request)).await;
        made.expect("a webhook").into_inner().webhook.expect("the webhook")
    }

    /// Reads a webhook.
    pub(crate) async fn get_webhook(&self, webhook_id: &str) -> Webhook {
        let request = GetWebhookRequest { webhook_id: webhook_id.to_owned(), ..Default::default() };
        let mut webhooks = WebhookServiceClient::new(self.channel());
        let read = within(CALL, "GetWebhook", webhooks.get_webhook(request)).await;
        read.expect("the webhook").into_inner().webhook.expect("the webhook")
    }

    pub(crate) fn usage(&self) -> Usage {
        let process = format!("/proc/{}", self.child.id());
        let stat = fs::read_to_string(format!("{process}/stat")).expect("the process lives");
        // The second field, the name, may contain anything but ends with the last ')'.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|t| t.parse::<u64>().expect("ticks")).sum();
        let status = fs::read_to_string(format!("{process}/status")).expect("the process lives");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
            line.trim().trim_end_matches(" kB").parse().expect("a size in KiB")
        };
        Usage {
            cpu: Duration::from_millis(ticks * 1000 / TICKS),
            resident: kib("VmRSS:"),
            peak: kib("VmHWM:"),
        }
    }

    /// Ends it as a power cut would (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
