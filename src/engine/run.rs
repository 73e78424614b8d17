//! One run of a job from its begin to its end: sources, the closing of the log.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::clock::{self, SlotClock};
use crate::job::{DataSource, Job};
use crate::plan::{DryRun, Level, Window};
use crate::process::{self, Program, Stop};
use crate::run::{RunStatus, SourceStatus, Trigger};
use crate::state::{Closed, EndPolicy, Store};
use crate::workspace::Workspace;

use super::backfill::{self, TypedWindow};
use super::begin::{self, Begun};
use super::failed;
use super::gate;
use super::herald::{Herald, Reasons};
use super::journal::{Closing, Journal, Ledger};
use super::lease::Keeper;
use super::note;
use super::observer::{Notice, Observer};
use super::plan::{self, RunFrame};
use super::policy::{self, StopReason};
use super::refusal::{self, Refusal};
use super::rejected;
use super::repair;
use super::report::{RunReport, summary};
use super::source_run::{SourceReport, stopped};
use super::start_ping::StartPing;
use super::supervisor::{Commission, Message, Supervisor, Times};

/// How long a worker has between the request to stop and its end.
const GRACE: Duration = Duration::from_secs(8);

/// How long a destination may take to say what a dead worker published.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How a job is to be run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The worker's program; the job's variables are taken out of its environment here.
    pub worker: Program,
    /// What starts the run; the gate finds it out itself.
    pub trigger: Trigger,
    /// Whether the gate decides: a due slot is claimed and run, or nothing.
    pub is_scheduled: bool,
    /// The clock that slots go by.
    pub clock: SlotClock,
    /// Only these sources; empty means all.
    pub sources: Vec<String>,
    /// Only what the job's last run did not refresh.
    pub is_retry_failed: bool,
    /// Load everything anew, whatever the mode, and set the cursor.
    pub is_full_refresh: bool,
    /// Exactly the rows of a window (`--since`, `--until`), as typed.
    pub window: Option<TypedWindow>,
    /// Run although the job is inactive or paused.
    pub is_forced: bool,
    /// Read, type and check only; write nothing anywhere.
    pub dry_run: Option<DryRun>,
    /// In place of the job's `timeout_minutes`.
    pub timeout: Option<Duration>,
    /// In place of 8 s from SIGTERM to SIGKILL.
    pub grace: Option<Duration>,
    /// Whether people are told of it: letters go into the outbox, the healthcheck is pinged.
    pub is_told: bool,
}

impl RunOptions {
    /// Returns the options of a plain run by hand.
    pub fn new(worker: Program) -> Self {
        Self {
            worker,
            trigger: Trigger::Manual,
            is_scheduled: false,
            clock: SlotClock::default(),
            sources: Vec::new(),
            is_retry_failed: false,
            is_full_refresh: false,
            window: None,
            is_forced: false,
            dry_run: None,
            timeout: None,
            grace: None,
            is_told: true,
        }
    }
}

/// What a run is made of before it begins.
pub(super) struct Setting<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) job: &'a Job,
    pub(super) options: &'a RunOptions,
    pub(super) program: Program,
    pub(super) specs: Vec<&'a DataSource>,
    pub(super) window: Option<Window>,
    pub(super) channel: (Sender<Message>, Receiver<Message>),
    pub(super) began: Instant,
    pub(super) reasons: Reasons,
}

