//! What the demo prints: on standard output, in colours only on a terminal.

use std::io::{self, IsTerminal, Write};

/// How a piece of text stands out.
#[derive(Clone, Copy)]
pub(super) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
}

/// Standard output.
pub(super) struct Output {
    colours: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        // https://no-color.org
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: !unwanted && io::stdout().is_terminal() }
    }

    /// Prints a line.
    pub(super) fn line(&self, text: &str) -> Result<(), String> {
        writeln!(io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
    }

    /// Prints the heading of a step: what happens, and why it matters.
    pub(super) fn step(&self, number: u32, title: &str, why: &str) -> Result<(), String> {
        self.line("")?;
        self.line(&format!("{} {why}", self.paint(&format!("{number} {title}:"), Style::Bold)))
    }

    /// Prints whether something holds.
    pub(super) fn check(&self, holds: bool, what: &str) -> Result<(), String> {
        let (mark, style) = if holds { ("yes", Style::Good) } else { (" NO", Style::Bad) };
        self.line(&format!("  {}  {what}", self.paint(mark, style)))
    }

    /// Text that stands out, where there are colours.
    pub(super) fn paint(&self, text: &str, style: Style) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Good => 32,
            Style::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
