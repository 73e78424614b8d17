//! What `logs --follow` does: asks the store again and again, and prints what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use chrono::TimeDelta;

use super::{Context, stored};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::follow::{self as view, Columns};
use crate::output::logs::{self, RunView};
use crate::output::{self, Format, masked, table};
use crate::process::{self, Stop, StopSignal, watch_signals};
use crate::secret::Masker;
use crate::state::{RunFilter, RunRecord, Store};
use crate::workspace::Workspace;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs are looked for that began in the last hour: hosts' clocks differ by less, and what was open before is known by its id.
const HORIZON: TimeDelta = TimeDelta::hours(1);

/// The widest column of jobs: ids may have 63 characters and seldom do.
const JOB_WIDTH_MAX: usize = 24;

/// Follows the run log.
pub(super) struct Follower<'a> {
    context: &'a Context,
    workspace: &'a Workspace,
    ended: Receiver<StopSignal>,
    columns: Columns,
    maskers: BTreeMap<String, Masker>,
    /// How many lines of the execution log of a run were printed.
    lines: BTreeMap<String, u64>,
}

/// What is known of the log between two questions.
#[derive(Default)]
struct Known {
    open: BTreeSet<String>,
    closed: BTreeSet<String>,
}

impl<'a> Follower<'a> {
    /// Prepares to follow all jobs, or one.
    ///
    /// # Errors
    /// Signals can't be heard.
    pub(super) fn new(context: &'a Context, workspace: &'a Workspace, job: Option<&str>) -> Result<Self, Failure> {
        let stop = Stop::new();
        watch_signals(&stop).map_err(|error| Failure::internal(format!("signals can't be heard: {error}")))?;
        let (sender, ended) = mpsc::channel();
        stop.listen(move |signal| {
            let _ = sender.send(signal);
        });
        let longest = workspace.job_ids().0.iter().map(|id| id.as_str().len()).max().unwrap_or(0);
        let width = job.is_none().then(|| longest.clamp("Job".len(), JOB_WIDTH_MAX));
        let columns = Columns::new(width, workspace.timezone, table::terminal_width());
        Ok(Self { context, workspace, ended, columns, maskers: BTreeMap::new(), lines: BTreeMap::new() })
    }