/// Runs a job to its end. Whatever happens after the run has begun is in the report; the log says the same.
///
/// # Errors
/// Why it did not begin: nothing was read or written then.
pub fn run_job(
    workspace: &Workspace,
    job: &Job,
    options: &RunOptions,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<RunReport, Refusal> {
    refusal::check_connections(job, &process::user_name())?;
    if !job.missing_variables.is_empty() {
        return Err(Refusal::Invalid(job.missing_variables.clone()));
    }
    let channel = mpsc::channel();
    let signals = channel.0.clone();
    stop.listen(move |signal| {
        let _ = signals.send(Message::Stop(StopReason::Signal(signal)));
    });
    let program = Program { variables_removed: job.variables.clone(), niceness: job.limits.cpu_nice, ..options.worker.clone() };
    let specs = chosen(job, &options.sources)?;
    let window = options.window.as_ref().map(|typed| backfill::window(job, &specs, typed)).transpose()?;
    let setting = Setting { workspace, job, options, program, specs, window, channel, began: Instant::now(), reasons: Reasons::default() };
    if options.dry_run.is_some() {
        return Ok(run_dry(setting, observer));
    }
    run_for_real(setting, stop, observer)
}

fn chosen<'a>(job: &'a Job, names: &[String]) -> Result<Vec<&'a DataSource>, Refusal> {
    for name in names {
        if !job.sources.iter().any(|source| source.name == *name) {
            let nearest = crate::text::nearest(name, job.sources.iter().map(|source| source.name.as_str())).map(str::to_owned);
            let known = job.sources.iter().map(|source| source.name.clone()).collect();
            return Err(Refusal::UnknownSource { job: job.id.to_string(), name: name.clone(), nearest, known });
        }
    }
    Ok(job.sources.iter().filter(|source| names.is_empty() || names.contains(&source.name)).collect())
}

fn run_dry(setting: Setting<'_>, observer: &mut dyn Observer) -> RunReport {
    // Targets remember the workspace that owns them; where there is neither store nor id yet, none are its own.
    let workspace_id = Store::peek_workspace_id(&setting.workspace.state, &setting.workspace.private_folder()).unwrap_or_default();
    let started_at = clock::now();
    let run_id = begin::new_run_id(started_at);
    let mut journal = Journal::nowhere();
    let began = setting.began;
    let (job, trigger) = (setting.job.id.to_string(), setting.options.trigger);
    let deadline = Instant::now().checked_add(setting.options.timeout.unwrap_or_else(|| timeout_of(setting.job)));
    let place = Place { workspace_id: &workspace_id, run_id: &run_id, started_at, slot: None, slot_at: None, published: &[], deadline };
    let (sources, stop) = supervise(setting, place, &mut journal, observer);
    let (status, exit_code) = outcome(&sources, stop.as_ref());
    RunReport {
        run_id: None,
        job,
        trigger,
        slot: None,
        status,
        exit_code,
        is_dry_run: true,
        started_at,
        completed_at: clock::now(),
        duration_seconds: began.elapsed().as_secs_f64(),
        sources,
        rejects: Vec::new(),
        error: stop.as_ref().map(stopped),
        job_status: None,
    }
}

