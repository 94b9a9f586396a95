//! Figures and how they are shown.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// A sorted sample of durations.
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The smallest one that `part` of all do not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let rank = (self.0.len() as f64 * part).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or_default()
    }

    pub(crate) fn max(&self) -> Duration {
        self.quantile(1.0)
    }
}

/// Milliseconds with two decimals.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{} MiB", kib / 1024)
}

/// Events or deliveries per second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// What a small synced write costs here: the floor of every answer to a publish.
pub(crate) fn synced_write(directory: &Path) -> Duration {
    let mut file = File::create(directory.join("synced")).expect("a file");
    let writes = (0..100).map(|_| {
        let began = Instant::now();
        file.write_all(&[1; 4096]).expect("written");
        file.sync_data().expect("synced");
        began.elapsed()
    });
    Sample::new(writes.collect()).quantile(0.5)
}

/// The machine, in a line.
pub(crate) fn machine(directory: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!(
        "{cores} cores, load average {load}, a synced write of 4 KiB takes {}",
        millis(synced_write(directory))
    )
}
