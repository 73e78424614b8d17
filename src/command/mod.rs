//! The subcommands: one file each, arguments and `run`.

mod audit;
mod cancel;
mod change;
mod check;
mod completions;
mod confirm;
mod create;
mod delete;
mod disable;
mod doctor;
mod enable;
mod examined;
mod follow;
mod gate;
mod hooks;
mod init;
mod json_schema;
mod list;
mod load;
mod logs;
mod man;
pub mod man_page;
mod metrics;
mod next;
mod notify;
mod pause;
mod plan;
mod post;
mod report;
mod resume;
mod run;
mod schedule;
mod show;
mod source;
mod state;
mod stats;
mod status;
mod stored;
mod unusable;
mod validate;
mod when;
mod worker;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::clock::{self, SlotClock};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Environment, JobId};
use crate::output::log_file::{LogFile, LogFileOptions};
use crate::output::log_line::{LogFormat, Stamp};
use crate::output::{Format, log_events};
use crate::workspace::{NoJob, NoWorkspace, Workspace};

/// What every command gets beside its own arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// `-C`, or `ETLSCHED_PROJECT`.
    pub project: Option<PathBuf>,
    /// How results are printed.
    pub output: Format,
    /// Results and errors only.
    pub quiet: bool,
    /// How much more is printed.
    pub verbose: u8,
    /// `--log-format`, or `ETLSCHED_LOG_FORMAT`.
    pub log_format: Option<LogFormat>,
    /// `--log-file` and what belongs to it.
    pub log_file: Option<LogFileOptions>,
    /// `--now`, or `ETLSCHED_NOW`: the clock that slots go by, set for tests and simulation.
    pub now: Option<chrono::DateTime<chrono::Utc>>,
    /// Makes the command line's definition, for man pages and completions.
    pub definition: fn() -> clap::Command,
}

impl Context {
    /// Returns the clock that slots go by.
    pub fn slot_clock(&self) -> SlotClock {
        SlotClock::set_to(self.now)
    }

    /// Opens the file of log lines, where one is asked for.
    ///
    /// # Errors
    /// No lines can be written there: exit 4.
    pub fn open_log(&self) -> Result<Option<LogFile>, Failure> {
        self.log_file.clone().map(LogFile::open).transpose()
    }

    /// Logs why a command was not done. A file that can't be written matters to those who run jobs: they open it first.
    pub fn log_failure(&self, failure: &Failure) {
        if failure.code != "log_file"
            && let Ok(Some(log)) = self.open_log()
        {
            log.add(&Stamp { at: clock::now(), job: None, run: None }, &log_events::of_failure("command_failed", failure));
        }
    }

    /// Finds and reads the workspace: the one place where the process's environment and folder come in.
    ///
    /// # Errors
    /// There is none, or etlsched.yaml or .env has problems: exit 4.
    pub fn workspace(&self) -> Result<Workspace, Failure> {
        self.found_by(Workspace::find)
    }

    /// As [`Context::workspace`], for entries of hosts whose store this version may not be able to open.
    ///
    /// # Errors
    /// As for [`Context::workspace`].
    pub fn workspace_for_export(&self) -> Result<Workspace, Failure> {
        self.found_by(Workspace::find_for_export)
    }

    /// Returns the workspace of an etlsched.yaml with errors, as far as people can be told of them by it.
    fn workspace_to_tell(&self) -> Option<Workspace> {
        Workspace::find_to_tell(&std::env::current_dir().ok()?, self.project.as_deref(), environment())
    }

    fn found_by(&self, find: fn(&Path, Option<&Path>, Environment) -> Result<Workspace, NoWorkspace>) -> Result<Workspace, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::new(exit_code::INVALID, "no_workspace", format!("the current folder can't be read: {error}")))?;
        find(&here, self.project.as_deref(), environment()).map_err(|error| match error {
            NoWorkspace::Invalid(problems) => Failure::invalid(problems),
            NoWorkspace::NotFound(start) => {
                let message = format!(
                    "no workspace: neither etlsched.yaml nor jobs/ in {}{}",
                    start.display(),
                    if self.project.is_some() { "" } else { " or above it" }
                );
                Failure::new(exit_code::INVALID, "no_workspace", message).hint("`etlsched init` makes one; -C names another folder")
            }
        })
    }
}

/// Returns the process's variables; those that are no text can't stand in a file anyway.
fn environment() -> Environment {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::new(variables, std::thread::available_parallelism().map_or(1, usize::from))
}

/// Reads a job's id as typed: exit 2 for what can't be one, with the nearest that exists.
///
/// # Errors
/// It can't be an id.
pub fn job_id(workspace: &Workspace, text: &str) -> Result<JobId, Failure> {
    let stem = text.strip_prefix("jobs/").unwrap_or(text);
    let stem = stem.strip_suffix(".yaml").unwrap_or(stem);
    JobId::parse(stem).map_err(|rule| match workspace.nearest(stem) {
        Some(near) => Failure::new(exit_code::USAGE, "unknown_job", format!("unknown job {text}")).hint(format!("did you mean {near}?")),
        None => Failure::new(exit_code::USAGE, "unknown_job", rule),
    })
}

/// Turns why a job can't be loaded into a failure: unknown is exit 2, problems are exit 4.
pub fn no_job(id: &JobId, reason: NoJob) -> Failure {
    match reason {
        NoJob::Invalid(problems) => Failure::invalid(problems),
        NoJob::Unknown(near) => {
            let hint = near.map_or_else(|| "`etlsched list` shows the jobs".to_owned(), |near| format!("did you mean {near}?"));
            Failure::new(exit_code::USAGE, "unknown_job", format!("unknown job {id}")).hint(hint)
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Init),
    Create(Box<create::Create>),
    List(list::List),
    Show(show::Show),
    Validate(validate::Validate),
    Enable(enable::Enable),
    Disable(disable::Disable),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Delete(delete::Delete),
    Run(run::Run),
    Cancel(cancel::Cancel),
    Logs(logs::Logs),
    Audit(audit::Audit),
    Status(status::Status),
    Check(check::Check),
    Metrics(metrics::Metrics),
    Stats(stats::Stats),
    Doctor(doctor::Doctor),
    Next(next::Next),
    Plan(plan::Plan),
    Report(report::Report),
    Schedule(schedule::Schedule),
    Source(source::Source),
    Notify(notify::Notify),
    State(state::State),
    JsonSchema(json_schema::JsonSchema),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    Load(load::Load),
}

impl Command {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Init(command) => command.run(context),
            Self::Create(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Validate(command) => command.run(context),
            Self::Enable(command) => command.run(context),
            Self::Disable(command) => command.run(context),
            Self::Pause(command) => command.run(context),
            Self::Resume(command) => command.run(context),
            Self::Delete(command) => command.run(context),
            Self::Run(command) => command.run(context),
            Self::Cancel(command) => command.run(context),
            Self::Logs(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Status(command) => command.run(context),
            Self::Check(command) => command.run(context),
            Self::Metrics(command) => command.run(context),
            Self::Stats(command) => command.run(context),
            Self::Doctor(command) => command.run(context),
            Self::Next(command) => command.run(context),
            Self::Plan(command) => command.run(context),
            Self::Report(command) => command.run(context),
            Self::Schedule(command) => command.run(context),
            Self::Source(command) => command.run(context),
            Self::Notify(command) => command.run(context),
            Self::State(command) => command.run(context),
            Self::JsonSchema(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
            Self::Load(command) => command.run(context),
        }
    }
}