fn run_for_real(mut setting: Setting<'_>, stop: &Stop, observer: &mut dyn Observer) -> Result<RunReport, Refusal> {
    let (workspace, job, options) = (setting.workspace, setting.job, setting.options);
    let mut store = Store::open_kept(&workspace.state, &workspace.private_folder())?;
    let workspace_id = store.workspace_id()?;
    let reasons = setting.reasons.clone();
    if options.is_told && job.notifications.has_audience() {
        store.tell_by(Herald::new(workspace, &workspace_id, job, options.clock).teller(&reasons));
    }
    // Whatever becomes of this run, the next start of the gate asks the store.
    note::forget(workspace, &job.id);
    let done_before = if options.is_retry_failed { failed::narrow(&mut store, &mut setting, &workspace_id, observer)? } else { Vec::new() };
    let begun = if options.is_scheduled {
        gate::begin(&mut store, &setting, &workspace_id, stop, observer)?
    } else {
        begin::begin(&mut store, &setting, &workspace_id, stop, observer)?
    };
    let Begun { run_id, started_at, trigger, slot, slot_at, published, dead } = begun;
    let start_ping = StartPing::begin(job.notifications.healthcheck_url.as_ref().filter(|_| options.is_told));
    let is_chosen = |name: &str| setting.specs.iter().any(|source| source.name == name);
    let left_out = job.sources.iter().map(|source| source.name.clone()).filter(|name| !is_chosen(name)).collect();
    setting.specs.retain(|source| published.as_ref().is_none_or(|published| !published.sources.contains(&source.name)));
    let limit = options.timeout.unwrap_or_else(|| timeout_of(job));
    let deadline = Instant::now().checked_add(limit);
    let ledger = Ledger::new(store, workspace.state.file().map(Path::to_owned), run_id.clone(), deadline);
    let keeper = Keeper::start(ledger.clone(), setting.channel.0.clone());
    let rejects: Vec<_> = setting
        .specs
        .iter()
        .map(|source| plan::rejects_path(&workspace.private_folder(), &run_id, &source.name, &workspace.masker))
        .collect();
    let mut journal = Journal::new(ledger, rejects.clone());
    if let Err(error) = &keeper {
        let why = format!("no thread to renew the lease: {error}");
        let _ = setting.channel.0.send(Message::Stop(StopReason::LeaseLost(why)));
    }
    let (program, began) = (setting.program.clone(), setting.began);
    let unmended = mend(&mut journal, job, &workspace_id, &program, dead, repair::ASK_TIMEOUT.min(limit));
    let published = published.map_or(done_before, |published| {
        repair::published_streams(job, &workspace_id, &program, slot.as_deref(), published).unwrap_or_else(|why| {
            let _ = setting.channel.0.send(Message::Stop(StopReason::Unsettled(workspace.masker.mask(&why))));
            Vec::new()
        })
    });
    if let Some(window) = &setting.window {
        journal.log(Level::Info, None, None, &format!("loads {window} alone"));
    }
    let slot_key = slot.as_deref();
    let place =
        Place { workspace_id: &workspace_id, run_id: &run_id, started_at, slot: slot_key, slot_at, published: &published, deadline };
    let (sources, stop) = supervise(setting, place, &mut journal, observer);
    let left = left_by(unmended, &sources, stop.as_ref(), &run_id);
    // After a limit there is little time (P11); what isn't done then is done by the next run.
    let time = if stop.is_some() { Duration::from_secs(1) } else { repair::ASK_TIMEOUT };
    mend(&mut journal, job, &workspace_id, &program, left, time);
    drop(keeper);
    let draft = RunReport {
        run_id: Some(run_id),
        job: job.id.to_string(),
        trigger,
        slot,
        status: RunStatus::Running,
        exit_code: 0,
        is_dry_run: false,
        started_at,
        completed_at: started_at,
        duration_seconds: began.elapsed().as_secs_f64(),
        sources,
        rejects,
        error: None,
        job_status: None,
    };
    log_silence(&mut journal, job, options, &draft.sources, stop.as_ref());
    reasons.set(rejected::reasons_of(&draft.sources, &draft.rejects));
    let report = close((draft, left_out), &mut journal, workspace, job, options.clock, stop, observer);
    if let Some(ping) = start_ping {
        ping.wait();
    }
    Ok(report)
}

/// Says in the log why nobody hears that a run failed, where whoever started it wanted that.
fn log_silence(journal: &mut Journal, job: &Job, options: &RunOptions, sources: &[SourceReport], stop: Option<&StopReason>) {
    let is_bad = matches!(outcome(sources, stop).0, RunStatus::Failed | RunStatus::Timeout);
    if is_bad && !options.is_told && job.notifications.has_audience() {
        journal.log(Level::Info, None, None, "nobody was told: the run was started with --no-notify");
    }
}

pub(super) fn timeout_of(job: &Job) -> Duration {
    Duration::from_secs(u64::from(job.limits.timeout_minutes) * 60)
}

fn outcome(sources: &[SourceReport], stop: Option<&StopReason>) -> (RunStatus, u8) {
    let statuses: Vec<SourceStatus> = sources.iter().map(|source| source.status).collect();
    let has_published_some = sources.iter().flat_map(|source| &source.streams).any(|stream| stream.status == SourceStatus::Success);
    policy::outcome(&statuses, has_published_some, stop)
}

/// What sets one run of a job apart from the others.
struct Place<'a> {
    workspace_id: &'a str,
    run_id: &'a str,
    started_at: DateTime<Utc>,
    slot: Option<&'a str>,
    slot_at: Option<DateTime<Utc>>,
    published: &'a [(String, String)],
    deadline: Option<Instant>,
}

