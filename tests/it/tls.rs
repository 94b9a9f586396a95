//! TLS on the listener: what is spoken, who is let in, and what happens when files change.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tidings::{
    grpc::proto::{ListWebhooksRequest, webhook_service_client::WebhookServiceClient},
    server::config::Config,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};
use tonic::{Code, Status, transport::Channel};

use super::support::{
    clock::ManualClock,
    keys::{self, HOME},
    secured::{
        CA, CERT, CLIENT, CLIENTS_CA, KEY, RENEWED_CA, RENEWED_CERT, RENEWED_KEY, STRANGER,
        channel, connect, get,
    },
    server::TestServer,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates as a cluster mounts them: `current` is a symbolic link to the directory with the
/// files of one version.
struct Mounted {
    directory: TempDir,
    version: u32,
}

impl Mounted {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mounted = Self { directory, version: 0 };
        mounted.put(CERT, KEY);
        mounted
    }

    /// Mounts a new version in one step.
    fn put(&mut self, cert: &str, key: &str) {
        self.version += 1;
        let version = self.directory.path().join(self.version.to_string());
        std::fs::create_dir(&version).expect("a directory");
        std::fs::write(version.join("tls.crt"), cert).expect("written");
        std::fs::write(version.join("tls.key"), key).expect("written");
        std::fs::write(version.join("ca.crt"), CLIENTS_CA).expect("written");
        let (link, current) = (self.file("next"), self.file("current"));
        symlink(&version, &link).expect("a link");
        std::fs::rename(link, current).expect("renamed");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self, config: &mut Config) {
        config.tls_cert = Some(self.file("current/tls.crt"));
        config.tls_key = Some(self.file("current/tls.key"));
    }
}

/// Whether a call failed before there was a server to answer it.
fn is_of_the_connection(told: &Status) -> bool {
    matches!(told.code(), Code::Unavailable | Code::Unknown) && told.details().is_empty()
}

async fn list(channel: Channel) -> Result<(), Status> {
    let mut webhooks = WebhookServiceClient::new(channel);
    webhooks.list_webhooks(ListWebhooksRequest::default()).await.map(drop)
}

