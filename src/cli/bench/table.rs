//! The figures as people read them.

use super::{
    figures::Quantiles,
    limits::CONNECTIONS,
    report::{Figures, Report, Run, ServerFigures, TailFigures},
};

/// Width of the column with names.
const NAME: usize = 36;
/// Widths of the other columns, and their heads in two lines.
const COLUMNS: [(usize, &str, &str); 13] = [
    (12, "deliveries", "per s"),
    (9, "of bare", "loop"),
    (10, "events", "per s"),
    (10, "commits", "per s"),
    (11, "arrival", "p50 ms"),
    (9, "", "p90"),
    (9, "", "p99"),
    (9, "", "max"),
    (11, "CPU us per", "delivery"),
    (13, "deliveries", "per CPU s"),
    (10, "CPU of", "server"),
    (9, "CPU of", "bench"),
    (10, "peak MiB", "of server"),
];

/// A report as lines of text.
pub(super) fn table(report: &Report) -> String {
    let Report { version, site, cores, payload_bytes, duration_seconds, runs, run } = report;
    let Run { limits, start, phases } = run;
    let runs = if *runs == 1 { "one run".to_owned() } else { format!("medians of {runs} runs") };
    let mut lines = vec![
        format!(
            "tidings {version}: {site}, {cores} cores, {payload_bytes}-byte payloads, \
             {duration_seconds} s each, {runs}"
        ),
        String::new(),
    ];
    let bare = format!("bare hyper loop, {CONNECTIONS} connections");
    let mut fact = |what: &str, figure: String, unit: &str| {
        lines.push(format!("{what:<NAME$}{figure:>12} {unit}"));
    };
    fact(&bare, whole(limits.requests_per_second), "requests/s");
    if let Some(commits) = limits.commits_per_second {
        fact("synced commits, one row each", whole(commits), "commits/s");
    }
    if let Some(start) = start {
        fact("start to first answer", format!("{:.1}", start.first_answer_ms), "ms");
        fact("idle memory of the server", format!("{:.1}", start.idle_mib), "MiB");
    }
    lines.push(String::new());
    lines.push(line("", COLUMNS.map(|(_, head, _)| head.to_owned())));
    lines.push(line("", COLUMNS.map(|(_, _, head)| head.to_owned())));
    for figures in phases {
        lines.push(row(figures));
        lines.extend(figures.tails.as_ref().map(tails));
    }
    lines.join("\n") + "\n"
}

fn line(name: &str, cells: [String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (width, ..))| format!("{cell:>width$}"));
    format!("{name:<NAME$}{}", cells.collect::<String>())
}

fn row(figures: &Figures) -> String {
    let Quantiles { p50, p90, p99, max } = figures.arrival_ms;
    let server = figures.server.as_ref();
    let of_server = |show: fn(&ServerFigures) -> String| server.map_or_else(unknown, show);
    let cells = [
        whole(figures.deliveries_per_second),
        percent(figures.share_of_bare_loop),
        whole(figures.events_per_second),
        figures.commits_per_second.map_or_else(unknown, whole),
        format!("{p50:.2}"),
        format!("{p90:.2}"),
        format!("{p99:.2}"),
        format!("{max:.1}"),
        of_server(|server| format!("{:.1}", server.cpu_us_per_delivery)),
        of_server(|server| whole(server.deliveries_per_cpu_second)),
        of_server(|server| percent(server.cpu_share)),
        percent(figures.bench_cpu_share),
        of_server(|server| format!("{:.1}", server.peak_mib)),
    ];
    line(&figures.name, cells)
}

fn tails(tails: &TailFigures) -> String {
    let Quantiles { p50, p99, max, .. } = tails.lag_ms;
    let slowed = percent(tails.slowed_by);
    format!(
        "    lag of the tails p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.1} ms; deliveries slowed by {slowed}"
    )
}

/// What stands where a figure is not known.
fn unknown() -> String {
    "-".to_owned()
}

fn percent(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}

/// A number without decimals, with commas.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        let shown = [0.4, 999.0, 1_000.0, 112_345.6, 1_234_567.0].map(whole);
        assert_eq!(shown, ["0", "999", "1,000", "112,346", "1,234,567"]);
    }
}
