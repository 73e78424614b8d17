//! `etlsched schedule remove`, and taking out the entries of one job.

use std::collections::BTreeSet;

use clap::Args;

use super::apply::{self, Change, Manner};
use super::machine::{Choice, Confirmed, Machine, Options};
use crate::clock;
use crate::command::{Context, confirm, stored};
use crate::error::Failure;
use crate::scheduler::Rendered;
use crate::state::Store;
use crate::workspace::Workspace;

/// Take the jobs out of this machine's scheduler
///
/// Everything else that stands there stays as it is, to the byte. Jobs, run logs and tables stay.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched schedule remove --dry-run\n  etlsched schedule remove --yes")]
pub struct Remove {
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub confirmed: Confirmed,
}

impl Remove {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { choice, confirmed: Confirmed { dry_run: is_dry, yes: is_yes } } = self;
        confirm::check("changing schedules", is_yes || is_dry)?;
        let workspace = context.workspace()?;
        let mut store = stored::open_existing(&workspace)?;
        let machine = of_store(&workspace, choice, store.as_mut())?;
        let _lock = if is_dry { None } else { Some(machine.lock()?) };
        let before = machine.target.read()?;
        let after = machine.target.merged(&before, &[], &BTreeSet::new())?;
        let change = Change::new(&machine, before, after)?;
        let outcome = apply::apply(context, &machine, &change, Manner { is_dry, is_yes }, || note(store.as_mut(), &machine, &change))?;
        apply::tell(context, &machine, &change, outcome, &[])
    }
}

/// The entries of one job, to be taken out.
#[derive(Debug)]
pub struct OfJob {
    machine: Machine,
    before: Vec<Rendered>,
    job: String,
}

impl OfJob {
    /// Finds the entries of a job in the usual scheduler of this machine; `None` where it has none.
    ///
    /// # Errors
    /// What stands there can't be read, or nobody can say what is ours.
    pub fn find(workspace: &Workspace, store: Option<&mut Store>, job: &str) -> Result<Option<Self>, Failure> {
        // Without a store nothing was ever installed.
        let Some(store) = store else { return Ok(None) };
        let machine = match of_store(workspace, Choice { scheduler: None, system: false }, Some(store)) {
            Ok(machine) => machine,
            Err(failure) if failure.code == "no_scheduler" => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let before = machine.target.read()?;
        let is_there = machine.target.jobs(&before)?.contains(job);
        Ok(is_there.then(|| Self { machine, before, job: job.to_owned() }))
    }

    /// Where they are, in words.
    pub fn place(&self) -> String {
        self.machine.target.place()
    }

    /// Takes them out; the entries of other jobs stay as they are.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn remove(self) -> Result<(), Failure> {
        let Self { machine, before, job } = self;
        let _lock = machine.lock()?;
        let mut kept = machine.target.jobs(&before)?;
        kept.remove(&job);
        let after = machine.target.merged(&before, &[], &kept)?;
        machine.target.apply(&before, &after)?;
        Ok(())
    }
}

/// To take entries out, neither the host's zone nor the program matter; both may be unknown by now.
fn of_store(workspace: &Workspace, choice: Choice, store: Option<&mut Store>) -> Result<Machine, Failure> {
    let workspace_id = store.map(Store::workspace_id).transpose()?;
    let options = Options { choice, host_zone: Some("UTC".to_owned()), program: None };
    Machine::find(workspace, &options, workspace_id.as_deref())
}

fn note(store: Option<&mut Store>, machine: &Machine, change: &Change) -> Result<(), Failure> {
    let Some(store) = store else { return Ok(()) };
    let removed: Vec<&str> = change.removed.iter().map(String::as_str).collect();
    Ok(store.note_all(&stored::actor(), "schedule remove", &removed, Some(&machine.target.place()), clock::now())?)
}