    /// Prints the last runs that ended, and then each that ends, until somebody has seen enough.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn runs(&mut self, filter: &RunFilter, last: u64) -> Result<u8, Failure> {
        match self.context.output {
            Format::Table if !self.context.quiet => output::print(&self.columns.header(clock::now())),
            Format::Csv => output::print(&logs::csv(&[]).csv()),
            _ => {}
        }
        let (mut store, mut known) = match stored::open_existing(self.workspace)? {
            Some(mut store) => {
                let known = self.begin(&mut store, filter, last)?;
                (store, known)
            }
            // Nobody ran anything yet: whatever comes is new.
            None => match self.wait_for_store()? {
                Some(store) => (store, Known::default()),
                None => return Ok(exit_code::DONE),
            },
        };
        loop {
            self.look(&mut store, filter, &mut known)?;
            if self.is_over() {
                return Ok(exit_code::DONE);
            }
        }
    }

    /// Returns the store as soon as there is one; `None` where somebody has seen enough before.
    fn wait_for_store(&self) -> Result<Option<Store>, Failure> {
        while !self.is_over() {
            if let Some(store) = stored::open_existing(self.workspace)? {
                return Ok(Some(store));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, store: &mut Store, filter: &RunFilter, last: u64) -> Result<Known, Failure> {
        let open = store.open_run_ids(filter.job.as_deref())?.into_iter().collect();
        let closed = store.closed_since(filter.job.as_deref(), clock::now() - HORIZON)?;
        let mut runs = store.runs(filter, 1, last)?.runs;
        // Those that go on are printed when they end.
        runs.retain(|run| !run.status.is_open());
        runs.reverse();
        let printed: Vec<String> = runs.iter().map(|run| run.id.clone()).collect();
        self.print_runs(runs);
        Ok(Known { open, closed: closed.into_iter().chain(printed).collect() })
    }

    /// Prints what is new since the last look.
    fn look(&mut self, store: &mut Store, filter: &RunFilter, known: &mut Known) -> Result<(), Failure> {
        let job = filter.job.as_deref();
        let closed: BTreeSet<String> = store.closed_since(job, clock::now() - HORIZON)?.into_iter().collect();
        let open: BTreeSet<String> = store.open_run_ids(job)?.into_iter().collect();
        let ended = known.open.difference(&open).chain(&closed).filter(|id| !known.closed.contains(*id));
        let ended: BTreeSet<String> = ended.cloned().collect();
        if let Some(job) = job {
            for id in ended.iter().chain(&open) {
                self.print_lines(store, job, id, true)?;
            }
        }
        let ended: Vec<String> = ended.into_iter().collect();
        let mut runs = store.runs_named(&ended)?;
        runs.retain(|run| !run.status.is_open());
        // A run that ended between the two questions is found again by the next, and is not printed again.
        known.closed = closed.into_iter().chain(runs.iter().map(|run| run.id.clone())).collect();
        known.open = open;
        self.lines.retain(|id, _| known.open.contains(id));
        runs.retain(|run| filter.status.is_none_or(|status| status == run.status));
        runs.sort_by_key(|run| run.completed_at);
        self.print_runs(runs);
        Ok(())
    }

    /// Prints the execution log of one run as it grows, and how the run ended.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn one_run(&mut self, id: &str) -> Result<u8, Failure> {
        let Some(mut store) = stored::open_existing(self.workspace)? else { return Ok(exit_code::DONE) };
        loop {
            // Asked before the lines are: those of a run that has ended are all there.
            let dead = store.dead_run_ids(&stored::moment(), &process::liveness)?;
            let Some(run) = store.runs_named(&[id.to_owned()])?.pop() else { return Ok(exit_code::DONE) };
            self.print_lines(&mut store, &run.job, id, false)?;
            if !run.status.is_open() || dead.contains(&run.id) {
                self.print_runs(vec![run]);
                return Ok(exit_code::DONE);
            }
            if self.is_over() {
                return Ok(exit_code::DONE);
            }
        }
    }

    fn print_lines(&mut self, store: &mut Store, job: &str, id: &str, is_one_of_many: bool) -> Result<(), Failure> {
        let known = self.lines.get(id).copied().unwrap_or(0);
        let mut events = store.events_behind(id, known)?;
        self.lines.insert(id.to_owned(), known + events.len() as u64);
        let zone = self.workspace.timezone;
        let masker = self.masker(job);
        events.iter_mut().for_each(|event| masked::event(event, masker));
        for event in &events {
            match self.context.output {
                Format::Json => output::print(&view::event_object(job, id, event).to_string()),
                Format::Csv => {}
                Format::Table => output::print(&view::event_line(is_one_of_many.then_some(id), event, zone)),
            }
        }
        Ok(())
    }

    fn print_runs(&mut self, mut runs: Vec<RunRecord>) {
        for run in &mut runs {
            let masker = self.masker(&run.job);
            masked::run(run, masker);
            let view = RunView { run, is_dead: run.status.is_open(), now: clock::now() };
            match self.context.output {
                Format::Json => output::print(&logs::object(&view).to_string()),
                Format::Csv => output::print(logs::csv(&[view]).csv().split_once('\n').map_or("", |(_, row)| row)),
                Format::Table => output::print(&self.columns.line(&view)),
            }
        }
    }

    fn masker(&mut self, job: &str) -> &Masker {
        let workspace = self.workspace;
        self.maskers.entry(job.to_owned()).or_insert_with_key(|job| stored::masker_of(workspace, job))
    }

    /// Waits for a moment; returns whether somebody has seen enough, or nobody looks any more.
    fn is_over(&self) -> bool {
        match self.ended.recv_timeout(PAUSE) {
            Ok(_) => true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => output::is_unread(),
        }
    }
}
