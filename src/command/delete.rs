//! `etlsched delete`.

use clap::Args;
use serde_json::json;

use super::schedule::OfJob;
use super::{Context, confirm, stored, worker};
use crate::clock;
use crate::engine;
use crate::error::Failure;
use crate::exit_code;
use crate::job::JobId;
use crate::output::{self, Format};
use crate::state::Store;
use crate::text::printable;
use crate::workspace::{NoJob, Workspace};

/// Remove a job's file and its entry in this machine's scheduler; run logs stay
///
/// A pause, an error and the count of failures go too: a job that is made anew under its name begins anew. It is refused while a run of the
/// job goes on. A job whose file is gone already is taken as well.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched delete daily_sales\n  etlsched delete daily_sales --yes")]
pub struct Delete {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

impl Delete {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, yes } = self;
        let workspace = context.workspace()?;
        let id = super::job_id(&workspace, &job)?;
        let file = workspace.job_file(&id);
        // A file that is no valid job can be removed all the same.
        let has_file = file.exists() || file.is_symlink();
        let shown = workspace.shown(&file);
        let mut store = if has_file { None } else { stored::open_existing(&workspace)? };
        // What is stored of a job outlives a file that was removed by hand.
        if !has_file && !is_stored(store.as_mut(), &id)? {
            return Err(super::no_job(&id, NoJob::Unknown(workspace.nearest(id.as_str()))));
        }
        confirm::check(&format!("deleting job {id}"), yes)?;
        if has_file {
            store = stored::open_existing(&workspace)?;
        }
        let by = stored::actor();
        if let Some(store) = &mut store {
            if let Some(record) = store.job(id.as_str())? {
                stored::check_permitted(&workspace, &record, &by)?;
            }
            stored::refuse_while_it_runs(store, id.as_str())?;
        }
        let entry = match OfJob::find(&workspace, store.as_mut(), id.as_str()) {
            Ok(entry) => entry,
            // Who may have no crontab must be able to delete jobs all the same; a block that makes no sense is mended first.
            Err(failure) if failure.code != "spoiled_block" => {
                output::note(&format!("warning: whether job {id} has an entry is unknown: {}", printable(&failure.message)));
                None
            }
            Err(failure) => return Err(failure),
        };
        let place = entry.as_ref().map(OfJob::place);
        let and_entry = place.as_ref().map(|place| format!(" and its entry in {place}")).unwrap_or_default();
        let what = if has_file { shown.display().to_string() } else { format!("the status of job {id}, which has no file") };
        if !yes && !confirm::ask(&format!("delete {what}{and_entry}? Run logs and tables stay."), "nothing was deleted") {
            return Ok(exit_code::FAILED);
        }
        if let Some(store) = &mut store {
            // It may have begun while the question stood.
            stored::refuse_while_it_runs(store, id.as_str())?;
        }
        // The entry first: one that starts a job without a file would fail every time.
        if let Some(entry) = entry {
            entry.remove()?;
        }
        if let Some(store) = store.as_mut().filter(|_| has_file) {
            clear_up(&workspace, store, &id)?;
        }
        engine::forget_note(&workspace, &id);
        if has_file {
            std::fs::remove_file(&file)
                .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("deleting {}: {error}", shown.display())))?;
        }
        if let Some(store) = &mut store {
            store.forget_job(id.as_str(), &by, &what, clock::now())?;
            store.drop_letters_of(id.as_str(), clock::now())?;
        }
        if context.output == Format::Json {
            output::json::print(&json!({"success": true, "id": id.as_str(), "file": shown, "entry_removed_from": place}));
        } else if !context.quiet {
            output::print(&format!("deleted {what}{and_entry}"));
        }
        Ok(exit_code::DONE)
    }
}

fn is_stored(store: Option<&mut Store>, id: &JobId) -> Result<bool, Failure> {
    match store {
        Some(store) => Ok(store.job(id.as_str())?.is_some()),
        None => Ok(false),
    }
}

/// Drops what dead runs of the job left in its destination, since no later run will. A destination that can't be reached keeps no job.
fn clear_up(workspace: &Workspace, store: &mut Store, id: &JobId) -> Result<(), Failure> {
    if let Err(failure) = worker::check_connections(workspace, id) {
        tell_what_stays(id, &failure.message);
        return Ok(());
    }
    let Ok(job) = workspace.job(id) else { return Ok(()) };
    if !job.missing_variables.is_empty() {
        return Ok(());
    }
    if let Err(why) = engine::clear_up(store, &job, &worker::program()?)? {
        tell_what_stays(id, &workspace.masker_for(&job).mask(&why));
    }
    Ok(())
}

fn tell_what_stays(id: &JobId, why: &str) {
    output::note(&format!("warning: whatever failed runs of {id} left in the destination (_etlsched_...) stays there: {}", printable(why)));
}
