//! What is measured: phases, each with a load, and what a phase brought.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    arrivals::Arrivals,
    figures::{Sample, mebibytes, rate},
    publishers::Publishers,
    receiver::Receiver,
    report::{Figures, ServerFigures},
    served::Served,
    site::Site,
    tails::Tails,
    usage::Usage,
};

/// Publishers of single events.
const PUBLISHERS: usize = 64;
/// Publishers of batches and of streams.
const FEW_PUBLISHERS: usize = 8;
/// Events of a batch, and of a stream that may wait for their answers.
const BATCH: usize = 100;
/// Connections of all webhooks together, and of one: files that may be open are limited.
const CONNECTIONS: usize = 640;
const CONNECTIONS_OF_ONE: usize = 64;
/// The part of the time, and the time, for which the load is kept up before it is measured.
const WARM_UP_PART: u32 = 5;
const WARM_UP: Duration = Duration::from_secs(1);
/// How long answers may be missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How events are published.
#[derive(Clone, Copy)]
enum Load {
    /// One by one, by many at a time, each as soon as the one before is answered.
    Unary,
    /// In batches, by a few at a time.
    Batches,
    /// In streams.
    Streams,
    /// So many a second, whatever the answers do.
    Rate(u32),
}

/// Something that is measured.
pub(super) struct Phase {
    load: Load,
    webhooks: usize,
    tails: usize,
}

/// All phases, in their order.
pub(super) const PHASES: [Phase; 8] = [
    Phase { load: Load::Unary, webhooks: 1, tails: 0 },
    Phase { load: Load::Unary, webhooks: 10, tails: 0 },
    Phase { load: Load::Unary, webhooks: 100, tails: 0 },
    Phase { load: Load::Batches, webhooks: 1, tails: 0 },
    Phase { load: Load::Streams, webhooks: 1, tails: 0 },
    Phase { load: Load::Rate(200), webhooks: 1, tails: 0 },
    Phase { load: Load::Rate(2_000), webhooks: 1, tails: 0 },
    Phase { load: Load::Rate(2_000), webhooks: 1, tails: 100 },
];

impl Phase {
    /// What it is, in words.
    pub(super) fn name(&self) -> String {
        let load = match self.load {
            Load::Unary => format!("{PUBLISHERS} unary"),
            Load::Batches => format!("{FEW_PUBLISHERS} batches of {BATCH}"),
            Load::Streams => format!("{FEW_PUBLISHERS} streams"),
            Load::Rate(per_second) => format!("{per_second} events/s"),
        };
        let plural = if self.webhooks == 1 { "" } else { "s" };
        let tails = match self.tails {
            0 => String::new(),
            tails => format!(", {tails} tails"),
        };
        format!("{load}, {} webhook{plural}{tails}", self.webhooks)
    }

    async fn publish(
        &self,
        publishers: &Publishers,
        during: Duration,
    ) -> Result<Vec<Duration>, String> {
        let until = Instant::now() + during;
        let published = async {
            match self.load {
                Load::Unary => publishers.unary(PUBLISHERS, until).await,
                Load::Batches => publishers.batches(FEW_PUBLISHERS, BATCH, until).await,
                Load::Streams => publishers.streams(FEW_PUBLISHERS, BATCH, until).await,
                Load::Rate(per_second) => publishers.at_rate(per_second, during).await,
            }
        };
        let published = timeout(during + PATIENCE, published).await;
        published.unwrap_or_else(|_| Err("publishes are not answered".to_owned()))
    }

    /// Measures it on a server of its own. `limit` is what the bare loop did.
    pub(super) async fn measure(
        &self,
        site: &Site,
        during: Duration,
        limit: f64,
    ) -> Result<Figures, String> {
        let served = site.serve().await?;
        let arrivals = Arc::new(Arrivals::new(self.webhooks));
        let receiver = Receiver::start(Arc::clone(&arrivals))?;
        let connections = (CONNECTIONS / self.webhooks).clamp(1, CONNECTIONS_OF_ONE) as i32;
        let webhooks = served.guest.subscribe(&receiver, self.webhooks, connections).await?;
        let tails = Tails::open(&served.guest.access, self.tails, &webhooks).await?;
        let publishers =
            Publishers::new(&served.guest.access, &served.guest.event_name, Arc::clone(&arrivals));

        self.publish(&publishers, WARM_UP.min(during / WARM_UP_PART)).await?;
        let warm = publishers.published();
        arrivals.wait_for(warm * self.webhooks).await?;
        arrivals.take_sample();

        let before = Readings::take(&served).await?;
        tails.measure_from_now();
        let answers = self.publish(&publishers, during).await?;
        let answered = before.at.elapsed();
        let published = publishers.published();
        arrivals.wait_for(published * self.webhooks).await?;
        let after = Readings::take(&served).await?;
        let tails = tails.finish(published * self.webhooks).await?;
        served.end().await?;

        let repeated = arrivals.repeated();
        if repeated > 0 {
            return Err(format!("{repeated} deliveries came twice though nothing failed"));
        }
        let events = published - warm;
        let deliveries = events * self.webhooks;
        let time = arrivals.last().saturating_duration_since(before.at);
        let deliveries_per_second = rate(deliveries, time);
        Ok(Figures {
            name: self.name(),
            webhooks: self.webhooks,
            events,
            deliveries,
            deliveries_per_second,
            share_of_bare_loop: deliveries_per_second / limit,
            events_per_second: rate(events, answered),
            commits_per_second: before.commits_until(&after),
            arrival_ms: arrivals.take_sample().quantiles(),
            answer_ms: Sample::new(answers).quantiles(),
            server: before.server_until(&after, deliveries),
            bench_cpu_share: before.own_share_until(&after),
            tails,
        })
    }
}

/// What has been used up to a moment.
struct Readings {
    at: Instant,
    own: Usage,
    server: Option<Usage>,
    commits: Option<u64>,
}

impl Readings {
    async fn take(served: &Served) -> Result<Self, String> {
        let (server, commits) = match &served.own {
            Some(server) => (Some(server.usage()?), Some(server.commits().await?)),
            None => (None, None),
        };
        Ok(Self { at: Instant::now(), own: Usage::own()?, server, commits })
    }

    fn commits_until(&self, later: &Self) -> Option<f64> {
        let count = later.commits?.saturating_sub(self.commits?);
        Some(rate(usize::try_from(count).ok()?, later.at - self.at))
    }

    fn own_share_until(&self, later: &Self) -> f64 {
        share(later.own.cpu.saturating_sub(self.own.cpu), later.at - self.at)
    }

    fn server_until(&self, later: &Self, deliveries: usize) -> Option<ServerFigures> {
        let (before, after) = (self.server?, later.server?);
        let cpu = after.cpu.saturating_sub(before.cpu);
        Some(ServerFigures {
            cpu_us_per_delivery: cpu.as_secs_f64() * 1e6 / deliveries.max(1) as f64,
            deliveries_per_cpu_second: rate(deliveries, cpu.max(Duration::from_millis(10))),
            cpu_share: share(cpu, later.at - self.at),
            peak_mib: mebibytes(after.peak),
        })
    }
}

/// The part of the machine's CPU that this is, over that time.
fn share(cpu: Duration, time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cpu.as_secs_f64() / (time.as_secs_f64() * cores as f64).max(f64::MIN_POSITIVE)
}
