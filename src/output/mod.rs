//! The only folder that prints. Results go to stdout, everything else to stderr. Decides nothing.

pub mod audit;
pub mod check;
pub mod diff;
pub mod doctor;
pub mod errors;
pub mod failure_block;
pub mod findings;
pub mod follow;
pub mod json;
pub mod list;
pub mod log_events;
pub mod log_file;
pub mod log_line;
pub mod logs;
pub mod masked;
pub mod measure;
pub mod metrics;
pub mod nagios;
pub mod next;
pub mod notify;
pub mod plan;
pub mod post;
pub mod progress;
pub mod prove;
pub mod report;
pub mod resolved;
pub mod run;
pub mod run_result;
pub mod screen;
pub mod show;
pub mod slots;
pub mod spark;
pub mod stats;
pub mod stats_data;
pub mod status;
pub mod table;
pub mod targets;
pub mod told;
pub mod wrap;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

/// How listings and results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One object, stable for scripts
    Json,
    /// Comma-separated values, a header first
    Csv,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// At a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Yes
    Always,
    /// No
    Never,
}

static IS_COLORED: AtomicBool = AtomicBool::new(false);

/// Settles once whether this process colours its output (<https://no-color.org>).
pub fn set_color(color: Color) {
    let is_colored = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !is_refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && io::stdout().is_terminal()
        }
    };
    IS_COLORED.store(is_colored, Ordering::Relaxed);
}

/// Whether this process colours its output.
pub fn is_colored() -> bool {
    IS_COLORED.load(Ordering::Relaxed)
}

/// How a piece of a line is set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something is wrong.
    Red,
    /// Something may go wrong.
    Yellow,
    /// For information.
    Cyan,
    /// A heading.
    Bold,
    /// Beside the matter.
    Faint,
}

/// Returns a text in a tone, as it is where this process doesn't colour.
pub fn toned(text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Red => "31",
        Tone::Yellow => "33",
        Tone::Cyan => "36",
        Tone::Bold => "1",
        Tone::Faint => "2",
    };
    if is_colored() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Whether a person is likely to look: stdout or stderr is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Returns a text in lines that the terminal on standard output has room for, where there is one; what goes on stands `hang` further in.
pub fn at_terminal(text: &str, hang: usize) -> String {
    wrap::fitted(text, hang, table::terminal_width())
}

static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Whether a result could not be written, which a reader that has gone (`| head`) is not.
pub fn has_failed() -> bool {
    HAS_FAILED.load(Ordering::Relaxed)
}

static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Whether whoever read the results has gone: what goes on by itself may as well end.
pub fn is_unread() -> bool {
    IS_UNREAD.load(Ordering::Relaxed) || has_failed() || crate::process::has_no_reader(&io::stdout())
}

/// Writes a result to stdout with a line end. A reader that has gone is no error, and the command goes on to its own exit code; any
/// other failure is told once.
pub fn print(text: &str) {
    print_bytes(text.as_bytes());
    if !text.ends_with('\n') {
        print_bytes(b"\n");
    }
}

/// As [`print`], the bytes as they are.
pub fn print_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let result = stdout.write_all(bytes);
    let Err(error) = result.and_then(|()| stdout.flush()) else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        IS_UNREAD.store(true, Ordering::Relaxed);
    } else if !HAS_FAILED.swap(true, Ordering::Relaxed) {
        note(&format!("error: the output could not be written: {error}"));
    }
}

/// Writes a line for people to stderr. That nobody reads it is no error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// As [`note`], in lines that the terminal on standard error has room for, where there is one.
pub fn note_fitted(text: &str) {
    note(&wrap::fitted(text, 2, table::note_width()));
}
