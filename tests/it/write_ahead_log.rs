//! The log of a file beside somebody who reads an old state of it for long, as a backup does.

use std::{fs, sync::Arc, time::Duration};

use rusqlite::{Connection, OpenFlags};
use tidings::{
    domain::{event::Event, id::TenantKey, time::Timestamp},
    store::{NewEvent, SecretKeys, Store},
};
use uuid::Uuid;

use super::support::{bare_event::bare_event, database::Database};

const MIB: usize = 1024 * 1024;
/// What is left of a long log.
const LEFT: u64 = 64 * MIB as u64;
const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

async fn publish_a_mebibyte(store: &Store, tenant: TenantKey, version: i64) {
    let event = Event { payload: "1".repeat(MIB).into(), ..bare_event(Uuid::new_v4(), NOW) };
    let new = NewEvent { event: Arc::new(event), targets: Vec::new() };
    store.publish(tenant, version, vec![new]).await.expect("published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grew_beside_a_backup_is_cut_when_that_has_ended() {
    let database = Database::file();
    let (store, mut commits) =
        Store::open(&database.parsed(), SecretKeys::default()).await.expect("opens");
    tokio::spawn(async move { while commits.recv().await.is_some() {} });
    let tenant = store.ensure_tenant(&"t".parse().expect("an id"), NOW).await.expect("made").key;
    let version = store.config_since(tenant, 0).await.expect("read").version;
    let file = database.directory().join("tidings.db");
    let log = file.with_extension("db-wal");
    let log_bytes = || fs::metadata(&log).expect("a log").len();

    let backup = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let backup = backup.expect("opens");
    backup.execute_batch("BEGIN").expect("begins");
    let count = |sql: &str| backup.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("read");
    assert_eq!(count("SELECT COUNT(*) FROM events"), 0);
    while log_bytes() <= LEFT + 8 * MIB as u64 {
        publish_a_mebibyte(&store, tenant, version).await;
    }
    assert_eq!(count("SELECT COUNT(*) FROM events"), 0, "it reads the state that it began with");

    backup.execute_batch("COMMIT").expect("ends");
    for _ in 0..200 {
        publish_a_mebibyte(&store, tenant, version).await;
        if log_bytes() <= LEFT {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} bytes are left of the log", log_bytes());
}
