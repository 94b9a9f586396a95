//! The options of `tidings bench`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use humantime_serde::re::humantime;

/// What is too short to be measured, or longer than anybody waits.
const DURATIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(600);

/// Options of `tidings bench`.
#[derive(Args)]
pub struct BenchOptions {
    /// Where databases are made for it: sqlite:PATH, in the folder of PATH, or
    /// postgres://USER@HOST/NAME, on that server. What is there already is not touched
    /// [default: SQLite in the folder for temporary files; where that is in memory, name a
    /// folder on a disk]
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    pub(super) database: Option<String>,

    /// Measure a server that runs already on this machine, instead of starting one
    #[arg(long, value_name = "http://HOST:PORT")]
    pub(super) target: Option<String>,

    /// How long each load is kept up, 50ms to 10min
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(super) duration: Duration,

    /// Run everything so often, and show medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) runs: u8,

    /// Write the figures to a file, too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if DURATIONS.contains(&duration) {
        Ok(duration)
    } else {
        Err("is not 50ms to 10min".to_owned())
    }
}
