//! The scheduler of this machine: which one, what stands there, what should stand there. No command itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Place, entry, host, host_zone, unsupported};
use crate::command::stored;
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Job, Problem, Severity};
use crate::output;
use crate::scheduler::install::{Crontab, Daemon, Lock, NotInstalled, Systemd, Target, Tasks};
use crate::scheduler::{EXPORTERS, Entry, Exporter, Host, Rendered, Scope};
use crate::state::{JobRecord, JobStatus};
use crate::workspace::Workspace;
use crate::{clock, private, process, schedule};

/// A scheduler that entries are put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// The user's crontab
    Crontab,
    /// systemd timers
    Systemd,
    /// The Windows Task Scheduler
    Windows,
}

impl Scheduler {
    /// Returns the word of `--scheduler`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crontab => "crontab",
            Self::Systemd => "systemd",
            Self::Windows => "windows",
        }
    }
}

/// Which scheduler of this machine, as typed.
#[derive(Debug, Clone, Args)]
pub struct Choice {
    /// The scheduler (default: windows on Windows; else crontab where there is one, else systemd)
    #[arg(long, value_name = "SCHEDULER", value_enum)]
    pub scheduler: Option<Scheduler>,
    /// With systemd: timers of the host, not of the user; needs root
    #[arg(long)]
    pub system: bool,
}

/// What the commands have in common that put entries into it.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    pub choice: Choice,
    /// The zone of the clock by which this machine's scheduler goes (default: the system's)
    #[arg(long, value_name = "ZONE")]
    pub host_zone: Option<String>,
    /// The program that entries start, by its absolute path (default: this one)
    #[arg(long, value_name = "PATH")]
    pub program: Option<String>,
}

impl Options {
    fn place(&self) -> Place {
        Place { host_zone: self.host_zone.clone(), program: self.program.clone(), workspace: None }
    }
}

/// How a change is confirmed, as typed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Confirmed {
    /// Show what would change; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

/// The scheduler, and what it is told.
#[derive(Debug)]
pub struct Machine {
    /// Puts entries there.
    pub target: Box<dyn Target>,
    /// Makes them.
    pub exporter: &'static dyn Exporter,
    /// For whom they are made.
    pub host: Host,
    lock: PathBuf,
}

/// What should stand in the scheduler.
#[derive(Debug, Default)]
pub struct Wanted {
    /// To be rendered, by id.
    pub entries: Vec<Entry>,
    /// The jobs of these entries.
    pub jobs: Vec<Job>,
    /// Jobs whose entries stay as they are: their files have problems, or they were not asked for.
    pub kept: BTreeSet<String>,
    /// Jobs that have entries and should have none: their files are gone, or they run by hand only.
    pub orphans: BTreeSet<String>,
    /// Jobs without entries, with the reason: a line for each.
    pub left_out: Vec<String>,
    /// The problems of job files.
    pub problems: Vec<Problem>,
}

impl From<NotInstalled> for Failure {
    fn from(error: NotInstalled) -> Self {
        let NotInstalled { code, message, hint } = error;
        Self::new(exit_code::FAILED, code, message).hint(hint)
    }
}

