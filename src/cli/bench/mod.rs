//! `tidings bench`: how fast this machine and its database are.
//!
//! Measures what the machine can do at best (`limits`), then loads from publish to delivery
//! (`phase`), each on a server and a database of its own (`site`, `served`). This process has
//! the publishers, the receivers and the tails, and does as little as it can for each event;
//! the server is another process, so that what it uses is known. It fails when a delivery is
//! missing or comes twice, never because of a figure. Parts of it also serve the measurements
//! in `benches`.

mod access;
mod arrivals;
mod figures;
mod limits;
mod options;
mod phase;
mod process;
mod publishers;
mod receiver;
mod report;
mod served;
mod site;
mod table;
mod tails;
mod usage;

use std::{
    fs::File,
    io::{self, Write},
    time::Duration,
};

pub use self::{
    access::Access,
    arrivals::Arrivals,
    figures::Sample,
    options::BenchOptions,
    process::ServerProcess,
    publishers::{Publishers, Topic, Until, ref_id, request_id},
    receiver::Receiver,
    served::webhook,
    site::{Database, Site},
    usage::Usage,
};
use self::{
    figures::mebibytes,
    limits::Limits,
    phase::PHASES,
    report::{Figures, Report, Run, StartFigures},
};
use super::stop::stop_signal;

/// Bytes of each published payload.
pub const PAYLOAD_BYTES: usize = 500;
/// More events than this are not told apart.
const MOST_EVENTS: usize = 1 << 26;
/// How long a bare limit is looked for, of the time that a load is kept up.
const LIMIT_PART: u32 = 2;
/// How long a server is left alone before its idle memory is read.
const REST: Duration = Duration::from_secs(1);

/// What the options do not say.
pub(super) const HELP: &str = "\
Every load begins on an empty database with a server of its own, and all traffic stays on this
machine. On PostgreSQL the role has to be allowed to make databases (CREATEDB); give its password by
PGPASSWORD or ~/.pgpass, since everybody on a machine sees the arguments of processes.

A target has to be allowed to deliver to 127.0.0.1. TIDINGS_TOKEN is its key, of a tenant that nobody
else uses: it may do everything there. Webhooks and the event type are removed in the end, events stay
in its log. Its CPU, memory and commits are not known, nor is its start.

CPU is that of the server's process, and shares are of all cores; what PostgreSQL uses comes on top.
Commits are transactions that wrote, on PostgreSQL to any database of the server. The exit code is 1
when a delivery is missing or comes twice, and never because of a figure.";

/// The payload of event `n`, due at that time: a JSON object of [`PAYLOAD_BYTES`].
pub fn payload(n: usize, due: u64) -> String {
    const END: &str = "\"}";
    let mut payload = String::with_capacity(PAYLOAD_BYTES);
    payload.push_str(&format!("{{\"n\":{n},\"due\":{due},\"filler\":\""));
    let filler = PAYLOAD_BYTES.saturating_sub(payload.len() + END.len());
    payload.extend(std::iter::repeat_n('x', filler));
    payload + END
}

/// Measures, and prints what was found.
pub(super) async fn bench(options: BenchOptions) -> Result<(), String> {
    let stop = stop_signal()?;
    let json = options.json.as_ref().map(|path| {
        let file = File::create(path).map_err(|e| format!("cannot write {}: {e}", path.display()));
        file.map(|file| (path, file))
    });
    let json = json.transpose()?;
    let site = Site::open(&options)?;
    let measured = tokio::select! {
        measured = Box::pin(measure(&site, &options)) => measured,
        () = stop => Err("interrupted before the end".to_owned()),
    };
    let closed = site.close().await;
    let report = measured.and_then(|report| closed.map(|()| report))?;
    if let Some((path, mut file)) = json {
        let written = serde_json::to_writer_pretty(&mut file, &report).map_err(io::Error::from);
        let written = written.and_then(|()| writeln!(file));
        written.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    write!(io::stdout(), "{}", table::table(&report)).map_err(|e| format!("standard output: {e}"))
}

async fn measure(site: &Site, options: &BenchOptions) -> Result<Report, String> {
    let count = usize::from(options.runs);
    let mut runs = Vec::with_capacity(count);
    for n in 1..=count {
        if count > 1 {
            eprintln!("run {n} of {count}");
        }
        runs.push(Box::pin(run(site, options.duration)).await?);
    }
    Ok(Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: site.name(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        payload_bytes: PAYLOAD_BYTES,
        duration_seconds: options.duration.as_secs_f64(),
        runs: count,
        run: Run::median(&runs)?,
    })
}

/// Measures everything once.
async fn run(site: &Site, during: Duration) -> Result<Run, String> {
    let limits = limits(site, during / LIMIT_PART).await?;
    let start = start(site, REST.min(during)).await?;
    let mut phases: Vec<Figures> = Vec::with_capacity(PHASES.len());
    for phase in &PHASES {
        eprintln!("{} ...", phase.name());
        let measured = phase.measure(site, during, limits.requests_per_second);
        let mut figures = Box::pin(measured).await?;
        site.clear().await?;
        // The load before this one is the same without tails.
        if let (Some(tails), Some(before)) = (&mut figures.tails, phases.last()) {
            tails.slowed_by = 1.0 - figures.deliveries_per_second / before.deliveries_per_second;
        }
        eprintln!("    {:.0} deliveries/s", figures.deliveries_per_second);
        phases.push(figures);
    }
    Ok(Run { limits, start, phases })
}

async fn limits(site: &Site, during: Duration) -> Result<Limits, String> {
    eprintln!("bare limits ...");
    let requests_per_second = limits::requests(during).await?;
    let commits_per_second = match site.database().await? {
        Some(database) => Some(limits::commits(&database.url, during).await?),
        None => None,
    };
    site.clear().await?;
    eprintln!("    {requests_per_second:.0} requests/s");
    Ok(Limits { requests_per_second, commits_per_second })
}

async fn start(site: &Site, rest: Duration) -> Result<Option<StartFigures>, String> {
    let served = site.serve().await?;
    let started = match &served.own {
        None => None,
        Some(own) => {
            tokio::time::sleep(rest).await;
            let first_answer_ms = own.first_answer.as_secs_f64() * 1_000.0;
            Some(StartFigures { first_answer_ms, idle_mib: mebibytes(own.usage()?.resident) })
        }
    };
    served.end().await?;
    site.clear().await?;
    Ok(started)
}
