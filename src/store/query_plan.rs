//! How SQLite would run a statement, for tests.

use super::{DatabaseUrl, SecretKeys, Store};

/// The lines of the plan, in a new and empty file.
pub(super) async fn query_plan(sql: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let url = DatabaseUrl::file(directory.path().join("tidings.db"));
    let (store, _) = Store::open(&url, SecretKeys::default()).await.expect("opens");
    let plan = store.query(&format!("EXPLAIN QUERY PLAN {sql}"), []).await.expect("a plan");
    plan.iter().map(|row| row.try_get("", "detail").expect("a line")).collect()
}
