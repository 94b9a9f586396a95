//! `tidings demo`, as a newcomer runs it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The demo's own limits add up to less.
const PATIENCE: Duration = Duration::from_secs(180);

/// Starts the demo with a place of its own for temporary files.
fn demo(temporary: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts")
}

/// Killed when dropped, so that a test that fails leaves no demo running.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `f` elsewhere; panics where it panics or takes too long.
fn within_patience<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(f()));
    result.recv_timeout(PATIENCE).expect("an end in time")
}

fn assert_nothing_left(temporary: &Path) {
    let left: Vec<_> = fs::read_dir(temporary).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_ends_well_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().expect("a directory");
    let running = demo(temporary.path(), &["--exit"]);
    let ended = within_patience(|| running.wait_with_output()).expect("its output");
    let Output { status, stdout, stderr } = ended;
    let (text, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{text}\n{errors}");
    for line in [
        "test_post_webhook_12345  30 events: loyaltyCustomerMerge",
        "ccc983c2-df7a-4ece-b5cc-e574cec66fc1  for 1 webhook",
        "failed     HTTP 503, tried again in ",
        "delivered  HTTP 200 at attempt 2, after ",
        "payloads byte for byte (9007199254740993)",
        "the log says SUCCEEDED for all 4",
        "the tail showed all 9 changes in sequence",
        "All went well.",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert_eq!(text.matches("  yes  ").count(), 3, "{text}");
    assert!(!text.contains('\x1b'), "colours without a terminal: {text}");
    assert_eq!(errors, "", "logs stay quiet");
    assert_nothing_left(temporary.path());
}

#[test]
fn the_demo_stays_up_until_it_is_interrupted() {
    // The usual port is taken, by this test or by somebody else.
    let _taken = TcpListener::bind("127.0.0.1:50051");
    let temporary = tempfile::tempdir().expect("a directory");
    let mut running = Running(demo(temporary.path(), &[]));
    let mut output = BufReader::new(running.0.stdout.take().expect("its output"));
    let (text, mut output) = within_patience(move || {
        let mut text = String::new();
        while !text.contains("\nCtrl-C stops") {
            assert_ne!(output.read_line(&mut text).expect("a line"), 0, "it ended: {text}");
        }
        (text, output)
    });
    assert!(text.contains("grpcurl -plaintext 127.0.0.1:"), "{text}");
    assert!(!text.contains("127.0.0.1:50051"), "{text}");
    assert_eq!(fs::read_dir(temporary.path()).expect("a directory").count(), 1);

    let interrupt = format!("kill -INT {}", running.0.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("a shell").success());
    let status = within_patience(move || running.0.wait()).expect("its end");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the rest");
    assert!(status.success(), "{status}\n{text}\n{rest}");
    assert_nothing_left(temporary.path());
}
