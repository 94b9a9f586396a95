//! The load that everything is measured under: publishers of single events that wait while
//! enough is under way, so that every delivery stays in memory and costs the same.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tidings::{
    cli::bench::{Arrivals, Publishers, Receiver, Site, Topic, Until, webhook},
    grpc::proto::Webhook,
};
use tokio::time::timeout;

use super::{report::median, support::Server};

const PUBLISHERS: usize = 64;
/// Deliveries under way while it is measured: enough that none of 1,000 lanes stands still
/// for long, and few enough that none is read back from the database.
pub(crate) const UNDER_WAY: usize = 1_000;
/// Connections of all webhooks together, where each needs only one.
const CONNECTIONS: usize = 64;
/// Calls at a time that make webhooks.
const MAKERS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a load may take beyond its own time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What deliveries took.
pub(crate) struct Cost {
    deliveries: usize,
    cpu: Duration,
    time: Duration,
}

impl Cost {
    /// Deliveries per CPU-second of the server.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.deliveries as f64 / self.cpu.as_secs_f64()
    }

    /// Microseconds of the server's CPU per delivery.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.time.as_secs_f64()
    }
}

/// The medians of some measurements, one figure of each.
pub(crate) fn median_of(costs: &[Cost], figure: fn(&Cost) -> f64) -> f64 {
    median(costs.iter().map(figure).collect())
}

/// A server on a database of its own.
pub(crate) async fn serve(site: &Site) -> Result<Server, String> {
    let database = site.database().await?.ok_or("there is no database")?;
    Ok(Server::start(site.program(), &database).await)
}

/// What a load costs for some time, on a server of its own, which is gone afterwards.
pub(crate) async fn cost_of(
    site: &Site,
    during: Duration,
    load: impl AsyncFnOnce(&Server) -> Result<Load, String>,
) -> Result<Cost, String> {
    let server = serve(site).await?;
    let cost = load(&server).await?.measure(&server, during).await?;
    server.process.kill().await?;
    site.clear().await?;
    Ok(cost)
}

/// Webhooks, and the publishers whose events they want.
pub(crate) struct Load {
    pub(crate) publishers: Publishers,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) webhooks: Vec<Webhook>,
    /// It ends with this.
    _receiver: Receiver,
}

impl Load {
    /// A webhook for each topic; events take turns among them.
    pub(crate) async fn in_turns(server: &Server, topics: Vec<Topic>) -> Result<Self, String> {
        let arrivals = Arc::new(Arrivals::in_turns(topics.len()));
        Self::make(server, topics.clone(), topics, arrivals).await
    }

    /// Webhooks that all want the same events.
    pub(crate) async fn fan_out(
        server: &Server,
        topic: Topic,
        webhooks: usize,
    ) -> Result<Self, String> {
        let wanted = vec![topic.clone(); webhooks];
        Self::make(server, vec![topic], wanted, Arc::new(Arrivals::new(webhooks))).await
    }

    async fn make(
        server: &Server,
        published: Vec<Topic>,
        wanted: Vec<Topic>,
        arrivals: Arc<Arrivals>,
    ) -> Result<Self, String> {
        let receiver = Receiver::start(Arc::clone(&arrivals))?;
        let connections = (CONNECTIONS / wanted.len()).max(1) as i32;
        let definitions = wanted.iter().enumerate().map(|(n, topic)| Webhook {
            tenant_id: topic.tenant_id.clone(),
            ..webhook(
                &format!("{} {n}", topic.event_name),
                receiver.url(n),
                &topic.event_name,
                connections,
            )
        });
        let webhooks = register(server, definitions.collect()).await;
        let publishers = Publishers::in_turns(&server.access, published, Arc::clone(&arrivals))
            .holding_back_at(UNDER_WAY);
        Ok(Self { publishers, arrivals, webhooks, _receiver: receiver })
    }

    /// The same with other publishers.
    pub(crate) fn publishing(self, change: impl FnOnce(Publishers) -> Publishers) -> Self {
        Self { publishers: change(self.publishers), ..self }
    }

    /// What it costs for some time, once it is warm.
    async fn measure(&self, server: &Server, during: Duration) -> Result<Cost, String> {
        self.run(server, Until::Time(Instant::now() + WARM_UP)).await?;
        self.run(server, Until::Time(Instant::now() + during)).await
    }

    /// Keeps it up. Fails where a delivery is missing or comes twice.
    pub(crate) async fn run(&self, server: &Server, until: Until) -> Result<Cost, String> {
        let before = (Instant::now(), server.process.usage()?, self.publishers.published());
        let limit = match until {
            Until::Time(time) => time.saturating_duration_since(before.0) + PATIENCE,
            Until::Events(_) => PATIENCE,
        };
        let published = timeout(limit, self.publishers.unary(PUBLISHERS, until)).await;
        published.map_err(|_| format!("publishing takes longer than {limit:?}"))??;
        let published = self.publishers.published();
        self.arrivals.wait_for(self.arrivals.of_events(published)).await?;
        self.arrivals.take_sample();
        let after = server.process.usage()?;
        match self.arrivals.repeated() {
            0 => Ok(Cost {
                deliveries: self.arrivals.of_events(published - before.2),
                cpu: after.cpu.saturating_sub(before.1.cpu),
                time: self.arrivals.last().saturating_duration_since(before.0),
            }),
            repeated => Err(format!("{repeated} deliveries came twice though nothing failed")),
        }
    }
}

/// Makes webhooks, in their order but several at a time.
pub(crate) async fn register(server: &Server, webhooks: Vec<Webhook>) -> Vec<Webhook> {
    stream::iter(webhooks.into_iter().map(|webhook| server.create_webhook(webhook)))
        .buffered(MAKERS)
        .collect()
        .await
}

/// A topic of the caller's own tenant.
pub(crate) fn topic(event_name: impl Into<String>) -> Topic {
    Topic { tenant_id: String::new(), event_name: event_name.into() }
}
