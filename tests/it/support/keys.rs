//! `tidings keys`, as an operator uses it beside a running server.

use tokio::process::Command;

/// The tenant of most keys.
pub(crate) const HOME: &str = "default";

/// Makes a key and gives its token. Permissions are separated by commas.
pub(crate) async fn make(database: &str, tenant: &str, permissions: &str) -> String {
    let more = ["--tenant", tenant, "--permission", permissions];
    let token = run(database, "create", &more).await;
    assert!(token.starts_with("tk_") && token.lines().count() == 1, "{token:?}");
    token.trim_end().to_owned()
}

/// Runs a command that has to succeed; gives its standard output.
pub(crate) async fn run(database: &str, command: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["keys", command])
        .args(more)
        .args(["--database", database])
        .output()
        .await
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