impl Machine {
    /// Finds the scheduler of this machine. `workspace_id` is the store's, where there is a store.
    ///
    /// # Errors
    /// This machine has none of them, or a path or the zone of this machine can't be told to a scheduler.
    pub fn find(workspace: &Workspace, options: &Options, workspace_id: Option<&str>) -> Result<Self, Failure> {
        // Before any program of the scheduler is started.
        workspace.withhold_variables();
        let (choice, place) = (&options.choice, &options.place());
        let scheduler = choice.scheduler.map_or_else(usual, Ok)?;
        if choice.system && scheduler != Scheduler::Systemd {
            return Err(Failure::usage(format!("--system has no meaning for {}", scheduler.name())).hint("add --scheduler systemd"));
        }
        let exporter = *EXPORTERS
            .iter()
            .find(|exporter| exporter.name() == scheduler.name())
            .ok_or_else(|| Failure::internal(format!("nothing makes entries for {}", scheduler.name())))?;
        let zone = if exporter.nature().is_local { host_zone(place)? } else { crate::zone::Zone::UTC };
        let scope = if choice.system { Scope::System } else { Scope::User };
        let host = Host { scope, ..host(workspace, place, zone, workspace_id)? };
        let folder = workspace.private_folder();
        let (user, id) = (process::user_name(), host.id.clone());
        let digest = host.digest().to_owned();
        let target: Box<dyn Target> = match scheduler {
            Scheduler::Crontab => {
                // In a folder of several users each keeps a crontab of their own.
                let of = if private::is_shared(&folder) { format!("-{user}") } else { String::new() };
                Box::new(Crontab { user, id, backup: folder.join(format!("{}{of}", private::NEVER_SHARED)) })
            }
            Scheduler::Systemd => Box::new(Systemd { scope, folder: units(scope)?, user, digest }),
            Scheduler::Windows => Box::new(Tasks { program: "schtasks".to_owned(), digest, folder: folder.join("tasks") }),
        };
        Ok(Self { target, exporter, host, lock: lock_file(&folder) })
    }

    /// Takes the lock that all changes of this user's schedules are made under.
    ///
    /// # Errors
    /// Another process holds it.
    pub fn lock(&self) -> Result<Lock, Failure> {
        Ok(Lock::take(&self.lock)?)
    }

    /// Returns what should stand there.
    ///
    /// # Errors
    /// The scheduler can't be told of a job, or nobody can say what is ours.
    pub fn after(&self, there: &[Rendered], wanted: &Wanted) -> Result<Vec<Rendered>, Failure> {
        let rendered =
            self.exporter.render(&wanted.entries, &self.host).map_err(|problems| unsupported(self.exporter.name(), &problems))?;
        Ok(self.target.merged(there, &rendered, &wanted.kept)?)
    }

    /// Says what keeps entries from being started.
    pub fn warn(&self) {
        // A systemd that can't be reached is told of where it is asked.
        let daemon = if self.target.name() == Scheduler::Crontab.name() { self.target.daemon() } else { Daemon::Unknown(String::new()) };
        let daemon = match daemon {
            Daemon::Absent(what, hint) => Some((what, hint)),
            Daemon::Runs(_) | Daemon::Unknown(_) => None,
        };
        for (warning, hint) in daemon.into_iter().chain(self.target.warnings()).chain(program_warning(&self.host.program)) {
            output::note_fitted(&format!("warning: {warning}\n  hint: {hint}"));
        }
    }
}

