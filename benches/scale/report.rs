//! The figures, each beside what is promised of it.

use std::fmt::Display;

const NAME: usize = 58;
const FIGURE: usize = 34;

/// Prints figures as they come, and remembers what was missed.
#[derive(Default)]
pub(crate) struct Report {
    targets: usize,
    missed: Vec<String>,
}

impl Report {
    /// What the figures that follow are about.
    pub(crate) fn title(&self, title: &str) {
        println!("\n{title}");
    }

    /// A figure of which nothing is promised.
    pub(crate) fn figure(&self, name: &str, figure: impl Display) {
        println!("  {name:<NAME$}{figure}");
    }

    /// A figure beside its target.
    pub(crate) fn target(&mut self, name: &str, figure: impl Display, target: &str, met: bool) {
        let figure = figure.to_string();
        let verdict = if met { "met" } else { "MISSED" };
        let line = format!("  {name:<NAME$}{figure:<FIGURE$}{target}: {verdict}");
        println!("{line}");
        self.targets += 1;
        if !met {
            self.missed.push(line);
        }
    }

    /// What became of all targets together.
    pub(crate) fn end(&self) {
        match self.missed.len() {
            _ if self.targets == 0 => {}
            0 => println!("\nall {} targets that were measured are met", self.targets),
            missed => println!("\n{missed} of {} targets are MISSED", self.targets),
        }
        for line in &self.missed {
            println!("{line}");
        }
    }
}

/// So much more, or less, than before.
pub(crate) fn change(now: f64, before: f64) -> String {
    format!("{:+.1} %", 100.0 * (now / before - 1.0))
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
