//! `etlsched schedule`: entries for the machine's scheduler. What its subcommands share: entries of jobs, and the host they are made for.

mod apply;
mod export;
mod install;
mod machine;
mod prove;
mod remove;
mod standing;
mod status;
mod sync;

pub use machine::{Choice, Options, Scheduler, is_in_path};
pub use remove::OfJob;
pub use standing::Standing;

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use sha2::{Digest as _, Sha256};

use super::{Context, stored};
use crate::error::Failure;
use crate::job::{Job, OnOverlap, Problem, Severity};
use crate::notify::Kind;
use crate::schedule::TimeOfDay;
use crate::scheduler::{Entry, Host, Scope, Unsupported};
use crate::state::Store;
use crate::text::{count, printable};
use crate::workspace::Workspace;
use crate::zone::{Zone, database};
use crate::{clock, exit_code, output, process, schedule};

/// Make entries for the machine's scheduler
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  etlsched schedule export --format crontab\n  etlsched schedule export --format systemd --out units"
)]
pub struct Schedule {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with entries.
#[derive(Debug, Subcommand)]
pub enum Action {
    Export(export::Export),
    Install(install::Install),
    Sync(sync::Sync),
    Remove(remove::Remove),
    Status(status::Status),
    Prove(prove::Prove),
}

impl Schedule {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        match self.action {
            Action::Export(command) => command.run(context),
            Action::Install(command) => command.run(context),
            Action::Sync(command) => command.run(context),
            Action::Remove(command) => command.run(context),
            Action::Status(command) => command.run(context),
            Action::Prove(command) => command.run(context),
        }
    }
}

/// Where and for whom entries are made, as typed; what is left out is this machine's.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The zone of the host's clock, where its scheduler goes by that (default: this machine's)
    #[arg(long, value_name = "ZONE")]
    pub host_zone: Option<String>,
    /// The program's absolute path on the host (default: this one's)
    #[arg(long, value_name = "PATH")]
    pub program: Option<String>,
    /// The workspace's absolute path on the host (default: this one's)
    #[arg(long, value_name = "PATH")]
    pub workspace: Option<String>,
}

/// What a scheduler is told of the jobs.
#[derive(Debug)]
pub(super) struct Planned {
    /// By id.
    pub entries: Vec<Entry>,
    /// The jobs that are never due by themselves, with the reason: a line for each.
    pub left_out: Vec<String>,
}

/// Returns the entries of the jobs named, or of all.
///
/// # Errors
/// There is no such job (exit 2). A file has problems (exit 4): entries without its job would stop it.
pub(super) fn planned(workspace: &Workspace, names: &[String]) -> Result<Planned, Failure> {
    let mut jobs = if names.is_empty() { all(workspace)? } else { named(workspace, names)? };
    jobs.sort_by(|one, other| one.id.cmp(&other.id));
    jobs.dedup_by(|one, other| one.id == other.id);
    let mut planned = Planned { entries: Vec::new(), left_out: Vec::new() };
    for job in &jobs {
        if job.schedule == schedule::Schedule::Manual {
            planned.left_out.push(format!("job {}: left out, it runs by hand only", job.id));
        } else if !job.is_active {
            planned.left_out.push(format!("job {}: left out, its file says is_active: false", job.id));
        } else {
            planned.entries.push(entry(job));
        }
    }
    Ok(planned)
}

fn all(workspace: &Workspace) -> Result<Vec<Job>, Failure> {
    let (jobs, problems) = workspace.jobs();
    refuse(problems)?;
    Ok(jobs)
}

fn named(workspace: &Workspace, names: &[String]) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::with_capacity(names.len());
    let mut problems = Vec::new();
    for name in names {
        match stored::job(workspace, name) {
            Ok(job) => jobs.push(job),
            Err(mut failure) if !failure.problems.is_empty() => problems.append(&mut failure.problems),
            Err(failure) => return Err(failure),
        }
    }
    refuse(problems)?;
    Ok(jobs)
}

fn refuse(problems: Vec<Problem>) -> Result<(), Failure> {
    let is_refused = problems.iter().any(|problem| problem.severity == Severity::Error);
    if is_refused { Err(Failure::invalid(problems)) } else { Ok(()) }
}

/// Returns a job as a scheduler has to know it.
fn entry(job: &Job) -> Entry {
    Entry {
        job: job.id.as_str().to_owned(),
        schedule: job.schedule.clone(),
        zone: job.timezone,
        is_woken_hourly: job.lateness.is_woken_hourly,
        looked_at: job.lateness.deadline.filter(|_| job.notifications.tells(Kind::Deadline)).map(a_minute_later),
        on_overlap: match job.on_overlap {
            OnOverlap::Skip => "skip",
            OnOverlap::Wait => "wait",
            OnOverlap::Fail => "fail",
        },
        timeout: Duration::from_secs(60 * u64::from(job.limits.timeout_minutes)),
    }
}

