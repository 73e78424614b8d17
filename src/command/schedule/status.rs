//! `etlsched schedule status`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::machine::{self, Options};
use super::standing::Standing;
use crate::command::{Context, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::output::table::{Align, Rows};
use crate::output::{self, Format, errors};
use crate::text::count;

/// Show whether this machine's scheduler holds the jobs as they are
///
/// Prints what `sync` would change, line by line, also where the zone of this machine or its time zone rules have changed since; the exit
/// code is 10 then.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched schedule status\n  etlsched schedule status --output json")]
pub struct Status {
    #[command(flatten)]
    pub options: Options,
}

impl Status {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { options } = self;
        let workspace = context.workspace()?;
        let mut store = stored::open_existing(&workspace)?;
        let standing = Standing::find(&workspace, &options, store.as_mut())?;
        print(context, &standing)?;
        Ok(if standing.is_right() { exit_code::DONE } else { exit_code::FINDING })
    }
}

fn print(context: &Context, standing: &Standing) -> Result<(), Failure> {
    let Standing { machine, wanted, installed, change } = standing;
    let diff = change.diff(machine)?;
    let missing: Vec<&String> = change.jobs.iter().filter(|job| !installed.contains(*job)).collect();
    let reasons = standing.reasons()?;
    if context.output == Format::Json {
        output::json::print(&json!({
            "success": true,
            "scheduler": machine.target.name(),
            "place": machine.target.place(),
            "in_step": standing.is_right(),
            "jobs": installed,
            "missing": missing,
            "orphans": wanted.orphans,
            "broken": wanted.kept,
            "reasons": reasons,
            "left_out": wanted.left_out,
            "diff": diff,
        }));
        return Ok(());
    }
    if machine::has_errors(&wanted.problems) {
        errors::tell(&wanted.problems);
    }
    if context.output == Format::Csv {
        output::print(&csv(standing, &missing).csv());
        return Ok(());
    }
    let place = machine.target.place();
    // Entries stay as they are, however long their lines: they may be compared and copied.
    let told = |line: String| output::at_terminal(&line, 2);
    let mut lines: Vec<String> = reasons.into_iter().map(told).collect();
    lines.extend(missing.iter().map(|job| told(format!("job {job}: it is not in {place}"))));
    lines.extend(wanted.orphans.iter().map(|job| told(format!("job {job}: it has an entry and is not scheduled any more"))));
    lines.extend(wanted.kept.iter().map(|job| told(format!("job {job}: it has an entry, and its file has errors"))));
    if change.is_any() {
        lines.extend(diff.trim_end().lines().map(str::to_owned));
        lines.push("to make it so: etlsched schedule sync".to_owned());
    } else {
        lines.push(told(match installed.len() {
            0 => format!("no jobs of this workspace are in {place}, and none should be"),
            jobs => format!("{place} holds {}, as it should", count(jobs as u64, "job")),
        }));
    }
    if !context.quiet || change.is_any() {
        output::print(&lines.join("\n"));
    }
    if !installed.is_empty() {
        machine.warn();
    }
    Ok(())
}

/// Returns the jobs that have entries, or should have, as rows for scripts; `in_step` says of all together whether they stand there as they
/// should.
fn csv(standing: &Standing, missing: &[&String]) -> Rows {
    let Standing { machine, wanted, installed, change: _ } = standing;
    let mut states: BTreeMap<&str, &str> = installed.iter().map(|job| (job.as_str(), "installed")).collect();
    states.extend(missing.iter().map(|job| (job.as_str(), "missing")));
    states.extend(wanted.orphans.iter().map(|job| (job.as_str(), "orphan")));
    states.extend(wanted.kept.iter().map(|job| (job.as_str(), "broken")));
    let (scheduler, place) = (machine.target.name().to_owned(), machine.target.place());
    let mut rows = Rows::new(["job", "state", "scheduler", "place", "in_step"].map(|name| (name, Align::Left)));
    for (job, state) in states {
        rows.push(vec![job.to_owned(), state.to_owned(), scheduler.clone(), place.clone(), standing.is_right().to_string()]);
    }
    rows
}
