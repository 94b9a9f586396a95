//! `tidings bench`, with loads that are over at once.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tidings::{
    grpc::proto::ListWebhooksRequest,
    store::{CommitCounter, SyncedCommits},
};

use crate::support::{
    database,
    keys::{self, HOME},
    server::TestServer,
};

const DURATION: &str = "200ms";
/// The loads are small, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// Starts it with a place of its own for temporary files.
fn bench(temporary: &Path, arguments: &[&str]) -> Child {
    command(temporary, arguments).spawn().expect("it starts")
}

fn command(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command
        .args(["bench", "--duration", DURATION])
        .args(arguments)
        .env("TMPDIR", temporary)
        // What configures servers does not change what is measured.
        .env("TIDINGS_LISTEN", "nowhere")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its good end. Returns what it printed, and the JSON.
fn run(arguments: &[&str], token: &str) -> (String, Value) {
    let temporary = tempfile::tempdir().expect("a directory");
    let written = tempfile::tempdir().expect("a directory");
    let file = written.path().join("bench.json");
    let json = ["--json", file.to_str().expect("UTF-8")];
    let mut command = command(temporary.path(), &[arguments, &json].concat());
    let output = command.env("TIDINGS_TOKEN", token).output();
    let Output { status, stdout, stderr } = output.expect("it runs");
    let (table, progress) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{table}\n{progress}");
    assert!(progress.contains("64 unary, 10 webhooks ..."), "{progress}");
    assert_nothing_left(temporary.path());
    let json = fs::read(file).expect("the JSON");
    (table.into_owned(), serde_json::from_slice(&json).expect("JSON"))
}

fn assert_nothing_left(temporary: &Path) {
    let left: Vec<_> = fs::read_dir(temporary).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is a number"));
    assert!(number > 0.0, "{number}");
    number
}

/// Checks what every phase has, and that its figures fit together.
fn check_phases(report: &Value, own: bool) {
    let phases = report["phases"].as_array().expect("phases");
    let names: Vec<_> =
        phases.iter().map(|phase| phase["name"].as_str().expect("a name")).collect();
    let expected = [
        "64 unary, 1 webhook",
        "64 unary, 10 webhooks",
        "64 unary, 100 webhooks",
        "8 batches of 100, 1 webhook",
        "8 streams, 1 webhook",
        "200 events/s, 1 webhook",
        "2000 events/s, 1 webhook",
        "2000 events/s, 1 webhook, 100 tails",
    ];
    assert_eq!(names, expected);
    let bare = positive(&report["limits"]["requests_per_second"]);
    for phase in phases {
        let count = |key: &str| phase[key].as_u64().expect("a count");
        assert!(count("events") > 0, "{phase}");
        assert_eq!(count("deliveries"), count("events") * count("webhooks"), "{phase}");
        let share = positive(&phase["deliveries_per_second"]) / bare;
        let shown = positive(&phase["share_of_bare_loop"]);
        assert!((share - shown).abs() < 1e-6 * share, "{phase}");
        for times in ["arrival_ms", "answer_ms"] {
            let [p50, p90, p99, max] =
                ["p50", "p90", "p99", "max"].map(|part| positive(&phase[times][part]));
            assert!(p50 <= p90 && p90 <= p99 && p99 <= max, "{phase}");
        }
        if own {
            positive(&phase["commits_per_second"]);
            positive(&phase["server"]["peak_mib"]);
            positive(&phase["server"]["deliveries_per_cpu_second"]);
        } else {
            assert!(phase["commits_per_second"].is_null() && phase["server"].is_null(), "{phase}");
        }
    }
    // At a fixed rate it is known how many there are.
    assert_eq!((&phases[5]["events"], &phases[6]["events"]), (&40.into(), &400.into()));
    let tails = &phases[7]["tails"];
    assert_eq!(tails["tails"], 100);
    // Each of them saw each delivery accepted and settled, and before that some settled that
    // were warming up.
    let changes = tails["changes"].as_u64().expect("a count");
    assert!((80_000..=96_000).contains(&changes), "{changes}");
    positive(&tails["lag_ms"]["p99"]);
    assert!(phases[6]["tails"].is_null());
}

fn check_own(report: &Value) {
    check_phases(report, true);
    positive(&report["limits"]["commits_per_second"]);
    positive(&report["start"]["first_answer_ms"]);
    positive(&report["start"]["idle_mib"]);
}

#[test]
fn it_measures_sqlite_and_leaves_nothing_behind() {
    let (table, report) = run(&[], "");
    check_own(&report);
    assert!(table.contains("SQLite in ") && table.contains("one run"), "{table}");
    for line in ["bare hyper loop, 64 connections", "synced commits", "lag of the tails"] {
        assert!(table.contains(line), "no {line:?} in\n{table}");
    }
}

#[tokio::test]
async fn it_measures_postgresql_beside_the_database_that_is_named() {
    let Some(server) = database::server() else { return };
    let url = server.clone();
    let measured = tokio::task::spawn_blocking(move || run(&["--database", &url], ""));
    let (_, report) = measured.await.expect("it ends well");
    check_own(&report);
    assert!(report["site"].as_str().expect("a site").starts_with("PostgreSQL, beside "));
    let left = "SELECT 1 AS one FROM pg_database WHERE datname LIKE 'tidings_bench_%'";
    assert!(!database::finds(&server, left).await, "its databases are dropped");
}

#[tokio::test]
async fn it_measures_a_server_that_runs_and_leaves_no_webhooks() {
    let server = TestServer::with(|config| {
        config.dev = false;
        config.allow_destination = vec!["127.0.0.1/32".parse().expect("a range")];
    })
    .await;
    let token = keys::make(&server.database(), HOME, "all").await;
    let clients = server.with_token(&token);
    let url = format!("http://{}", server.address);
    let measured = tokio::task::spawn_blocking(move || run(&["--target", &url], &token));
    let (table, report) = measured.await.expect("it ends well");
    check_phases(&report, false);
    assert!(report["start"].is_null() && report["limits"]["commits_per_second"].is_null());
    assert!(table.contains("the server at http://127.0.0.1:"), "{table}");
    let listed = clients.webhooks().list_webhooks(ListWebhooksRequest::default()).await;
    assert!(listed.expect("a list").into_inner().webhooks.is_empty());
}

#[test]
fn an_interrupt_ends_the_server_and_removes_its_files() {
    let temporary = tempfile::tempdir().expect("a directory");
    let mut running = bench(temporary.path(), &[]);
    let pid = running.id();
    let mut progress = BufReader::new(running.stderr.take().expect("its progress")).lines();
    let began = |line: &str| line.starts_with("64 unary");
    assert!(progress.by_ref().any(|line| began(&line.expect("UTF-8"))), "it ended");
    let server = eventually("a server", || children(pid).pop());

    let interrupt = Command::new("kill").args(["-INT", &pid.to_string()]).status();
    assert!(interrupt.expect("kill runs").success());
    let rest: Vec<_> = progress.map(|line| line.expect("UTF-8")).collect();
    let status = running.wait().expect("its end");
    assert_eq!(status.code(), Some(1), "{rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("tidings: interrupted before the end"));
    assert_nothing_left(temporary.path());
    eventually("its end", || has_ended(server).then_some(()));
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.expect("its children");
    listed.split_whitespace().map(|pid| pid.parse().expect("a process")).collect()
}

/// Whoever inherits it may not have asked for its status yet.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match found() {
            Some(found) => return found,
            None => assert!(Instant::now() < deadline, "{what} is missing"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn commits_are_counted_where_the_database_does() {
    let database = database::Database::new().await;
    let url = database.parsed();
    let mut commits = SyncedCommits::open(&url).await.expect("a table");
    let counter = CommitCounter::new(&url);
    let before = counter.count().await.expect("a count");
    for _ in 0..10 {
        commits.commit().await.expect("committed");
    }
    let counted = counter.count().await.expect("a count") - before;
    // A server counts those of other tests, too.
    assert!(counted == 10 || (database::is_postgres() && counted > 10), "{counted}");
    // What only reads is none.
    let file = database::Database::file();
    let mut commits = SyncedCommits::open(&file.parsed()).await.expect("a table");
    commits.commit().await.expect("committed");
    let counter = CommitCounter::new(&file.parsed());
    let before = counter.count().await.expect("a count");
    assert!(database::finds(&file.url(), "SELECT number FROM synced_commits").await);
    assert_eq!(counter.count().await.expect("a count"), before);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let temporary = tempfile::tempdir().expect("a directory");
    for (arguments, what) in [
        (&["--runs", "0"][..], "--runs"),
        (&["--database", "mysql:x"], "--database must be sqlite:PATH or postgres:"),
        (&["--database", "sqlite:a.db", "--target", "http://127.0.0.1:1"], "--target"),
        (&["--target", "127.0.0.1:1"], "must be http://HOST:PORT"),
        (&["--json", "/nowhere/bench.json"], "cannot write /nowhere/bench.json"),
    ] {
        let ended = bench(temporary.path(), arguments).wait_with_output().expect("its output");
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && error.contains(what), "{arguments:?}: {error}");
    }
    assert_nothing_left(temporary.path());
}
