//! Webhooks and tenants: what a delivery costs where there are many.

use std::time::Duration;

use tidings::cli::bench::{Site, Topic};

use super::{
    load::{Cost, Load, median_of, serve, topic},
    report::{Report, change},
};

const WEBHOOKS: [usize; 4] = [1, 10, 100, 1_000];
const TENANTS: [usize; 3] = [1, 10, 100];
/// The part of deliveries per CPU-second that may be lost on the way to the most.
const LOSS: f64 = 0.2;

/// One tenant with many webhooks, each with an event name of its own: every event has one
/// delivery, so that nothing differs but the number of lanes.
pub(crate) async fn webhooks(
    site: &Site,
    report: &mut Report,
    rounds: usize,
    during: Duration,
) -> Result<(), String> {
    report.title("webhooks of one tenant, an event for one of them, in turn");
    let topics = |count| (0..count).map(|n| topic(format!("scale.name{n}"))).collect();
    compare(site, report, "webhooks", &WEBHOOKS, rounds, during, topics).await
}

/// Many tenants with one webhook each.
pub(crate) async fn tenants(
    site: &Site,
    report: &mut Report,
    rounds: usize,
    during: Duration,
) -> Result<(), String> {
    report.title("tenants with a webhook each, an event for one of them, in turn");
    let of_tenant = |n| Topic { tenant_id: format!("scale-{n}"), ..topic("scale.event") };
    let topics = |count| (0..count).map(of_tenant).collect();
    compare(site, report, "tenants", &TENANTS, rounds, during, topics).await
}

async fn compare(
    site: &Site,
    report: &mut Report,
    what: &str,
    counts: &[usize],
    rounds: usize,
    during: Duration,
    topics: impl Fn(usize) -> Vec<Topic>,
) -> Result<(), String> {
    let mut costs: Vec<Vec<Cost>> = counts.iter().map(|_| Vec::new()).collect();
    // What makes a machine slower for a while meets all of them.
    for _ in 0..rounds {
        for (costs, count) in costs.iter_mut().zip(counts) {
            let server = serve(site).await?;
            let load = Load::in_turns(&server, topics(*count)).await?;
            costs.push(load.measure(&server, during).await?);
            server.process.kill().await?;
            site.clear().await?;
        }
    }
    let all: Vec<_> = costs.iter().map(|costs| median_of(costs, Cost::per_cpu_second)).collect();
    for ((count, costs), per_cpu_second) in counts.iter().zip(&costs).zip(&all) {
        let name = format!("{count} {what}: deliveries per CPU-second, per second");
        let per_second = median_of(costs, Cost::per_second);
        let figure = format!("{per_cpu_second:.0}, {per_second:.0}");
        if *count == counts[0] {
            report.figure(&name, figure);
        } else {
            let figure = format!("{figure} ({})", change(*per_cpu_second, all[0]));
            let met = *per_cpu_second >= (1.0 - LOSS) * all[0];
            report.target(&name, figure, "at most 20 % fewer per CPU-second", met);
        }
    }
    Ok(())
}

/// One tenant with many webhooks that all want every event.
pub(crate) async fn fan_out(
    site: &Site,
    report: &mut Report,
    during: Duration,
) -> Result<(), String> {
    report.title("webhooks of one tenant, each event for all of them");
    for count in WEBHOOKS {
        let server = serve(site).await?;
        let load = Load::fan_out(&server, topic("scale.event"), count).await?;
        let cost = load.measure(&server, during).await?;
        server.process.kill().await?;
        site.clear().await?;
        let name = format!("{count} webhooks: deliveries per CPU-second, per second");
        report.figure(&name, format!("{:.0}, {:.0}", cost.per_cpu_second(), cost.per_second()));
    }
    Ok(())
}
