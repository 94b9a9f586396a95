//! The figures as people read them.

use std::fmt::Write;

use super::{
    figures::Quantiles,
    limits::CONNECTIONS,
    report::{Figures, Report, Run},
};

/// Width of the column with names.
const NAME: usize = 34;

/// A report as lines of text.
pub(super) fn table(report: &Report) -> String {
    let Report { version, site, cores, payload_bytes, duration_seconds, runs, run } = report;
    let Run { limits, start, phases } = run;
    let mut text =
        format!("tidings {version}: {site}, {cores} cores, {payload_bytes}-byte payloads, ");
    let plural = if *runs == 1 { "one run" } else { &format!("medians of {runs} runs") };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{duration_seconds} s each, {plural}\n");
    let bare = format!("bare hyper loop, {CONNECTIONS} connections");
    let _ = writeln!(text, "{bare:<NAME$}{:>12} requests/s", whole(limits.requests_per_second));
    if let Some(commits) = limits.commits_per_second {
        let bare = "synced commits, one row each";
        let _ = writeln!(text, "{bare:<NAME$}{:>12} commits/s", whole(commits));
    }
    if let Some(start) = start {
        let _ =
            writeln!(text, "{:<NAME$}{:>12.1} ms", "start to first answer", start.first_answer_ms);
        let _ = writeln!(text, "{:<NAME$}{:>12.1} MiB", "idle memory", start.idle_mib);
    }
    let _ = writeln!(
        text,
        "\n{:<NAME$}{:>12}{:>9}{:>10}{:>10}  {:>8}{:>8}{:>8}{:>8}  {:>9}{:>10}{:>8}{:>7}{:>7}",
        "",
        "deliveries",
        "of bare",
        "events",
        "commits",
        "",
        "arrival",
        "ms",
        "",
        "CPU us",
        "deliveries",
        "server",
        "bench",
        "peak"
    );
    let _ = writeln!(
        text,
        "{:<NAME$}{:>12}{:>9}{:>10}{:>10}  {:>8}{:>8}{:>8}{:>8}  {:>9}{:>10}{:>8}{:>7}{:>7}",
        "",
        "per s",
        "loop",
        "per s",
        "per s",
        "p50",
        "p90",
        "p99",
        "max",
        "/delivery",
        "per CPU s",
        "cores",
        "cores",
        "MiB"
    );
    for figures in phases {
        row(&mut text, figures);
    }
    text
}

fn row(text: &mut String, figures: &Figures) {
    let Quantiles { p50, p90, p99, max } = figures.arrival_ms;
    let commits = figures.commits_per_second.map_or_else(|| "-".to_owned(), whole);
    let _ = write!(
        text,
        "{:<NAME$}{:>12}{:>8.1}%{:>10}{commits:>10}  {p50:>8.2}{p90:>8.2}{p99:>8.2}{max:>8.1}  ",
        figures.name,
        whole(figures.deliveries_per_second),
        100.0 * figures.share_of_bare_loop,
        whole(figures.events_per_second),
    );
    let bench = figures.bench_cpu_cores;
    let _ = match &figures.server {
        Some(server) => writeln!(
            text,
            "{:>9.1}{:>10}{:>8.2}{bench:>7.2}{:>7.1}",
            server.cpu_us_per_delivery,
            whole(server.deliveries_per_cpu_second),
            server.cpu_cores,
            server.peak_mib
        ),
        None => writeln!(text, "{:>9}{:>10}{:>8}{bench:>7.2}{:>7}", "-", "-", "-", "-"),
    };
    if let Some(tails) = &figures.tails {
        let Quantiles { p50, p99, max, .. } = tails.lag_ms;
        let _ = writeln!(
            text,
            "    lag of the tails p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.1} ms; deliveries \
             slowed by {:.1}%",
            100.0 * tails.slowed_by
        );
    }
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
