//! The server as a process of its own, which can be killed.

use std::{net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::transport::{Channel, Endpoint};

use super::database::{CONNECTIONS, Database};

/// How long a start may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running server. Dropped, it is killed.
pub(crate) struct ServerProcess {
    child: Child,
    database: Arc<Database>,
    pub(crate) address: SocketAddr,
}

impl ServerProcess {
    /// Starts a server on a database, on a free port.
    pub(crate) async fn start(database: &Arc<Database>) -> Self {
        Self::spawn(database, "127.0.0.1:0", "").await
    }

    /// Starts a server with a mail server, that aborts itself at a fail point, if any.
    pub(crate) async fn with_mail(
        database: &Arc<Database>,
        smtp_url: &str,
        fail_point: &str,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.env("TIDINGS_SMTP_URL", smtp_url).env("TIDINGS_MAIL_FROM", "tidings@example.com");
        Self::run(command, database, "127.0.0.1:0", fail_point).await
    }

    /// Waits until it has aborted itself.
    pub(crate) async fn wait_for_abort(&mut self) {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = status.expect("it aborts in time").expect("a status");
        assert!(!status.success(), "it ended well instead of aborting: {status}");
    }

    /// Starts a server that aborts itself at a fail point.
    pub(crate) async fn with_fail_point(database: &Arc<Database>, fail_point: &str) -> Self {
        Self::spawn(database, "127.0.0.1:0", fail_point).await
    }

    async fn spawn(database: &Arc<Database>, listen: &str, fail_points: &str) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        Self::run(command, database, listen, fail_points).await
    }

    /// Starts a server whose files cannot grow beyond so many KiB, as on a full disk.
    pub(crate) async fn with_file_limit(database: &Arc<Database>, kib: u32) -> Self {
        let mut command = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -S -f {kib}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_tidings")]);
        Self::run(command, database, "127.0.0.1:0", "").await
    }

    /// Lets files grow again.
    pub(crate) async fn lift_file_limit(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(status.await.expect("prlimit runs").success());
    }

    /// Starts a server that asks for credentials.
    pub(crate) async fn strict(database: &Arc<Database>) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        Self::serve(command, &[], database, "127.0.0.1:0", "").await
    }

    async fn run(
        command: Command,
        database: &Arc<Database>,
        listen: &str,
        fail_points: &str,
    ) -> Self {
        Self::serve(command, &["--dev"], database, listen, fail_points).await
    }

    async fn serve(
        mut command: Command,
        options: &[&str],
        database: &Arc<Database>,
        listen: &str,
        fail_points: &str,
    ) -> Self {
        let mut child = command
            .arg("serve")
            .args(options)
            .args(["--log", "error", "--listen", listen, "--database"])
            .arg(database.url())
            .env("TIDINGS_DATABASE_CONNECTIONS", CONNECTIONS.to_string())
            .env("FAILPOINTS", fail_points)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let output = child.stdout.take().expect("standard output");
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("a line in time");
        let line = line.expect("readable").expect("a first line");
        let address = line.strip_prefix("listening on ").expect("the promised first line");
        let address = address.parse().expect("an address");
        Self { child, database: Arc::clone(database), address }
    }

    /// Stops it with SIGSTOP, until [`Self::resume`].
    pub(crate) async fn pause(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub(crate) async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(status.expect("kill runs").success());
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Ends it with SIGTERM: it drains.
    pub(crate) async fn terminate(&mut self) {
        self.signal("TERM").await;
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let status = status.expect("it ends in time").expect("a status");
        assert!(status.success(), "it ended badly: {status}");
    }

    /// Kills it with SIGKILL and starts another one on the same database and port.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    /// Starts another one on the same database and port after its end.
    pub(crate) async fn start_again(&mut self) {
        let database = Arc::clone(&self.database);
        *self = Self::spawn(&database, &self.address.to_string(), "").await;
    }

    /// Waits until it has aborted itself, and starts another one without fail points.
    pub(crate) async fn wait_for_abort_and_restart(&mut self) {
        self.wait_for_abort().await;
        self.start_again().await;
    }

    /// KiB of memory that it has in use.
    pub(crate) fn memory_kib(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// A channel that connects again after each restart.
    pub(crate) fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URI");
        endpoint.connect_lazy()
    }
}
