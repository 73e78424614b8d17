//! `etlsched show`.

use clap::Args;

use super::{Context, stored, worker};
use crate::error::Failure;
use crate::exit_code;
use crate::job::resolved;
use crate::output::logs::RunView;
use crate::output::show::{self as view, Shown};
use crate::output::{self, Format, masked};
use crate::process;
use crate::state::{RunFilter, SlotTimes};

/// How many of the last runs are shown.
const RUNS_SHOWN: u64 = 10;

/// How many slots to come are shown.
const SLOTS_SHOWN: usize = 5;

/// Show one job: definition, status, next and last runs, cursors
///
/// How far each stream is loaded is asked of the destination, for 5 s at most.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched show sales\n  etlsched show sales --resolved")]
pub struct Show {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Print every setting with the place it comes from, secrets masked
    #[arg(long)]
    pub resolved: bool,
}

impl Show {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, resolved: is_resolved } = self;
        let workspace = context.workspace()?;
        let mut loaded = stored::loaded(&workspace, &job)?;
        if is_resolved {
            let (masker, file) = (workspace.masker_for(&loaded.job), workspace.shown(&loaded.job.file));
            if context.output == Format::Json {
                let settings = resolved::settings(&loaded, workspace.settings(), &file);
                output::json::print(&output::resolved::json(loaded.job.id.as_str(), &settings, &masker));
            } else {
                let lines = resolved::lines(&loaded, workspace.settings(), &file);
                output::print(&masker.mask(&output::resolved::text(&lines, output::table::terminal_width())));
            }
            return Ok(exit_code::DONE);
        }
        let masker = workspace.masker_for(&loaded.job);
        masked::job(&mut loaded.job, &masker);
        let job = &loaded.job;
        let now = stored::moment();
        let slot_now = context.slot_clock().now();
        let (mut record, mut runs, mut dead, mut slots) = (None, Vec::new(), Vec::new(), SlotTimes::new());
        // Without a store nothing was ever loaded.
        let mut targets = Ok(Vec::new());
        if let Some(mut store) = stored::open_existing(&workspace)? {
            let filter = RunFilter { job: Some(job.id.as_str().to_owned()), ..RunFilter::default() };
            record = store.job(job.id.as_str())?;
            runs = store.runs(&filter, 1, RUNS_SHOWN)?.runs;
            slots = store.slot_times(&runs)?;
            dead = store.dead_run_ids(&now, &process::liveness)?;
            targets = worker::targets(&workspace, &job.id, &store.workspace_id()?);
        }
        runs.iter_mut().for_each(|run| masked::run(run, &masker));
        targets.iter_mut().flatten().for_each(|record| masked::target(record, &masker));
        let views: Vec<RunView<'_>> = runs.iter().map(|run| RunView { run, is_dead: dead.contains(&run.id), now: now.at }).collect();
        let status = stored::status(job, record.as_ref(), slot_now);
        let shown = Shown {
            job,
            file: workspace.shown(&job.file),
            status,
            next: &stored::next_slots(job, status, record.as_ref(), slot_now, SLOTS_SHOWN),
            record: record.as_ref(),
            runs: &views,
            slots: &slots,
            targets: &targets,
            guarantees: job.destination.kind.promise(),
        };
        match context.output {
            Format::Json => output::json::print(&view::json(&shown, &masker)),
            Format::Csv => output::print(&view::sources(&shown, &masker).csv()),
            Format::Table => output::print(&view::text(&shown, &masker, workspace.timezone)),
        }
        Ok(exit_code::DONE)
    }
}
