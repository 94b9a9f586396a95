//! What a process uses, as Linux tells it: proc_pid_stat(5), proc_pid_status(5).

use std::{fs, time::Duration};

/// Ticks per second of the times in `/proc`: the same on every Linux.
const TICKS: u64 = 100;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time, user and system, in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory now, KiB.
    pub resident: u64,
    /// Most resident memory at any time, KiB.
    pub peak: u64,
}

impl Usage {
    /// Of this process.
    pub(super) fn own() -> Result<Self, String> {
        Self::of("self")
    }

    /// Of a process by its id.
    pub(super) fn of(process: &str) -> Result<Self, String> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).map_err(|e| format!("cannot read {path}: {e}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        Self::parse(&stat, &status).ok_or_else(|| format!("cannot read /proc/{process}"))
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field, the name, may contain anything but ends with the last ')'.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let ticks = times.next()?.ok()? + times.next()?.ok()?;
        let kib = |name: &str| {
            let size = status.lines().find_map(|line| line.strip_prefix(name))?;
            size.trim().strip_suffix(" kB")?.parse().ok()
        };
        let cpu = Duration::from_millis(ticks * 1_000 / TICKS);
        Some(Self { cpu, resident: kib("VmRSS:")?, peak: kib("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_a_name_that_may_be_anything() {
        let stat = "7 (a) b 1) S 1 7 7 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 3 0 100";
        let status = "Name:\tx\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        let usage = Usage::parse(stat, status).expect("a usage");
        let Usage { cpu, resident, peak } = usage;
        assert_eq!((cpu, resident, peak), (Duration::from_millis(1_750), 10_240, 20_480));
        assert!(Usage::parse("7 (x", status).is_none());
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::own().expect("a usage");
        assert!(usage.resident > 0 && usage.peak >= usage.resident);
    }
}