/// Sorts the jobs out: which get entries, which keep theirs, which lose them. `names` are the only ones that get new entries; none: all
/// that this user may run.
///
/// # Errors
/// A job named is unknown (exit 2), has a file with problems (exit 4), is never due (exit 2 or 6), or isn't this user's (exit 77).
pub fn wanted(workspace: &Workspace, records: &[JobRecord], installed: &BTreeSet<String>, names: &[String]) -> Result<Wanted, Failure> {
    let named: BTreeSet<String> =
        names.iter().map(|name| stored::job(workspace, name).map(|job| job.id.as_str().to_owned())).collect::<Result<_, Failure>>()?;
    let (jobs, problems) = workspace.jobs();
    let (ids, _) = workspace.job_ids();
    let loaded: BTreeSet<String> = jobs.iter().map(|job| job.id.as_str().to_owned()).collect();
    let mut wanted = Wanted { problems, ..Wanted::default() };
    let (now, by) = (clock::now(), stored::actor());
    for job in jobs {
        let id = job.id.as_str();
        let is_named = named.contains(id);
        let record = records.iter().find(|record| record.id == id);
        match stored::check_startable(workspace, &job, record, &by) {
            Err(refusal) if is_named => return Err(refusal),
            // Entries of this user for the job of another are of an earlier time; the gate refuses what they start.
            Err(_) if installed.contains(id) => {
                wanted.kept.insert(id.to_owned());
                continue;
            }
            Err(refusal) => {
                wanted.left_out.push(format!("job {id}: left out, {}", refusal.message));
                continue;
            }
            Ok(()) => {}
        }
        let reason = match stored::status(&job, record, now) {
            _ if job.schedule == schedule::Schedule::Manual => Some("it runs by hand only"),
            // What is installed stays: the gate obeys the status.
            _ if installed.contains(id) => None,
            JobStatus::Inactive if !job.is_active => Some("its file says is_active: false"),
            JobStatus::Inactive => Some("it is disabled"),
            JobStatus::Active | JobStatus::Paused | JobStatus::Error => None,
        };
        match reason {
            Some(reason) if is_named => return Err(never_due(&job, reason)),
            Some(reason) => wanted.left_out.push(format!("job {id}: left out, {reason}")),
            None if named.is_empty() || is_named || installed.contains(id) => {
                wanted.entries.push(entry(&job));
                wanted.jobs.push(job);
            }
            None => {}
        }
    }
    let without = |id: &&String| wanted.entries.iter().all(|entry| entry.job != **id) && !wanted.kept.contains(*id);
    let without: Vec<&String> = installed.iter().filter(without).collect();
    for id in without {
        let is_broken = !loaded.contains(id) && ids.iter().any(|known| known.as_str() == id);
        if is_broken { &mut wanted.kept } else { &mut wanted.orphans }.insert(id.clone());
    }
    Ok(wanted)
}

/// Whether a job file could not be read: its entries stay as they are.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

fn never_due(job: &Job, reason: &str) -> Failure {
    let message = format!("job {}: {reason}, so no scheduler starts it", job.id);
    if job.schedule == schedule::Schedule::Manual {
        return Failure::usage(message).hint("give it a schedule_type: daily, weekly, cron ...");
    }
    let hint = if job.is_active { format!("to let it run: etlsched enable {}", job.id) } else { "set is_active: true there".to_owned() };
    Failure::new(exit_code::NOT_ACTIVE, "not_active", message).hint(hint)
}

fn usual() -> Result<Scheduler, Failure> {
    if cfg!(windows) {
        return Ok(Scheduler::Windows);
    }
    if is_in_path("crontab") {
        return Ok(Scheduler::Crontab);
    }
    if is_in_path("systemctl") {
        return Ok(Scheduler::Systemd);
    }
    let message = "this machine has no scheduler: neither crontab nor systemctl is in PATH";
    Err(Failure::new(exit_code::FAILED, "no_scheduler", message).hint("install cron (Debian: apt-get install cron)"))
}

/// Whether a program stands in a folder of `PATH`.
pub fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Where unit files are (systemd.unit(5)).
fn units(scope: Scope) -> Result<PathBuf, Failure> {
    if scope == Scope::System {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let none = || Failure::new(exit_code::FAILED, "no_scheduler", "HOME is not set, so the folder of this user's units is unknown");
    Ok(config.ok_or_else(|| none().hint("set HOME, or add --system"))?.join("systemd").join("user"))
}

/// One lock for all schedules of a user: two workspaces share a crontab. Without a home, one of the workspace.
fn lock_file(private: &Path) -> PathBuf {
    match std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home.is_dir()) {
        Some(home) => home.join(".local/state/etlsched/schedule.lock"),
        None => private.join("schedule.lock"),
    }
}

/// A program that will not be there for long makes entries that fail one day.
fn program_warning(program: &str) -> Option<(String, String)> {
    let is_in = |folder: &str| program.starts_with(folder);
    let place = if ["/target/debug/", "/target/release/"].iter().any(|folder| program.contains(folder)) {
        "a build folder"
    } else if is_in("/tmp/") || is_in("/var/tmp/") || is_in("/dev/shm/") {
        "a folder that is emptied"
    } else {
        return None;
    };
    let warning = format!("the entries start {program}, in {place}");
    Some((warning, "install it where it stays: cargo install --path . (or name it: --program PATH)".to_owned()))
}
