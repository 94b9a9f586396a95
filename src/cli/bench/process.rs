//! The server as a process of its own, so that what it costs is its own.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::usage::Usage;

/// How long a start may take, on a machine that is busy and with a million waiting.
const START: Duration = Duration::from_secs(60);
/// What variables that configure a server begin with.
const VARIABLES: &str = "TIDINGS_";

/// A running server. Killed when dropped.
pub struct ServerProcess {
    child: Child,
    pid: u32,
    address: SocketAddr,
    started: Instant,
    /// From its start to the line that says that it listens.
    pub time_to_listen: Duration,
}

impl ServerProcess {
    /// Starts a server of `program` on a database, a new one where there is none, and waits
    /// until it listens. Nothing configures it beside this: neither a file, since it starts
    /// in that directory, nor the environment.
    ///
    /// # Errors
    ///
    /// Where it does not start, or not within a minute.
    pub async fn start(program: &Path, database: &str, directory: &Path) -> Result<Self, String> {
        let failed = |e| format!("the server does not start: {e}");
        let mut command = Command::new(program);
        command
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--log", "warn"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(VARIABLES) {
                command.env_remove(name);
            }
        }
        // It may hold a password, and everybody sees the arguments of processes.
        command.env("TIDINGS_DATABASE", database);
        let started = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let pid = child.id().ok_or("the server has ended")?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START, lines.next_line()).await;
        let line = line.map_err(|_| format!("the server does not listen within {START:?}"))?;
        let line = line.map_err(failed)?.unwrap_or_default();
        let address = line.strip_prefix("listening on ").and_then(|at| at.parse().ok());
        let address = address.ok_or("the server does not start")?;
        Ok(Self { child, pid, address, started, time_to_listen: started.elapsed() })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it has used so far.
    ///
    /// # Errors
    ///
    /// Where it has ended, or this system does not tell.
    pub fn usage(&self) -> Result<Usage, String> {
        Usage::of(&self.pid.to_string())
    }

    /// Ends it as a power cut would (SIGKILL).
    ///
    /// # Errors
    ///
    /// Where it cannot be killed.
    pub async fn kill(mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|e| format!("the server cannot be killed: {e}"))
    }
}
