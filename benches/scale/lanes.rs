//! Webhooks and tenants: what a delivery costs where there are many.

use std::{future::Future, time::Duration};

use tidings::cli::bench::{Site, Topic};

use super::{
    load::{Cost, Load, cost_of, median_of, topic},
    report::{Report, change, median},
    support::Server,
};

const WEBHOOKS: [usize; 4] = [1, 10, 100, 1_000];
/// The part of deliveries per CPU-second that may be lost on the way to the most.
const LOSS: f64 = 0.2;

/// What there are more and more of, each with a webhook and a topic. Every event has one
/// delivery, so that nothing differs but the number of lanes.
pub(crate) struct Lanes {
    title: &'static str,
    name: &'static str,
    counts: &'static [usize],
    topic: fn(usize) -> Topic,
}

/// One tenant with many webhooks, each with an event name of its own.
pub(crate) const OF_WEBHOOKS: Lanes = Lanes {
    title: "webhooks of one tenant, an event for one of them, in turn",
    name: "webhooks",
    counts: &WEBHOOKS,
    topic: |n| topic(format!("scale.name{n}")),
};

/// Many tenants with one webhook each.
pub(crate) const OF_TENANTS: Lanes = Lanes {
    title: "tenants with a webhook each, an event for one of them, in turn",
    name: "tenants",
    counts: &[1, 10, 100],
    topic: |n| Topic { tenant_id: format!("scale-{n}"), ..topic("scale.event") },
};

impl Lanes {
    /// What a delivery costs with few and with many.
    pub(crate) async fn measure(
        &self,
        site: &Site,
        report: &mut Report,
        rounds: usize,
        during: Duration,
    ) -> Result<(), String> {
        report.title(self.title);
        let costs = self.rounds(rounds, |count| self.cost(site, count, during)).await?;
        let all: Vec<_> =
            costs.iter().map(|costs| median_of(costs, Cost::per_cpu_second)).collect();
        for ((count, costs), per_cpu_second) in self.counts.iter().zip(&costs).zip(&all) {
            let name = format!("{count} {}: deliveries per CPU-second, per second", self.name);
            let per_second = median_of(costs, Cost::per_second);
            let figure = format!("{per_cpu_second:.0}, {per_second:.0}");
            if *count == self.counts[0] {
                report.figure(&name, figure);
            } else {
                let figure = format!("{figure} ({})", change(*per_cpu_second, all[0]));
                let met = *per_cpu_second >= (1.0 - LOSS) * all[0];
                report.target(&name, figure, "at most 20 % fewer per CPU-second", met);
            }
        }
        Ok(())
    }

    /// What it costs beside another build: both at the same time, so that whatever makes the
    /// machine slower meets both.
    pub(crate) async fn compare(
        &self,
        [old, new]: [&Site; 2],
        report: &mut Report,
        rounds: usize,
        during: Duration,
    ) -> Result<(), String> {
        report.title(&format!("{}: deliveries per CPU-second, new / old", self.title));
        let both = async |count| {
            tokio::try_join!(self.cost(old, count, during), self.cost(new, count, during))
        };
        let costs = self.rounds(rounds, both).await?;
        for (count, costs) in self.counts.iter().zip(&costs) {
            let ratio = |(old, new): &(Cost, Cost)| new.per_cpu_second() / old.per_cpu_second();
            let ratios: Vec<_> = costs.iter().map(ratio).collect();
            let each = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>();
            let figure = format!("{:.3}   {}", median(ratios), each.join(" "));
            report.figure(&format!("{count} {}", self.name), figure);
        }
        Ok(())
    }

    /// What is measured for each count, round by round: what makes a machine slower for a
    /// while meets all of them.
    async fn rounds<T, F>(
        &self,
        rounds: usize,
        measure: impl Fn(usize) -> F,
    ) -> Result<Vec<Vec<T>>, String>
    where
        F: Future<Output = Result<T, String>>,
    {
        let mut all: Vec<Vec<T>> = self.counts.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (measured, count) in all.iter_mut().zip(self.counts) {
                measured.push(measure(*count).await?);
            }
        }
        Ok(all)
    }

    /// What it costs with so many, on a server of its own.
    async fn cost(&self, site: &Site, count: usize, during: Duration) -> Result<Cost, String> {
        let topics = (0..count).map(self.topic).collect();
        cost_of(site, during, async |server: &Server| Load::in_turns(server, topics).await).await
    }
}

/// One tenant with many webhooks that all want every event.
pub(crate) async fn fan_out(
    site: &Site,
    report: &mut Report,
    during: Duration,
) -> Result<(), String> {
    report.title("webhooks of one tenant, each event for all of them");
    for count in WEBHOOKS {
        let load = async |server: &Server| Load::fan_out(server, topic("scale.event"), count).await;
        let cost = cost_of(site, during, load).await?;
        let name = format!("{count} webhooks: deliveries per CPU-second, per second");
        report.figure(&name, format!("{:.0}, {:.0}", cost.per_cpu_second(), cost.per_second()));
    }
    Ok(())
}
