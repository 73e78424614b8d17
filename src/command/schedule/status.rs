//! `etlsched schedule status`.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::apply::Change;
use super::machine::{self, Machine, Options, Wanted};
use crate::command::{Context, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::output::{self, Format, errors};
use crate::state::Store;
use crate::text::{count, printable};

/// How crontab blocks begin the line that names the zone and the rules that they were made with.
const MADE_WITH: &str = "# Times of ";

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
        let workspace_id = store.as_mut().map(Store::workspace_id).transpose()?;
        let machine = Machine::find(&workspace, &options, workspace_id.as_deref())?;
        let before = machine.target.read()?;
        let installed = machine.target.jobs(&before)?;
        let records = store.as_mut().map(Store::jobs).transpose()?.unwrap_or_default();
        let wanted = machine::wanted(&workspace, &records, &installed, &[])?;
        let after = machine.after(&before, &wanted)?;
        let change = Change::new(&machine, before, after)?;
        print(context, &machine, &wanted, &installed, &change)?;
        let is_right = !change.is_any() && wanted.kept.is_empty();
        Ok(if is_right { exit_code::DONE } else { exit_code::FINDING })
    }
}

fn print(context: &Context, machine: &Machine, wanted: &Wanted, installed: &BTreeSet<String>, change: &Change) -> Result<(), Failure> {
    let diff = change.diff(machine)?;
    let missing: Vec<&String> = change.jobs.iter().filter(|job| !installed.contains(*job)).collect();
    let reasons = reasons(machine, change)?;
    if context.output == Format::Json {
        output::json::print(&json!({
            "success": true,
            "scheduler": machine.target.name(),
            "place": machine.target.place(),
            "in_step": !change.is_any() && wanted.kept.is_empty(),
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
        output::note(&errors::problems(&wanted.problems));
    }
    let place = machine.target.place();
    let mut lines: Vec<String> = reasons;
    lines.extend(missing.iter().map(|job| format!("job {job}: it is not in {place}")));
    lines.extend(wanted.orphans.iter().map(|job| format!("job {job}: it has an entry and is not scheduled any more")));
    lines.extend(wanted.kept.iter().map(|job| format!("job {job}: it has an entry, and its file has errors")));
    if change.is_any() {
        lines.extend(diff.trim_end().lines().map(str::to_owned));
        lines.push("to make it so: etlsched schedule sync".to_owned());
    } else {
        lines.push(match installed.len() {
            0 => format!("no jobs of this workspace are in {place}, and none should be"),
            jobs => format!("{place} holds {}, as it should", count(jobs as u64, "job")),
        });
    }
    if !context.quiet || change.is_any() {
        output::print(&lines.join("\n"));
    }
    if !installed.is_empty() {
        machine.warn();
    }
    Ok(())
}

/// Says what has changed about this machine since the entries were made.
fn reasons(machine: &Machine, change: &Change) -> Result<Vec<String>, Failure> {
    let made_with = |texts: Vec<crate::scheduler::install::Shown>| {
        let text = texts.first().map(|shown| String::from_utf8_lossy(&shown.bytes).into_owned()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(MADE_WITH))?;
        let (zone, rules) = line.split_once(", by ")?;
        Some((printable(zone).into_owned(), printable(rules).into_owned()))
    };
    let before = made_with(machine.target.shown(&change.before)?);
    let after = made_with(machine.target.shown(&change.after)?);
    let (Some((old_zone, old_rules)), Some((zone, rules))) = (before, after) else { return Ok(Vec::new()) };
    let mut reasons = Vec::new();
    if old_zone != zone {
        reasons.push(format!("the entries were made for a clock in {old_zone}, and this machine's is in {zone}"));
    }
    if old_rules != rules {
        reasons.push(format!("the entries were made by the rules of {old_rules}, and this machine has {rules}"));
    }
    Ok(reasons)
}