#[tokio::test]
async fn one_port_speaks_grpc_and_http_1_inside_tls_and_nothing_outside() {
    let mounted = Mounted::new();
    let server = TestServer::with(|config| mounted.configure(config)).await;
    list(channel(server.address, CA, None)).await.expect("a list");
    for (offered, chosen) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let tls = connect("127.0.0.1", server.address, offered).await;
        assert_eq!(tls.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes));
        if chosen != Some("h2") {
            assert_eq!(get(tls, "/api/v1/webhooks", "").await, 200);
        }
    }
    let told = list(server.channel.clone()).await.expect_err("no gRPC in clear");
    assert!(is_of_the_connection(&told), "{told}");
    let mut plain = TcpStream::connect(server.address).await.expect("a connection");
    plain
        .write_all(b"GET /api/v1/webhooks HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
    list(channel(server.address, RENEWED_CA, None)).await.expect_err("of another root");
    server.stop().await;
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_configured_root_beside_its_credentials() {
    let mounted = Mounted::new();
    let server = TestServer::with(|config| {
        mounted.configure(config);
        config.tls_client_ca = Some(mounted.file("current/ca.crt"));
        config.dev = false;
    })
    .await;
    for pair in [None, Some(STRANGER)] {
        let told = list(channel(server.address, CA, pair)).await.expect_err("a stranger");
        assert!(is_of_the_connection(&told), "it does not come as far as credentials: {told}");
    }
    let known = channel(server.address, CA, Some(CLIENT));
    let told = list(known.clone()).await.expect_err("no credentials");
    assert_eq!(told.code(), Code::Unauthenticated, "{told}");
    let token = keys::make(&server.database(), HOME, "all").await;
    let clients = super::support::clients::Clients::new(known, Some(&token));
    let listed = clients.webhooks().list_webhooks(ListWebhooksRequest::default()).await;
    listed.expect("a list");
}

/// Lets the files be looked at until new connections under that root are good.
async fn wait_for_root(server: &TestServer, clock: &ManualClock, root: &str) {
    let deadline = Instant::now() + PATIENCE;
    while list(channel(server.address, root, None)).await.is_err() {
        assert!(Instant::now() < deadline, "the files are not taken over");
        clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn changed_files_are_taken_over_under_a_live_server_and_broken_ones_are_not() {
    let mut mounted = Mounted::new();
    let clock = ManualClock::new();
    let server =
        TestServer::with_clock(Arc::clone(&clock) as _, |config| mounted.configure(config)).await;
    let before = channel(server.address, CA, None);
    list(before.clone()).await.expect("a list");

    mounted.put(RENEWED_CERT, RENEWED_KEY);
    wait_for_root(&server, &clock, RENEWED_CA).await;
    list(before.clone()).await.expect("an open connection goes on");
    list(channel(server.address, CA, None)).await.expect_err("new ones get the new certificate");

    for broken in ["", "no certificate", CERT] {
        mounted.put(broken, RENEWED_KEY);
        for _ in 0..3 {
            clock.advance(Duration::from_secs(10));
            list(channel(server.address, RENEWED_CA, None)).await.expect("what was good stays");
        }
    }
    // Over the files themselves, one after the other.
    std::fs::write(mounted.file("current/tls.crt"), CERT).expect("written");
    std::fs::write(mounted.file("current/tls.key"), KEY).expect("written");
    wait_for_root(&server, &clock, CA).await;
    list(before).await.expect("an open connection goes on");
}

#[tokio::test]
async fn peers_that_say_nothing_hold_up_nobody() {
    let mounted = Mounted::new();
    let server = TestServer::with(|config| mounted.configure(config)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.expect("a connection"));
    }
    let served =
        tokio::time::timeout(Duration::from_secs(5), list(channel(server.address, CA, None)));
    served.await.expect("before any of them is given up").expect("a list");
    // Nor do they hold up the end.
    server.stop().await;
}

#[tokio::test]
async fn failed_logins_count_for_the_address_on_the_other_side_of_tls() {
    let mounted = Mounted::new();
    let server = TestServer::with_clock(ManualClock::new(), |config| {
        mounted.configure(config);
        config.dev = false;
    })
    .await;
    let address = server.address;
    let bad_login = move |from: &'static str| async move {
        let tls = connect(from, address, &["http/1.1"]).await;
        get(tls, "/api/v1/webhooks", "tk_bad").await
    };
    // The clock stands still, so those after the first ten wait, and then the address is blocked.
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = tokio::task::JoinSet::new();
    loop {
        assert!(Instant::now() < deadline, "it is not blocked");
        waiting.spawn(bad_login("127.0.0.2"));
        let next = tokio::time::timeout(Duration::from_millis(50), waiting.join_next());
        if let Ok(Some(status)) = next.await {
            match status.expect("no panic") {
                429 => break,
                status => assert_eq!(status, 401),
            }
        }
    }
    assert_eq!(bad_login("127.0.0.1").await, 401, "another address is not");
}

/// Starts a server that listens everywhere and gives what it has logged by then.
async fn logged_at_the_start(database: &Path, options: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["serve", "--listen", "0.0.0.0:0", "--database"])
        .arg(format!("sqlite:{}", database.display()))
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let line = lines.next_line().await.expect("readable").expect("a first line");
    assert!(line.starts_with("listening on "), "{line}");
    child.kill().await.expect("killed");
    let mut logged = String::new();
    let log = child.stderr.as_mut().expect("standard error");
    log.read_to_string(&mut logged).await.expect("text");
    logged
}

#[tokio::test]
async fn the_start_warns_of_credentials_in_clear_and_of_none_at_all() {
    let mounted = Mounted::new();
    let database = mounted.file("tidings.db");
    let logged = logged_at_the_start(&database, &[]).await;
    let command = "tidings keys create --tenant TENANT --permission all --database sqlite:/";
    for warning in ["no TLS", "nobody can call", command] {
        assert!(logged.contains(warning), "{warning}: {logged}");
    }
    keys::make(&format!("sqlite:{}", database.display()), HOME, "all").await;
    let (cert, key) = (mounted.file("current/tls.crt"), mounted.file("current/tls.key"));
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    let logged = logged_at_the_start(&database, &["--tls-cert", &cert, "--tls-key", &key]).await;
    for warning in ["no TLS", "nobody can call"] {
        assert!(!logged.contains(warning), "{warning}: {logged}");
    }
}
