//! A file has one server at a time.

use std::sync::Arc;

use tidings::server::{Server, SystemClock, config::Config};

use super::support::{api::event, database::Database, server::TestServer};

#[tokio::test]
async fn a_second_server_on_the_same_sqlite_file_is_refused() {
    let server = TestServer::on_database(Database::file(), |_| {}).await;
    let config = Config {
        listen: "127.0.0.1:0".into(),
        database: server.database(),
        dev: true,
        ..Config::default()
    };
    let Err(refusal) = Server::bind(config, Arc::new(SystemClock)).await else {
        panic!("two servers on one database");
    };
    assert!(refusal.contains("another process serves"), "{refusal}");
    server.publish(event("still.works", "{}")).await;
}
