//! A database that was restored from a backup: what was said after the backup was made is
//! unsaid, and its positions come to stand for something else.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use super::support::{
    api::event,
    database::{Database, is_postgres},
    receiver::Receiver,
    server::TestServer,
    tailing::{after, earliest, reason},
};

async fn restored(database: &str, directory: &Path) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["migrate", "--restored", "--database", database])
        .current_dir(directory)
        .env_remove("TIDINGS_CONFIG")
        .stdout(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    if output.status.success() { Ok(()) } else { Err(told) }
}

#[tokio::test]
async fn tokens_from_before_are_refused_and_tails_begin_anew() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let webhook = super::support::api::webhook("all", &receiver.url(), &["*"]);
    server.create(webhook).await;
    server.publish(event("a", "{}")).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.changes(2).await;
    let token = tail.token.clone();
    drop(tail);
    let database = server.stop_and_keep().await;
    restored(&database.url(), database.directory()).await.expect("a new id");
    let server = TestServer::reopen(database).await;
    let refused = match server.tail(after(&token)).await {
        Err(refused) => refused,
        Ok(mut tail) => tail.error().await,
    };
    assert_eq!(reason(&refused), "RESUME_TOKEN_INVALID");
    let mut tail = server.tail(earliest()).await.expect("a tail");
    assert_eq!(tail.until_caught_up().await.len(), 2, "the log itself is there");
    server.publish(event("a", "{}")).await;
    tail.changes(2).await;
    let mut resumed = server.tail(after(&tail.token.clone())).await.expect("a token of now");
    assert!(resumed.until_caught_up().await.is_empty());
}

#[tokio::test]
async fn a_database_that_is_served_keeps_its_id() {
    let server = TestServer::start().await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.until_caught_up().await;
    let token = tail.token.clone();
    drop(tail);
    let directory = tempfile::tempdir().expect("a directory");
    let refused = restored(&server.database(), directory.path()).await.expect_err("it is served");
    let why = if is_postgres() { "is being served" } else { "another process serves" };
    assert!(refused.contains(why), "{refused}");
    let server = TestServer::reopen(server.stop_and_keep().await).await;
    server.tail(after(&token)).await.expect("the token is good").until_caught_up().await;
}

#[tokio::test]
async fn a_copy_of_a_file_has_an_id_of_its_own_after_it() {
    let server = TestServer::on_database(Database::file(), |_| {}).await;
    let mut tail = server.tail(earliest()).await.expect("a tail");
    tail.until_caught_up().await;
    let token = tail.token.clone();
    drop(tail);
    let original = server.stop_and_keep().await;
    let copy = Database::file();
    let path = |database: &Database| database.directory().join("tidings.db");
    std::fs::copy(path(&original), path(&copy)).expect("copied");
    restored(&copy.url(), copy.directory()).await.expect("a new id");
    let served = TestServer::reopen(copy).await;
    assert_eq!(
        reason(&served.tail(after(&token)).await.err().expect("another database")),
        "RESUME_TOKEN_INVALID"
    );
    let served = TestServer::reopen(original).await;
    served.tail(after(&token)).await.expect("the original's own").until_caught_up().await;
}
