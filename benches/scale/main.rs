//! What growth costs: more webhooks, more tenants, more rows in the log: `scripts/scale.sh`.
//! Prints figures beside what is promised of them. A target that is missed is said to be
//! missed; it fails where a delivery is missing or comes twice, or an answer is wrong. All
//! traffic stays on this machine.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod lanes;
mod load;
mod log;
mod matching;
mod reads;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use tidings::cli::bench::Site;

use self::{
    report::Report,
    support::{PROGRAM, directory, is_asked_to_measure, machine},
};

/// What growth costs.
#[derive(Parser)]
struct Options {
    /// Where databases are made for it: sqlite:PATH, in the folder of PATH, or
    /// postgres://USER@HOST/NAME, on that server [default: SQLite below target]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Rows of the long log, at least 100,000
    #[arg(long, default_value_t = 5_000_000, value_parser = rows)]
    rows: usize,
    /// How long each load is kept up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Compare so often, and show medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Compare with this build, both at the same time: webhooks and tenants, no targets
    #[arg(long, value_name = "PROGRAM")]
    old: Option<PathBuf>,
    /// What is measured [default: all]
    #[arg(value_enum)]
    figures: Vec<Figures>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figures {
    Matching,
    Webhooks,
    FanOut,
    Tenants,
    Registered,
    Log,
}

impl Figures {
    /// Whether it is measured beside another build, too.
    fn is_compared(self) -> bool {
        matches!(self, Self::Webhooks | Self::Tenants)
    }
}

fn rows(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| *rows >= 100_000);
    rows.ok_or_else(|| "is no number from 100000".to_owned())
}

fn main() -> ExitCode {
    if !is_asked_to_measure() {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    if options.old.is_some() && !options.figures.iter().copied().all(Figures::is_compared) {
        eprintln!("--old compares webhooks and tenants only");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.expect("tokio").block_on(measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("WRONG: {wrong}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<(), String> {
    let folder = directory();
    let site = |program: &Path| {
        Site::of_databases(options.database.as_deref(), program.to_owned(), folder.path())
    };
    let old = options.old.as_deref().map(site).transpose()?;
    let site = site(Path::new(PROGRAM))?;
    println!("{}, {}", site.name(), machine(folder.path()));
    println!("CPU is that of the server's process; PostgreSQL's comes on top");
    let mut report = Report::default();
    let mut measured = tokio::select! {
        measured = Box::pin(all(&site, old.as_ref(), &mut report, options)) => measured,
        _ = tokio::signal::ctrl_c() => Err("interrupted before the end".to_owned()),
    };
    report.end();
    for site in old.into_iter().chain([site]) {
        measured = measured.and(site.close().await);
    }
    measured
}

async fn all(
    site: &Site,
    old: Option<&Site>,
    report: &mut Report,
    options: &Options,
) -> Result<(), String> {
    let during = Duration::from_secs(options.seconds);
    let rounds = usize::from(options.rounds);
    let is_wanted = |one| options.figures.is_empty() || options.figures.contains(&one);
    if let Some(old) = old {
        for (figures, lanes) in
            [(Figures::Webhooks, lanes::OF_WEBHOOKS), (Figures::Tenants, lanes::OF_TENANTS)]
        {
            if is_wanted(figures) {
                lanes.compare([old, site], report, rounds, during).await?;
            }
        }
        return Ok(());
    }
    if is_wanted(Figures::Matching) {
        matching::alone(report);
    }
    if is_wanted(Figures::Webhooks) {
        lanes::OF_WEBHOOKS.measure(site, report, rounds, during).await?;
    }
    if is_wanted(Figures::FanOut) {
        lanes::fan_out(site, report, during).await?;
    }
    if is_wanted(Figures::Tenants) {
        lanes::OF_TENANTS.measure(site, report, rounds, during).await?;
    }
    if is_wanted(Figures::Registered) {
        matching::served(site, report, rounds, during).await?;
    }
    if is_wanted(Figures::Log) {
        log::rows(site, report, options.rows, rounds).await?;
    }
    Ok(())
}
