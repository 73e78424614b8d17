//! `etlsched status`.

use clap::Args;

use super::{Context, stored};
use crate::error::Failure;
use crate::exit_code;
use crate::output::status::{Overview, RunningRun};
use crate::output::{self, Format, masked, status as view};
use crate::process;
use crate::state::{JobStatus, Lease, Moment, RunRecord, Store};

/// Show what runs now and what is in error
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self {} = self;
        let workspace = context.workspace()?;
        let now = stored::moment();
        let mut overview = match stored::open_existing(&workspace)? {
            Some(mut store) => overview(&mut store, &now)?,
            None => Overview { running: Vec::new(), interrupted: Vec::new(), in_error: Vec::new(), paused: Vec::new(), now: now.at },
        };
        for running in &mut overview.running {
            let masker = stored::masker_of(&workspace, &running.run.job);
            masked::named(&mut running.progress, &["source", "stream"], &masker);
        }
        match context.output {
            Format::Json => output::json::print(&view::json(&overview)),
            Format::Csv => output::print(&view::running_rows(&overview.running, now.at).csv()),
            Format::Table => output::print(&view::text(&overview, workspace.timezone)),
        }
        Ok(exit_code::DONE)
    }
}

fn overview(store: &mut Store, now: &Moment) -> Result<Overview, Failure> {
    let leases = store.leases()?;
    let (interrupted, open): (Vec<_>, Vec<_>) = {
        let dead = store.dead_run_ids(now, &process::liveness)?;
        store.open_runs()?.into_iter().partition(|run| dead.contains(&run.id))
    };
    let jobs = store.jobs()?;
    let of_status = |status| jobs.iter().filter(move |job| job.status_at(now.at) == status).cloned().collect();
    Ok(Overview {
        running: open.into_iter().map(|run| running(run, &leases)).collect(),
        interrupted,
        in_error: of_status(JobStatus::Error),
        paused: of_status(JobStatus::Paused),
        now: now.at,
    })
}

fn running(run: RunRecord, leases: &[Lease]) -> RunningRun {
    let lease = leases.iter().find(|lease| lease.run_id == run.id);
    RunningRun {
        progress: lease.and_then(|lease| serde_json::from_str(&lease.progress).ok()).unwrap_or_default(),
        cancel_requested_by: lease.and_then(|lease| lease.cancel_requested.clone()).map(|(by, _)| by),
        run,
    }
}
