//! From what stands in the scheduler to what should: shown, confirmed, done, read back, told. No command itself.

use std::collections::BTreeSet;

use serde_json::json;

use super::machine::Machine;
use crate::command::{Context, confirm};
use crate::error::Failure;
use crate::exit_code;
use crate::output::diff::{Side, unified};
use crate::output::{self, Format};
use crate::scheduler::Rendered;
use crate::scheduler::install::Shown;
use crate::text::count;

/// A change of what stands in the scheduler.
#[derive(Debug)]
pub struct Change {
    /// As it is.
    pub before: Vec<Rendered>,
    /// As it should be.
    pub after: Vec<Rendered>,
    /// The jobs that have entries after it.
    pub jobs: BTreeSet<String>,
    /// The jobs that have entries before it, and none after it.
    pub removed: BTreeSet<String>,
}

/// How a change is made.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Only shown.
    pub is_dry: bool,
    /// Not asked.
    pub is_yes: bool,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Done,
    /// Everything is as it should be.
    Nothing,
    /// Somebody said no.
    Refused,
    /// It was only shown.
    Shown,
}

impl Change {
    /// Compares what is there with what should be.
    ///
    /// # Errors
    /// Nobody can say what is ours.
    pub fn new(machine: &Machine, before: Vec<Rendered>, after: Vec<Rendered>) -> Result<Self, Failure> {
        let had = machine.target.jobs(&before)?;
        let jobs = machine.target.jobs(&after)?;
        let removed = had.difference(&jobs).cloned().collect();
        Ok(Self { before, after, jobs, removed })
    }

    /// Whether anything would be different.
    pub fn is_any(&self) -> bool {
        self.before != self.after
    }

    /// Returns the difference for people, text by text.
    ///
    /// # Errors
    /// Nobody can say what is ours.
    pub fn diff(&self, machine: &Machine) -> Result<String, Failure> {
        let (before, after) = (machine.target.shown(&self.before)?, machine.target.shown(&self.after)?);
        let names: BTreeSet<&str> = before.iter().chain(&after).map(|shown| shown.name.as_str()).collect();
        let side = |texts: &[Shown], name: &str| texts.iter().position(|shown| shown.name == name);
        let of = |texts: &'_ [Shown], at: Option<usize>| at.map(|at| (texts[at].line, texts[at].bytes.clone())).unwrap_or_default();
        let mut text = String::new();
        for name in names {
            let (old, new) = (of(&before, side(&before, name)), of(&after, side(&after, name)));
            text.push_str(&unified(name, Side { line: old.0, bytes: &old.1 }, Side { line: new.0, bytes: &new.1 }));
        }
        Ok(text)
    }
}

/// Shows a change, asks, lets `first` do what comes before it, and makes it.
///
/// # Errors
/// What keeps it from being made.
pub fn apply(
    context: &Context,
    machine: &Machine,
    change: &Change,
    manner: Manner,
    first: impl FnOnce() -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let Manner { is_dry, is_yes } = manner;
    if !change.is_any() {
        return Ok(Outcome::Nothing);
    }
    let diff = change.diff(machine)?;
    let diff = diff.trim_end();
    if is_dry {
        if context.output != Format::Json {
            output::print(diff);
        }
        return Ok(Outcome::Shown);
    }
    if !context.quiet || !is_yes {
        output::note(diff);
    }
    if !is_yes && !confirm::ask(&format!("change {}?", machine.target.place()), "nothing was changed") {
        return Ok(Outcome::Refused);
    }
    first()?;
    for note in machine.target.apply(&change.before, &change.after)? {
        output::note(&format!("note: {note}"));
    }
    Ok(Outcome::Done)
}

/// Prints what became of a change; returns the exit code.
///
/// # Errors
/// Nobody can say what is ours.
pub fn tell(context: &Context, machine: &Machine, change: &Change, outcome: Outcome, left_out: &[String]) -> Result<u8, Failure> {
    let Change { jobs, removed, .. } = change;
    if outcome == Outcome::Refused {
        return Ok(exit_code::FAILED);
    }
    if context.output == Format::Json {
        output::json::print(&json!({
            "success": true,
            "scheduler": machine.target.name(),
            "place": machine.target.place(),
            "changed": outcome == Outcome::Done,
            "dry_run": outcome == Outcome::Shown,
            "jobs": jobs,
            "removed": removed,
            "left_out": left_out,
            "diff": change.diff(machine)?,
        }));
        return Ok(exit_code::DONE);
    }
    if !context.quiet {
        output::print(&sentence(&machine.target.place(), jobs.len() as u64, removed.len() as u64, outcome));
    }
    Ok(exit_code::DONE)
}

fn sentence(place: &str, jobs: u64, removed: u64, outcome: Outcome) -> String {
    let (jobs, removed_jobs) = (count(jobs, "job"), count(removed, "job"));
    match (outcome, jobs.as_str(), removed) {
        (Outcome::Nothing, "0 jobs", _) => format!("no jobs of this workspace are in {place}"),
        (Outcome::Nothing, ..) => format!("{jobs} already in {place}, nothing to change"),
        (Outcome::Shown, "0 jobs", _) => format!("would remove {removed_jobs} from {place}; nothing was changed"),
        (Outcome::Shown, _, 0) => format!("would install {jobs} in {place}; nothing was changed"),
        (Outcome::Shown, ..) => format!("would install {jobs} in {place} and remove {removed}; nothing was changed"),
        (_, "0 jobs", _) => format!("removed {removed_jobs} from {place}"),
        (_, _, 0) => format!("installed {jobs} in {place}"),
        _ => format!("installed {jobs} in {place}, removed {removed}"),
    }
}
