//! Entries put into the machine's own scheduler, compared with what stands there, and taken out again.
//!
//! A target reads what is there of ours, says purely what should be there, and applies the difference: it looks again before it writes,
//! and reads back what it wrote. What can't be read is never overwritten.

mod crontab;
mod lock;
mod systemd;
mod tasks;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Rendered;
use crate::process::{Captured, NotCaptured, capture};

pub use crontab::Crontab;
pub use lock::Lock;
pub use systemd::Systemd;
pub use tasks::Tasks;

/// How long a scheduler's program may take: it does next to nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why entries are not, or not surely, as they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotInstalled {
    /// A stable word for scripts.
    pub code: &'static str,
    /// What was attempted, on what, what happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl NotInstalled {
    fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }
}

/// A text as people compare it: what it is called, and the number of its first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is called: `crontab`, or the file's name.
    pub name: String,
    /// The number of its first line within the whole.
    pub line: usize,
    /// Its lines.
    pub bytes: Vec<u8>,
}

/// A scheduler of this machine that takes entries.
pub trait Target: fmt::Debug {
    /// The word of `--scheduler`, which is that of `--format` too.
    fn name(&self) -> &'static str;

    /// Where entries go, in words: `the crontab of etl`.
    fn place(&self) -> String;

    /// Reads what stands there that holds our entries, by name; a crontab is whole.
    ///
    /// # Errors
    /// It can't be read, which is not the same as nothing being there.
    fn read(&self) -> Result<Vec<Rendered>, NotInstalled>;

    /// Returns the jobs that have entries there.
    ///
    /// # Errors
    /// Nobody can say what is ours.
    fn jobs(&self, there: &[Rendered]) -> Result<BTreeSet<String>, NotInstalled>;

    /// Returns what should be there: the entries rendered, and those of the jobs in `kept` as they are. Nothing of either: nothing of ours.
    ///
    /// # Errors
    /// Nobody can say what is ours, or it is more than the scheduler takes.
    fn merged(&self, there: &[Rendered], rendered: &[Rendered], kept: &BTreeSet<String>) -> Result<Vec<Rendered>, NotInstalled>;

    /// Returns our part of it, as people compare it.
    ///
    /// # Errors
    /// Nobody can say what is ours.
    fn shown(&self, there: &[Rendered]) -> Result<Vec<Shown>, NotInstalled>;

    /// Makes `after` of `before`, looks again first, and reads back. Returns what people should know all the same.
    ///
    /// # Errors
    /// Something else stands there now, the scheduler refuses it, or doesn't hold what it was given.
    fn apply(&self, before: &[Rendered], after: &[Rendered]) -> Result<Vec<String>, NotInstalled>;

    /// Returns what keeps installed entries from being started, beside a daemon that doesn't run: a warning and what to do about it, each.
    fn warnings(&self) -> Vec<(String, String)>;

    /// Looks whether that runs which starts entries.
    fn daemon(&self) -> Daemon;

    /// Returns the variables that it gives our entries beside its own, as they stand in it.
    fn environment(&self, there: &[Rendered]) -> Vec<(String, String)>;
}

/// What starts entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemon {
    /// It runs, by this name.
    Runs(String),
    /// It doesn't: in words, and what to do about it.
    Absent(String, String),
    /// It can't be seen, for this reason.
    Unknown(String),
}

/// Runs a program of the scheduler.
fn call(program: &str, arguments: &[&str], input: &[u8]) -> Result<Captured, NotInstalled> {
    capture(program, arguments, input, PATIENCE).map_err(|error| {
        let hint = match (&error, program) {
            (NotCaptured::Absent(_), "crontab") => "install cron (Debian: apt-get install cron), or add --scheduler systemd",
            (NotCaptured::Absent(_), "systemctl") => "this machine has no systemd: add --scheduler crontab",
            (NotCaptured::Absent(_), _) => "install it, or choose another --scheduler",
            (NotCaptured::TimedOut(..), _) => "look what holds it up, then try again",
            (NotCaptured::Failed(..), _) => "see that this user may run it",
        };
        let code = if matches!(error, NotCaptured::Absent(_)) { "no_scheduler" } else { "scheduler_failed" };
        NotInstalled::new(code, format!("running {error}"), hint)
    })
}

/// Returns the words of a program that failed, on one line.
fn words(captured: &Captured) -> String {
    let said: Vec<&str> = captured.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = if said.is_empty() { "it says nothing".to_owned() } else { said.join("; ") };
    format!("{}: {said}", captured.exit)
}
