//! Databases of tests: files, or, where `TEST_POSTGRES` has the URL of a throw-away
//! PostgreSQL server, databases there, each made for one test and dropped after it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::own_postgres::OwnPostgres;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, Database as Connections, DatabaseConnection, Statement};
use tempfile::TempDir;
use tidings::store::{DatabaseUrl, SecretKeys, Store};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Where the tests' databases are made, rather than in files.
const SERVER: &str = "TEST_POSTGRES";
/// Connections of a server in a test: very many run at once.
pub(crate) const CONNECTIONS: u32 = 4;

/// What new databases are copies of: the schema is made once.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();
/// Databases that no test needs any more.
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A database of one test. Dropped, it goes.
pub(crate) struct Database {
    place: Place,
    directory: TempDir,
}

enum Place {
    File(PathBuf),
    Server { name: String, url: String },
    Own(OwnPostgres),
}

impl Database {
    /// An empty database.
    pub(crate) async fn new() -> Arc<Self> {
        let Some(server) = server() else { return Self::file() };
        let name = format!("tidings_{}", Uuid::new_v4().simple());
        let admin = connect(&server).await;
        let done: Vec<String> = std::mem::take(&mut *DONE.lock());
        for old in done {
            run(&admin, &format!("DROP DATABASE IF EXISTS {old} WITH (FORCE)")).await;
        }
        let template = TEMPLATE.get_or_init(|| template(&server, &admin)).await;
        run(&admin, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let url = of(&server, &name);
        // As a database that was made by itself.
        let id = rand::random::<i64>() & i64::MAX;
        let own = connect(&url).await;
        run(&own, &format!("UPDATE database_identity SET database_id = {id}")).await;
        let place = Place::Server { name, url };
        Arc::new(Self { place, directory: tempfile::tempdir().expect("a directory") })
    }

    /// A file, whatever the other tests use: for what is SQLite's own.
    pub(crate) fn file() -> Arc<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::File(directory.path().join("tidings.db"));
        Arc::new(Self { place, directory })
    }

    /// A database without any table, on a PostgreSQL server of its own.
    pub(crate) async fn own() -> Arc<Self> {
        let place = Place::Own(OwnPostgres::start().await);
        Arc::new(Self { place, directory: tempfile::tempdir().expect("a directory") })
    }

    /// Has the server of its own crash, and start again.
    pub(crate) async fn crash_server(&self) {
        match &self.place {
            Place::Own(server) => server.crash().await,
            Place::File(_) | Place::Server { .. } => panic!("others use this server"),
        }
    }

    /// As the configuration names it.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::File(path) => format!("sqlite:{}", path.display()),
            Place::Server { url, .. } => url.clone(),
            Place::Own(server) => server.url().to_owned(),
        }
    }

    /// As the store takes it.
    pub(crate) fn parsed(&self) -> DatabaseUrl {
        parse(&self.url())
    }

    /// A connection beside the server's.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        connect(&self.url()).await
    }

    /// Waits until nobody is connected any more: a server that has stopped may still be at
    /// the end of something.
    pub(crate) async fn let_go(&self) {
        if let Place::Server { name, .. } = &self.place {
            let admin = connect(&server().expect("a server")).await;
            let sql = format!("SELECT 1 AS one FROM pg_stat_activity WHERE datname = '{name}'");
            let busy = Statement::from_string(admin.get_database_backend(), sql);
            let wait = async {
                while admin.query_one_raw(busy.clone()).await.expect("read").is_some() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let patience = Duration::from_secs(30);
            tokio::time::timeout(patience, wait).await.expect("connections are closed");
        }
    }

    /// A directory that goes with it: that of the file, where it is one.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Place::Server { name, .. } = &self.place {
            DONE.lock().push(name.clone());
        }
    }
}

/// The throw-away server, where there is one.
pub(crate) fn server() -> Option<String> {
    std::env::var(SERVER).ok().filter(|url| !url.is_empty())
}

/// Whether a query finds anything.
pub(crate) async fn finds(url: &str, sql: &str) -> bool {
    let on = connect(url).await;
    let query = Statement::from_string(on.get_database_backend(), sql);
    on.query_one_raw(query).await.expect(sql).is_some()
}

/// Whether tests use PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    server().is_some()
}

/// Waits until so many other sessions of its database wait for a lock.
pub(crate) async fn until_waiting(on: &DatabaseConnection, sessions: usize) {
    let sql = format!(
        "SELECT 1 AS one FROM pg_stat_activity WHERE datname = current_database()
         AND wait_event_type = 'Lock' HAVING COUNT(*) >= {sessions}"
    );
    let waiting = Statement::from_string(on.get_database_backend(), sql);
    let look = async {
        while on.query_one_raw(waiting.clone()).await.expect("read").is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("somebody waits");
}

fn parse(url: &str) -> DatabaseUrl {
    let parsed: DatabaseUrl = url.parse().expect("a URL");
    parsed.with_limits(CONNECTIONS, Duration::from_secs(10))
}

async fn template(server: &str, admin: &DatabaseConnection) -> String {
    let name = format!("tidings_template_{}", Uuid::new_v4().simple());
    run(admin, &format!("CREATE DATABASE {name}")).await;
    let url = parse(&of(server, &name));
    Store::migrate(&url, &SecretKeys::default()).await.expect("migrated");
    name
}

/// The URL of another database of that server.
fn of(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).expect("a URL");
    url.set_path(name);
    url.into()
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Connections::connect(options).await.expect("connects")
}

async fn run(on: &DatabaseConnection, sql: &str) {
    on.execute_unprepared(sql).await.expect(sql);
}
