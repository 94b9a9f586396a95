//! The real server, in this process, on a port and a database of its own.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings::{
    engine::Clock,
    grpc::proto::{CreateEventMetadataRequest, EventMetadata},
    sender::{Resolver, SystemResolver},
    server::{Server, SystemClock, config::Config},
};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, transport::Channel};

use super::{
    clients::Clients,
    database::{CONNECTIONS, Database},
    keys::{self, HOME},
};

/// How long a server waits for its database before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Dropped, it stops without draining.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    clients: Clients,
    database: Arc<Database>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), String>>,
}

impl TestServer {
    /// A server on an empty database.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server on an empty database, configured.
    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let database = Database::new().await;
        Self::on(database, Arc::new(SystemClock), configure).await
    }

    /// A server on an empty database, with a clock.
    pub(crate) async fn with_clock(
        clock: Arc<dyn Clock>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let database = Database::new().await;
        Self::on(database, clock, configure).await
    }

    /// A server on an empty database that asks `resolver` for destinations and lets deliveries go
    /// to public addresses and to these ranges only.
    pub(crate) async fn guarded(resolver: Arc<dyn Resolver>, allowed: &[&str]) -> Self {
        let database = Database::new().await;
        Self::guarded_on(database, resolver, allowed).await
    }

    /// The same on the database that another one left.
    pub(crate) async fn guarded_on(
        database: Arc<Database>,
        resolver: Arc<dyn Resolver>,
        allowed: &[&str],
    ) -> Self {
        let configure = |config: &mut Config| {
            config.dev = false;
            config.allow_destination =
                allowed.iter().map(|range| range.parse().expect("a range")).collect();
        };
        let mut server =
            Self::with_resolver(database, Arc::new(SystemClock), resolver, configure).await;
        let token = keys::make(&server.database(), HOME, "all").await;
        let clients = server.with_token(&token);
        server.clients = clients;
        server.register("a").await;
        server
    }

    /// A server on an empty database that asks for credentials.
    pub(crate) async fn strict() -> Self {
        Self::with(|config| config.dev = false).await
    }

    /// The clients of somebody who has this token.
    pub(crate) fn with_token(&self, token: &str) -> Clients {
        Clients::new(self.channel.clone(), Some(token))
    }

    /// A new key of the home tenant with these permissions, and its clients.
    pub(crate) async fn with_key(&self, permissions: &str) -> Clients {
        self.with_token(&keys::make(&self.database(), HOME, permissions).await)
    }

    /// Makes an event type where there is none: without `--dev` nothing else does.
    pub(crate) async fn register(&self, event_name: &str) {
        let event_metadata =
            Some(EventMetadata { event_name: event_name.into(), ..Default::default() });
        let request = CreateEventMetadataRequest { event_metadata, ..Default::default() };
        match self.event_types().create_event_metadata(request).await {
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::AlreadyExists, "{status}"),
        }
    }

    async fn on(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::with_resolver(database, clock, Arc::new(SystemResolver), configure).await
    }

    async fn with_resolver(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolver>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            listen: "127.0.0.1:0".into(),
            database: database.url(),
            database_connections: CONNECTIONS,
            dev: true,
            drain_grace: Duration::from_secs(5),
            ..Config::default()
        };
        configure(&mut config);
        let server = bind(config, clock, resolver).await;
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let channel = Channel::from_shared(format!("http://{address}")).expect("a URI");
        let channel = channel.connect_lazy();
        let clients = Clients::new(channel.clone(), None);
        Self { address, channel, clients, database, stop: Some(stop), running }
    }

    /// Drains the server and starts another one on the same database.
    pub(crate) async fn restart(self) -> Self {
        let database = Arc::clone(&self.database);
        self.stop().await;
        Self::on(database, Arc::new(SystemClock), |_| {}).await
    }

    /// Drains the server; gives its database, which goes when it is dropped.
    pub(crate) async fn stop_and_keep(self) -> Arc<Database> {
        let database = Arc::clone(&self.database);
        self.stop().await;
        database
    }

    /// A server on the database that another one left.
    pub(crate) async fn reopen(database: Arc<Database>) -> Self {
        Self::on(database, Arc::new(SystemClock), |_| {}).await
    }

    /// A server on that database, configured.
    pub(crate) async fn on_database(
        database: Arc<Database>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        Self::on(database, Arc::new(SystemClock), configure).await
    }

    /// Drains the server and waits for its end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.running).await.expect("no panic").expect("a clean end");
        let database = Arc::clone(&self.database);
        drop(self);
        database.let_go().await;
    }

    /// The database, as the configuration names it.
    pub(crate) fn database(&self) -> String {
        self.database.url()
    }
}

/// What calls of the test are made with.
impl std::ops::Deref for TestServer {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

/// Binds a server. One that has just stopped may still hold the database for a moment.
async fn bind(config: Config, clock: Arc<dyn Clock>, resolver: Arc<dyn Resolver>) -> Server {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (clock, resolver) = (Arc::clone(&clock), Arc::clone(&resolver));
        match Server::bind_with(config.clone(), clock, resolver).await {
            Ok(server) => return server,
            Err(error) if error.contains("another process") && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => panic!("the server does not bind: {error}"),
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}
