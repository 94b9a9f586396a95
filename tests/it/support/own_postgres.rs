//! A PostgreSQL server of one test, which may crash it. `scripts/postgres.sh` starts the
//! server and takes it away again, also where the test is killed: the script's command ends
//! with its input.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

/// Says where the server is, and restarts it for each line that it reads.
const BESIDE_IT: &str = r#"echo "$TEST_POSTGRES"
    while read -r; do "$TEST_POSTGRES_CTL" restart --mode immediate && echo restarted; done"#;

/// A running server. Dropped, it goes.
pub(crate) struct OwnPostgres {
    url: String,
    pipes: Mutex<Pipes>,
}

struct Pipes {
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl OwnPostgres {
    /// Starts a server with an empty database.
    pub(crate) async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");
        let mut child = Command::new(script)
            .args(["bash", "-c", BESIDE_IT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let orders = child.stdin.take().expect("its input");
        let answers = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut pipes = Pipes { orders, answers };
        Self { url: pipes.answer().await, pipes: Mutex::new(pipes) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends all its processes at once, and starts it again; returns when that is done.
    pub(crate) async fn crash(&self) {
        let mut pipes = self.pipes.lock().await;
        pipes.orders.write_all(b"restart\n").await.expect("the script runs");
        assert_eq!(pipes.answer().await, "restarted");
    }
}

impl Pipes {
    async fn answer(&mut self) -> String {
        self.answers.next_line().await.expect("readable").expect("the script answers")
    }
}