fn supervise(
    setting: Setting<'_>,
    place: Place<'_>,
    journal: &mut Journal,
    observer: &mut dyn Observer,
) -> (Vec<SourceReport>, Option<StopReason>) {
    let Place { workspace_id, run_id, started_at, slot, slot_at, published, deadline } = place;
    let Setting { workspace, job, options, program, specs, window, channel, began: _, reasons: _ } = setting;
    let private_folder = workspace.private_folder();
    let frame = RunFrame {
        job,
        workspace_id,
        run_id,
        started_at,
        slot,
        slot_at,
        window: window.as_ref(),
        published,
        private_folder: &private_folder,
        masker: &workspace.masker,
        is_full_refresh: options.is_full_refresh,
        dry_run: options.dry_run,
    };
    let times = Times {
        timeout: options.timeout.unwrap_or_else(|| timeout_of(job)),
        deadline,
        grace: options.grace.unwrap_or(GRACE),
        inspect: INSPECT_TIMEOUT,
    };
    let parallel_max = if job.is_parallel { job.limits.max_parallel_sources } else { 1 };
    let masker = &workspace.masker;
    Supervisor::new(Commission { frame, program: &program, masker, specs, parallel_max, times, journal, observer, channel }).run()
}

/// Drops what dead runs left in the destination, under this run's lease; returns the runs of which it could not be dropped.
fn mend(journal: &mut Journal, job: &Job, workspace_id: &str, program: &Program, dead: Vec<String>, timeout: Duration) -> Vec<String> {
    if dead.is_empty() {
        return dead;
    }
    match repair::mend(job, workspace_id, program, dead.clone(), timeout) {
        Ok(names) => {
            if !names.is_empty() {
                journal.log(Level::Info, None, None, &format!("dropped the staging of ended workers: {}", names.join(", ")));
            }
            Vec::new()
        }
        Err(error) => {
            let text = format!("the staging of ended workers could not be dropped yet: {}", error.message);
            journal.log(Level::Warn, None, None, &text);
            dead
        }
    }
}

/// Returns the runs whose staging is to be dropped at this run's end: those that could not be mended at its begin, and itself
/// where a worker of its own came to a bad end.
fn left_by(mut unmended: Vec<String>, sources: &[SourceReport], stop: Option<&StopReason>, run_id: &str) -> Vec<String> {
    if matches!(stop, Some(StopReason::LeaseLost(_) | StopReason::LeaseLapsed(_) | StopReason::StoreFailed(_))) {
        // Without the lease or the log nothing more is touched: the next run drops it.
        return Vec::new();
    }
    if sources.iter().any(SourceReport::is_killed) && !sources.iter().any(SourceReport::is_left_behind) {
        unmended.push(run_id.to_owned());
    }
    unmended
}

fn close(
    (mut report, left_out): (RunReport, Vec<String>),
    journal: &mut Journal,
    workspace: &Workspace,
    job: &Job,
    clock: SlotClock,
    mut stop: Option<StopReason>,
    observer: &mut dyn Observer,
) -> RunReport {
    (report.status, report.exit_code) = outcome(&report.sources, stop.as_ref());
    let policy = EndPolicy {
        failure_threshold: job.failure_threshold,
        is_partial_counted: job.is_partial_counted,
        retention_days: workspace.retention_days,
        slot_now: clock.now(),
    };
    let parallel_max = if job.is_parallel { job.limits.max_parallel_sources } else { 1 };
    let closing = Closing {
        status: report.status,
        exit_code: report.exit_code,
        duration_seconds: report.duration_seconds,
        is_interrupted: report.status == RunStatus::Failed && matches!(stop, Some(StopReason::LeaseLapsed(_))),
        sources: &report.sources,
        left_out,
        summary: summary(&report.sources, &job.sources, stop.as_ref(), report.status, parallel_max),
    };
    match journal.close(closing, policy) {
        Ok(Some(Closed::Done { status_before, status_after, untold, .. })) => {
            report.job_status = (status_before != status_after).then_some((status_before, status_after));
            if let Some(message) = untold {
                observer.notice(&Notice::Log { level: Level::Warn, source: None, stream: None, message: &message });
            }
        }
        Ok(_) => {}
        Err(reason) => {
            // The log doesn't call this run good, so neither does its exit code.
            (report.status, report.exit_code) = (RunStatus::Failed, crate::exit_code::FAILED);
            // What ended the run comes to nothing beside a log that says otherwise.
            stop = Some(reason);
        }
    }
    let is_good = report.status == RunStatus::Success;
    report.error = stop.as_ref().filter(|_| !is_good).map(stopped);
    report.completed_at = clock::now();
    report
}