/// At the deadline's own minute it hasn't passed yet.
fn a_minute_later(time: TimeOfDay) -> TimeOfDay {
    let TimeOfDay { hour, minute } = time;
    if minute < 59 { TimeOfDay { hour, minute: minute + 1 } } else { TimeOfDay { hour: (hour + 1) % 24, minute: 0 } }
}

/// Returns the host that entries are made for. `workspace_id` is the store's; without it the host's id is that of the folder alone.
///
/// # Errors
/// The zone is unknown, a path is not absolute, or this program's own path can't be read.
pub(super) fn host(workspace: &Workspace, place: &Place, zone: Zone, workspace_id: Option<&str>) -> Result<Host, Failure> {
    let Place { host_zone: _, program, workspace: folder } = place;
    let program = match program {
        Some(program) => program.clone(),
        None => path_text("program", &own_program()?)?,
    };
    let folder = match folder {
        Some(folder) => folder.clone(),
        None => path_text("workspace", &workspace.root)?,
    };
    for (option, path) in [("--program", &program), ("--workspace", &folder)] {
        if !is_absolute(path) {
            return Err(
                Failure::usage(format!("{option} {path:?} is not an absolute path")).hint("schedulers start jobs in a folder of their own")
            );
        }
    }
    let digest: String = Sha256::digest(folder.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Host {
        zone,
        program,
        workspace: folder,
        id: workspace_id.map_or_else(|| digest.clone(), |id| format!("{id}-{digest}")),
        tzdata: printable(&database::describe([zone])).into_owned(),
        user: process::user_name(),
        environment: workspace.crontab_environment.clone(),
        is_store_shared: workspace.is_state_shared,
        scope: Scope::User,
        image: format!("etlsched:{}", env!("CARGO_PKG_VERSION")),
        from: clock::now(),
    })
}

/// Returns the zone of the host's clock: the one that was typed, else `TZ`, else the system's.
///
/// # Errors
/// It is unknown to the database (exit 2), or can't be found out.
pub(super) fn host_zone(place: &Place) -> Result<Zone, Failure> {
    if let Some(name) = &place.host_zone {
        return Zone::parse(name).map_err(|near| {
            let failure = Failure::usage(format!("--host-zone {name:?} is no time zone of the IANA database"));
            near.map_or(Failure::usage(failure.message.clone()), |near| failure.hint(format!("did you mean {near}?")))
        });
    }
    let system = process::system_zone();
    let variable = std::env::var("TZ").ok();
    let name = match &variable {
        Some(value) => process::zone_of_variable(value),
        None => system.clone(),
    };
    let zone = name.as_deref().and_then(|name| Zone::parse(name).ok());
    let zone = zone.ok_or_else(|| {
        let message = match &variable {
            Some(value) => format!("TZ={value:?} names no time zone of the IANA database"),
            None => "the time zone of this machine's clock can't be found out".to_owned(),
        };
        Failure::usage(message).hint("name the host's: --host-zone Europe/Berlin")
    })?;
    if let (Some(_), Some(system)) = (&variable, system)
        && !is_alike(zone, &system)
    {
        output::note(&format!("note: made for {zone}, which TZ says; the system's clock shows {system} (--host-zone {system})"));
    }
    Ok(zone)
}

/// Whether a zone's clocks show the same as those of another in the coming years, whatever it is called.
fn is_alike(zone: Zone, other: &str) -> bool {
    let now = clock::now().timestamp();
    let segments = |zone: Zone| zone.segments(now, now + 5 * 366 * 86_400);
    Zone::parse(other).is_ok_and(|other| segments(other) == segments(zone))
}

/// Returns the id of the workspace's store, which is made when absent.
///
/// # Errors
/// It can't be opened.
pub(super) fn workspace_id(workspace: &Workspace) -> Result<String, Failure> {
    match Store::peek_workspace_id(&workspace.state, &workspace.private_folder()) {
        Some(id) => Ok(id),
        None => Ok(stored::open(workspace)?.workspace_id()?),
    }
}

/// Returns what a scheduler can't be told as one failure: exit 4.
pub(super) fn unsupported(format: &str, problems: &[Unsupported]) -> Failure {
    let subject = |problem: &Unsupported| problem.job.as_ref().map_or_else(String::new, |job| format!("job {job}: "));
    let failure = |message: String| Failure::new(exit_code::INVALID, "unsupported", message);
    match problems {
        [problem] => failure(format!("{}{}", subject(problem), problem.message)).hint(problem.hint.clone()),
        _ => {
            let lines = problems.iter().map(|problem| format!("\n  {}{}\n    hint: {}", subject(problem), problem.message, problem.hint));
            failure(format!("{} for {format}:{}", count(problems.len() as u64, "problem"), lines.collect::<String>()))
        }
    }
}

fn own_program() -> Result<std::path::PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::internal(format!("the path of this program can't be read: {error}")))
}

fn path_text(what: &str, path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(exit_code::INVALID, "unsupported", format!("the {what}'s path {} is not UTF-8", path.display())))
}

/// On any system: entries may be made for another one.
fn is_absolute(path: &str) -> bool {
    let is_drive = matches!(path.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    path.starts_with('/') || path.starts_with(r"\\") || is_drive
}
