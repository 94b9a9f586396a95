//! The composition root: puts store, engine, services and transports together,
//! binds, runs, and drains.

mod clock;
pub mod config;
mod health;
mod identity_provider;
mod incoming;
mod listen;
mod local_only;
pub mod origin;
mod peer;
mod ranges;
mod start_checks;
mod tls;
mod written_list;

use std::{future::Future, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

pub use self::clock::SystemClock;
use self::{
    config::Config,
    origin::Origin,
    tls::{Reloader, Tls},
};
use crate::{
    domain::{address::AddressGuard, id::TenantId},
    engine::{self, Clock, Engine, Follower, JobRunner, Pruner, Resealer},
    grpc, http,
    sender::{Addresses, HttpSender, Mailer, Resolver, SystemResolver},
    service::{
        self, Services,
        auth::{Access, Caller, IdentityProvider},
        quotas::Quotas,
    },
    store::Store,
};

/// The tenant of callers that name none, with `--dev`.
pub const HOME_TENANT: &str = "default";

/// A server that is bound but does not serve yet.
pub struct Server {
    listener: TcpListener,
    tls: Option<(Tls, Reloader)>,
    provider: Option<Arc<IdentityProvider>>,
    address: SocketAddr,
    services: Services,
    engine: Engine,
    follower: Follower,
    store: Store,
    clock: Arc<dyn Clock>,
    draining: CancellationToken,
    config: Config,
}

impl Server {
    /// Opens the database and binds the address.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn bind(config: Config, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Self::bind_with(config, clock, Arc::new(SystemResolver)).await
    }

    /// As [`bind`](Self::bind); the names of destinations are resolved by `resolver`.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn bind_with(
        config: Config,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, String> {
        let tls = Tls::load(&config)?;
        let listener = listen::bind(&config).await?;
        let address = listener.local_addr().map_err(|e| format!("cannot listen: {e}"))?;
        let database = config.database()?;
        let (store, commits) = Store::open(&database, config.secret_keys()?).await?;
        start_checks::warn(&config, address, &store, clock.now()).await;
        let guard = AddressGuard { local: config.dev, allowed: config.allow_destination.clone() };
        let addresses = Addresses::new(guard, resolver);
        let sender = HttpSender::new(addresses).map_err(|e| format!("cannot set up TLS: {e}"))?;
        if sender.trusted_roots() == 0 {
            tracing::warn!(
                "no root certificates found: deliveries to https destinations will fail"
            );
        }
        let sender = Arc::new(sender);
        let mailer = mailer(&config)?;
        let mail = mailer.is_some();
        let engine = Engine::start(engine::Parts {
            store: store.clone(),
            commits,
            sender: Arc::clone(&sender),
            mailer,
            clock: Arc::clone(&clock),
            limits: engine::Limits { attempts: config.max_attempts, ..engine::Limits::default() },
            default_timeout: config.attempt_timeout,
        });
        let follower = Follower::begin(store.clone(), engine.clone()).await;
        let follower = follower.map_err(|e| format!("cannot read the tenants: {e}"))?;
        let draining = CancellationToken::new();
        let limits = service::Limits {
            tails: config.max_tails,
            tail_lag: config.max_tail_lag,
            stats_rows: config.max_stats_rows,
            mail,
            retention: config.retention,
            quotas: Quotas {
                max_webhooks: config.max_webhooks,
                max_events_per_second: config.max_events_per_second,
                max_waiting_deliveries: config.max_waiting_deliveries,
            },
        };
        let provider = identity_provider::open(&config, &sender, &clock).await?;
        let access = if config.dev {
            Access::Open(Caller::developer(home_tenant()?))
        } else {
            Access::Credentials(provider.clone())
        };
        let services = Services::new(
            store.clone(),
            engine.clone(),
            sender,
            Arc::clone(&clock),
            access,
            &limits,
            draining.clone(),
        );
        Ok(Self {
            listener,
            tls,
            provider,
            address,
            services,
            engine,
            follower,
            store,
            clock,
            draining,
            config,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves, then drains: no new requests, tails end, what
    /// is in flight finishes within the grace period.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), String> {
        let Self { store, engine, clock, draining, config, .. } = self;
        let database = config.database()?;
        let secured = self.tls.is_some();
        tracing::info!(address = %self.address, tls = secured, %database, dev = config.dev, "serving");
        let follower = tokio::spawn(self.follower.run());
        let resealer = tokio::spawn(Resealer::new(store.clone()).run(engine.caretaker()));
        let jobs = JobRunner::new(store.clone(), engine.clone(), Arc::clone(&clock));
        let jobs = tokio::spawn(jobs.run());
        let pruner = Pruner::new(store.clone(), Arc::clone(&clock), config.retention);
        let pruner = tokio::spawn(pruner.run(engine.caretaker()));
        let (tls, reloader) = self.tls.unzip();
        let reloader = reloader.map(|reloader| tokio::spawn(reloader.run(clock)));
        let provider =
            self.provider.map(|provider| tokio::spawn(async move { provider.run().await }));

        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status(health::LIVE, ServingStatus::Serving).await;
        health::set(&health, ServingStatus::Serving).await;
        let following = health::follow(health.clone(), store, config.health_grace);
        let following = tokio::spawn(following);
        let facades = http::Facades { services: self.services.clone() };
        let services = grpc::Handlers { services: self.services };
        let routes = grpc::routes(services, health_service, draining.clone());
        let origins: Vec<_> = config.cors_origins.iter().map(Origin::header).collect();
        let facades = http::routes(facades, &origins)?;
        let routes = routes.merge(facades);

        let serving = listen::serve(self.listener, tls, routes, config.dev, draining.clone());
        let mut served = Box::pin(serving);
        tokio::select! {
            result = &mut served => return result,
            () = shutdown => {}
        }
        tracing::info!("draining");
        end([following]).await;
        health::set(&health, ServingStatus::NotServing).await;
        draining.cancel();
        let optional = [reloader, provider].into_iter().flatten();
        end([follower, jobs, pruner, resealer].into_iter().chain(optional)).await;
        let (served, ()) = tokio::join!(
            tokio::time::timeout(config.drain_grace, served),
            engine.drain(config.drain_grace)
        );
        tracing::info!("stopped");
        // Calls that did not end in time are cut off.
        served.unwrap_or(Ok(()))
    }
}

/// Ends what runs in the background.
async fn end(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
}

fn mailer(config: &Config) -> Result<Option<Mailer>, String> {
    let Some(url) = &config.smtp_url else { return Ok(None) };
    let mailer = Mailer::new(url.expose(), &config.mail_from);
    mailer.map(Some).map_err(|e| format!("configuration: {e}"))
}

fn home_tenant() -> Result<TenantId, String> {
    HOME_TENANT.parse().map_err(|fault| format!("tenant {HOME_TENANT} {fault}"))
}
