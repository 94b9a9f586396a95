//! A log of millions of rows: what is asked of it, and what it does to deliveries.

use std::time::{Duration, Instant};

use tidings::cli::bench::{Database, Site, Until};

use super::{
    load::{Cost, Load, median_of, serve, topic},
    reads,
    report::{Report, change},
    support::{Server, mebibytes, millis},
};

/// Webhooks whose deliveries fill the log, and events that are published together.
const WEBHOOKS: usize = 100;
pub(crate) const BATCH: usize = 100;
pub(crate) const PUBLISHERS: usize = 4;
/// Deliveries under way while it is filled.
const UNDER_WAY: usize = 50_000;
/// Between two lines that tell how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// No delivery takes longer than this to be recorded.
const REST: Duration = Duration::from_secs(2);
/// Events that warm up, and that are measured.
const WARM_UP: usize = 5_000;
const EVENTS: usize = 40_000;
const LOSS: f64 = 0.15;
const START: Duration = Duration::from_secs(1);

/// Fills a log with so many rows, then reads from it, and delivers with it and without.
pub(crate) async fn rows(
    site: &Site,
    report: &mut Report,
    rows: usize,
    rounds: usize,
) -> Result<(), String> {
    let database = site.database().await?.ok_or("there is no database")?;
    let mut server = Server::start(site.program(), &database).await;
    report.title(&format!("a log of {rows} rows"));
    let load = Load::fan_out(&server, topic("scale.filled"), WEBHOOKS).await?;
    let load = fill(load, rows / WEBHOOKS, report).await?;
    tokio::time::sleep(REST).await;
    report.figure("memory of the server, peak", mebibytes(server.process.usage()?.peak));
    reads::measure(&server, &load.webhooks, rows / WEBHOOKS, report).await?;

    let (mut empty, mut full) = (Vec::new(), Vec::new());
    let mut first_answer = Duration::MAX;
    for round in 0..rounds {
        let fresh = serve(site).await?;
        empty.push(deliver(&fresh, round).await?);
        fresh.process.kill().await?;
        // Both have just been started.
        server = restart(site, server, &database).await?;
        server.get_webhook(&load.webhooks[0].webhook_id).await;
        first_answer = first_answer.min(server.process.age());
        full.push(deliver(&server, round).await?);
        tokio::time::sleep(REST).await;
    }
    server.process.kill().await?;
    let repeated = load.arrivals.repeated();
    if repeated > 0 {
        return Err(format!("{repeated} deliveries came again after a restart"));
    }
    site.clear().await?;
    let name = "start to first answer, the fastest";
    report.target(name, millis(first_answer), "at most 1 s", first_answer <= START);
    slowdown(report, &empty, &full);
    Ok(())
}

async fn fill(load: Load, events: usize, report: &mut Report) -> Result<Load, String> {
    let load = load.publishing(|all| all.with_ids().holding_back_at(UNDER_WAY));
    let began = Instant::now();
    let wanted = load.arrivals.of_events(events);
    let filled = async {
        load.publishers.batches(PUBLISHERS, BATCH, Until::Events(events)).await?;
        load.arrivals.wait_for(wanted).await
    };
    let progress = async {
        loop {
            tokio::time::sleep(PROGRESS).await;
            load.arrivals.take_sample();
            eprintln!("    {} of {wanted} delivered", load.arrivals.count());
        }
    };
    tokio::select! {
        filled = filled => filled?,
        () = progress => {}
    }
    load.arrivals.take_sample();
    if load.arrivals.repeated() > 0 {
        return Err(format!("{} deliveries came twice", load.arrivals.repeated()));
    }
    let time = began.elapsed().as_secs_f64();
    report.figure("filled by deliveries", format!("{:.0} per second", wanted as f64 / time));
    Ok(load)
}

async fn restart(site: &Site, server: Server, database: &Database) -> Result<Server, String> {
    server.process.kill().await?;
    Ok(Server::start(site.program(), database).await)
}

/// Publishes and delivers a fixed number of events.
async fn deliver(server: &Server, round: usize) -> Result<Cost, String> {
    let load = Load::in_turns(server, vec![topic(format!("scale.round{round}"))]).await?;
    load.run(server, Until::Events(WARM_UP)).await?;
    load.run(server, Until::Events(WARM_UP + EVENTS)).await
}

fn slowdown(report: &mut Report, empty: &[Cost], full: &[Cost]) {
    let both = |figure| [empty, full].map(|costs| median_of(costs, figure));
    let [without, with] = both(Cost::cpu_us);
    report.figure("CPU per delivery, empty database", format!("{without:.1} us"));
    let figure = format!("{with:.1} us ({})", change(with, without));
    let met = with <= (1.0 + LOSS) * without;
    report.target("CPU per delivery, with all rows", figure, "at most 15 % more", met);
    let [without, with] = both(Cost::per_second);
    report.figure("deliveries per second, empty database", format!("{without:.0}"));
    let figure = format!("{with:.0} ({})", change(with, without));
    let met = with >= (1.0 - LOSS) * without;
    report.target("deliveries per second, with all rows", figure, "at most 15 % fewer", met);
}
