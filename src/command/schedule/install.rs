//! `etlsched schedule install` and what it shares with `sync`.

use clap::Args;

use super::apply::{self, Change, Manner, Outcome};
use super::machine::{self, Confirmed, Machine, Options, Wanted};
use crate::clock;
use crate::command::{Context, confirm, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::output::{self, Format, errors};
use crate::state::{Attention, Store};
use crate::workspace::Workspace;

/// Put the jobs into this machine's scheduler
///
/// Shows the difference, asks, writes, and reads back what it wrote. Only what is etlsched's own is ever changed: in a crontab the block
/// between its markers. Jobs that run by hand only and inactive ones are left out; entries that are there stay, whatever their jobs' status.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched schedule install --dry-run\n  etlsched schedule install --yes\n  etlsched schedule install daily_sales --scheduler systemd"
)]
pub struct Install {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    pub confirmed: Confirmed,
}

impl Install {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs, options, confirmed } = self;
        put(context, &jobs, &options, confirmed, Orphans::Stay)
    }
}

/// What becomes of entries whose jobs are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// They stay as they are.
    Stay,
    /// They go.
    Go,
}

/// Puts entries into the scheduler; returns the exit code.
///
/// # Errors
/// What keeps it from being done.
pub fn put(context: &Context, names: &[String], options: &Options, confirmed: Confirmed, orphans: Orphans) -> Result<u8, Failure> {
    let Confirmed { dry_run: is_dry, yes: is_yes } = confirmed;
    confirm::check("changing schedules", is_yes || is_dry)?;
    let workspace = context.workspace()?;
    // Only looked at, a workspace gets no store; its id is not known before there is one.
    let mut store = if is_dry { stored::open_existing(&workspace)? } else { Some(stored::open(&workspace)?) };
    let workspace_id = store.as_mut().map(Store::workspace_id).transpose()?;
    let machine = Machine::find(&workspace, options, workspace_id.as_deref())?;
    let _lock = if is_dry { None } else { Some(machine.lock()?) };
    let before = machine.target.read()?;
    let records = store.as_mut().map(Store::jobs).transpose()?.unwrap_or_default();
    let mut wanted = machine::wanted(&workspace, &records, &machine.target.jobs(&before)?, names)?;
    if orphans == Orphans::Stay {
        wanted.kept.append(&mut wanted.orphans);
    }
    tell_left_out(context, &wanted);
    let after = machine.after(&before, &wanted)?;
    let change = Change::new(&machine, before, after)?;
    let outcome = apply::apply(context, &machine, &change, Manner { is_dry, is_yes }, || match &mut store {
        Some(store) => register(context, store, &workspace, &machine, &wanted, &change, orphans),
        None => Ok(()),
    })?;
    let code = apply::tell(context, &machine, &change, outcome, &wanted.left_out)?;
    if outcome != Outcome::Refused && !change.jobs.is_empty() && !context.quiet {
        machine.warn();
    }
    Ok(if code == exit_code::DONE && machine::has_errors(&wanted.problems) { exit_code::PARTLY_FAILED } else { code })
}

fn tell_left_out(context: &Context, wanted: &Wanted) {
    if machine::has_errors(&wanted.problems) {
        errors::tell(&wanted.problems);
        output::note("jobs whose files have errors keep the entries that they have");
    }
    if !context.quiet && context.output != Format::Json {
        for line in &wanted.left_out {
            output::note(line);
        }
    }
}

/// Makes the jobs known before anything can start them: from now on their slots count.
fn register(
    context: &Context,
    store: &mut Store,
    workspace: &Workspace,
    machine: &Machine,
    wanted: &Wanted,
    change: &Change,
    orphans: Orphans,
) -> Result<(), Failure> {
    let action = match orphans {
        Orphans::Stay => "schedule install",
        Orphans::Go => "schedule sync",
    };
    let (by, now) = (stored::actor(), clock::now());
    for job in &wanted.jobs {
        // Somebody may have registered it while the question stood.
        let record = store.job(job.id.as_str())?;
        stored::check_startable(workspace, job, record.as_ref(), &by)?;
    }
    for job in &wanted.jobs {
        let attention = if job.is_active { Attention::Active } else { Attention::Inactive };
        store.notice_job(&stored::new_job(job, &by), attention, context.slot_clock().now())?;
    }
    let place = machine.target.place();
    let jobs: Vec<&str> = wanted.jobs.iter().map(|job| job.id.as_str()).collect();
    store.note_all(&by, action, &jobs, Some(&place), now)?;
    let removed: Vec<&str> = change.removed.iter().map(String::as_str).collect();
    store.note_all(&by, "schedule remove", &removed, Some(&place), now)?;
    Ok(())
}
