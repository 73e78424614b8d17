//! `etlsched status`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;

use super::{Context, examined, stored};
use crate::clock;
use crate::error::Failure;
use crate::exit_code;
use crate::output::screen::Screen;
use crate::output::status::{Overview, RunningRun};
use crate::output::{self, Format, errors, masked, measure, status as view, table};
use crate::process::{self, Stop, StopSignal};
use crate::state::{JobStatus, Lease, Moment, RunRecord, Store};
use crate::workspace::{Remembered, Workspace};
use crate::zone::Zone;

/// A terminal that was made larger or smaller is drawn anew after so long.
const RESIZE_SEEN_AFTER: Duration = Duration::from_millis(200);

/// Show what is late, what runs now and what is in error
///
/// What needs somebody comes first, each with what to do; then what runs, with its pace and how long the rest may take. --watch shows it
/// again and again until Ctrl-C: at a terminal in place, else one block (or with --output json one object a line) after the other.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched status\n  etlsched status --watch --interval 5")]
pub struct Status {
    /// Show it again and again, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    /// Seconds between two looks
    #[arg(short = 'n', long, value_name = "SECONDS", default_value_t = 2, requires = "watch", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub interval: u32,
}

impl Status {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { watch, interval } = self;
        if watch {
            return watched(context, interval);
        }
        let (overview, zone) = look(context, &mut Remembered::default())?;
        match context.output {
            Format::Json => output::json::print(&view::json(&overview)),
            Format::Csv => output::print(&view::running_rows(&overview.running, overview.now).csv()),
            Format::Table => output::print(&view::text(&overview, zone)),
        }
        Ok(exit_code::DONE)
    }
}

/// Looks again and again, until a signal comes or nobody reads any more.
fn watched(context: &Context, interval: u32) -> Result<u8, Failure> {
    if context.output == Format::Csv {
        return Err(
            Failure::usage("--watch has no CSV: its rows would not say when they were").hint("--output json prints an object a line")
        );
    }
    // What can't be read at all is told before the screen is taken.
    context.workspace()?;
    let stop = Stop::new();
    process::watch_signals(&stop).map_err(|error| Failure::internal(format!("signals can't be heard: {error}")))?;
    let (sender, heard) = mpsc::channel();
    stop.listen(move |signal| {
        let _ = sender.send(signal);
    });
    let screen = if context.output == Format::Table { Screen::take() } else { None };
    let mut size = table::terminal_size();
    let mut remembered = Remembered::default();
    loop {
        show(context, screen.as_ref(), interval, &mut remembered);
        if output::is_unread() {
            return Ok(exit_code::DONE);
        }
        let began = Instant::now();
        let interval = Duration::from_secs(u64::from(interval));
        while began.elapsed() < interval {
            let wait = interval.saturating_sub(began.elapsed());
            let wait = if screen.is_some() { wait.min(RESIZE_SEEN_AFTER) } else { wait };
            match heard.recv_timeout(wait) {
                // Ctrl-C is how a person ends it.
                Ok(StopSignal::Interrupt) => return Ok(exit_code::DONE),
                Ok(signal) => return Ok(signal.exit_code()),
                Err(_) if table::terminal_size() != size => break,
                Err(_) => {}
            }
        }
        size = table::terminal_size();
    }
}

fn show(context: &Context, screen: Option<&Screen>, interval: u32, remembered: &mut Remembered) {
    let looked = look(context, remembered);
    if context.output == Format::Json {
        let object = looked.map_or_else(|failure| errors::object(&failure), |(overview, _)| view::json(&overview));
        return output::print(&object.to_string());
    }
    let (text, zone) = match looked {
        Ok((overview, zone)) => (view::text(&overview, zone), zone),
        Err(failure) => (format!("error: {}\n", crate::text::printable(&failure.message)), Zone::UTC),
    };
    let now = clock::now();
    let time = format!("{} {}", measure::local(now, zone), measure::abbreviation([now], zone));
    match screen {
        Some(screen) => screen.draw(&format!("{time}, every {interval} s; Ctrl-C ends\n\n{text}")),
        None => output::print(&format!("{time}\n\n{text}")),
    }
}

fn look(context: &Context, remembered: &mut Remembered) -> Result<(Overview, Zone), Failure> {
    let workspace = context.workspace()?;
    let now = stored::moment();
    let (checked, store) = examined::all_again(&workspace, remembered, context.slot_clock().now())?;
    let next = checked.jobs.iter().filter_map(|job| Some((job.next_at?, job.job.clone()))).min().map(|(at, job)| (job, at));
    let mut overview = Overview {
        findings: checked.findings,
        running: Vec::new(),
        interrupted: Vec::new(),
        in_error: Vec::new(),
        paused: Vec::new(),
        outbox: None,
        next,
        now: now.at,
    };
    if let Some(mut store) = store {
        overview = stored_overview(&workspace, &mut store, overview, &now)?;
    }
    mask(&workspace, &mut overview);
    Ok((overview, workspace.timezone))
}

fn mask(workspace: &Workspace, overview: &mut Overview) {
    for error in overview.outbox.iter_mut().filter_map(|outbox| outbox.last_error.as_mut()) {
        *error = workspace.masker.mask(error);
    }
    for running in &mut overview.running {
        let masker = stored::masker_of(workspace, &running.run.job);
        masked::named(&mut running.progress, &["source", "stream"], &masker);
    }
}

fn stored_overview(workspace: &Workspace, store: &mut Store, overview: Overview, now: &Moment) -> Result<Overview, Failure> {
    let leases = store.leases()?;
    let (interrupted, open): (Vec<_>, Vec<_>) = {
        let dead = store.dead_run_ids(now, &process::liveness)?;
        store.open_runs()?.into_iter().partition(|run| dead.contains(&run.id))
    };
    // What is stored of a job outlives its file: nobody waits for it any more.
    let jobs: Vec<_> = store.jobs()?.into_iter().filter(|job| stored::has_file(workspace, &job.id)).collect();
    let of_status = |status| jobs.iter().filter(move |job| job.status_at(now.at) == status).cloned().collect();
    Ok(Overview {
        running: open.into_iter().map(|run| running(run, &leases)).collect(),
        interrupted,
        in_error: of_status(JobStatus::Error),
        paused: of_status(JobStatus::Paused),
        outbox: Some(store.outbox_waiting(now.at)?),
        ..overview
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
