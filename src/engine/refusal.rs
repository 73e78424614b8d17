//! Why a run did not begin.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::exit_code;
use crate::job::{Job, Problem, Reserved};
use crate::process::StopSignal;
use crate::state::{JobRecord, JobStatus, StateError};
use crate::workspace::Workspace;

/// Why a run did not begin; nothing was read or written.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `${NAME}`s without a value.
    #[error("invalid definition")]
    Invalid(Vec<Problem>),
    /// `--source` names a source that the job doesn't have.
    #[error("job {job}: no source {name:?}")]
    UnknownSource {
        /// The job.
        job: String,
        /// The name.
        name: String,
        /// The source that was meant, maybe.
        nearest: Option<String>,
        /// The sources there are.
        known: Vec<String>,
    },
    /// `--since` and `--until` can't be done.
    #[error("job {job}: {message}")]
    Window {
        /// The job.
        job: String,
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The job's file says `is_active: false`.
    #[error("job {job} is inactive by its file {}{}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    InactiveFile {
        /// The job.
        job: String,
        /// Its file.
        file: PathBuf,
        /// The line.
        line: Option<usize>,
    },
    /// The job was disabled or paused.
    #[error("job {job} is {}{}", status.as_str(), until.map(|until| format!(" until {}", until.format("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default())]
    NotActive {
        /// The job.
        job: String,
        /// Its status.
        status: JobStatus,
        /// The end of a pause.
        until: Option<DateTime<Utc>>,
    },
    /// Someone else's job.
    #[error("job {job} belongs to {owner}, and {user} may not run, change or stop it")]
    NotPermitted {
        /// The job.
        job: String,
        /// Its owner.
        owner: String,
        /// Who asked.
        user: String,
    },
    /// A connection that the job uses is for other users.
    #[error("job {job} uses connection {connection}, which is not for {user}")]
    Reserved {
        /// The job.
        job: String,
        /// The connection.
        connection: String,
        /// Who asked.
        user: String,
        /// Whom it is for.
        users: Vec<String>,
    },
    /// The gate found nothing to start: no slot is due, it is claimed already, another run goes on, or the job isn't active.
    #[error("no slot is due")]
    NotDue,
    /// Another run of the job is under way.
    #[error("job {job}: {held_by} holds the lease")]
    Held {
        /// The job.
        job: String,
        /// The other run.
        run_id: String,
        /// Who holds it, in words.
        held_by: String,
    },
    /// `--retry-failed` of a job without a run.
    #[error("job {job} has not run yet")]
    NeverRan {
        /// The job.
        job: String,
    },
    /// `--retry-failed` of a job whose last run refreshed every source.
    #[error("the last run of job {job} refreshed every source")]
    NothingFailed {
        /// The job.
        job: String,
    },
    /// Asked to stop while it waited for the lease.
    #[error("cancelled while waiting for another run")]
    Stopped(StopSignal),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StateError),
}

/// Checks that a user may run, change or stop a job: its owner, root, or an admin of the workspace.
///
/// # Errors
/// The user may not.
pub fn check_permitted(workspace: &Workspace, record: &JobRecord, user: &str) -> Result<(), Refusal> {
    if record.owner == user || is_root(user) || workspace.admins.iter().any(|admin| admin == user) {
        return Ok(());
    }
    Err(Refusal::NotPermitted { job: record.id.clone(), owner: record.owner.clone(), user: user.to_owned() })
}

/// Checks that a user may use every connection of a job: named under its `users`, or root. Being an admin is about jobs and not enough.
///
/// # Errors
/// The user may not.
pub fn check_connections(job: &Job, user: &str) -> Result<(), Refusal> {
    let is_for = |reserved: &&Reserved| is_root(user) || reserved.users.iter().any(|known| known == user);
    match job.reserved.iter().find(|reserved| !is_for(reserved)) {
        None => Ok(()),
        Some(Reserved { connection, users }) => {
            Err(Refusal::Reserved { job: job.id.to_string(), connection: connection.clone(), user: user.to_owned(), users: users.clone() })
        }
    }
}

fn is_root(user: &str) -> bool {
    cfg!(unix) && user == "root"
}

impl Refusal {
    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => exit_code::INVALID,
            Self::UnknownSource { .. } | Self::Window { .. } => exit_code::USAGE,
            Self::InactiveFile { .. } | Self::NotActive { .. } => exit_code::NOT_ACTIVE,
            Self::NotPermitted { .. } | Self::Reserved { .. } => exit_code::NOT_PERMITTED,
            Self::NotDue | Self::NothingFailed { .. } => exit_code::DONE,
            Self::Held { .. } => exit_code::OVERLAP,
            Self::Stopped(signal) => signal.exit_code(),
            Self::Store(_) | Self::NeverRan { .. } => exit_code::FAILED,
        }
    }

    /// Returns the stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::UnknownSource { .. } | Self::Window { .. } => "usage",
            Self::InactiveFile { .. } | Self::NotActive { .. } => "not_active",
            Self::NotPermitted { .. } | Self::Reserved { .. } => "not_permitted",
            Self::NotDue => "not_due",
            Self::NeverRan { .. } => "never_ran",
            Self::NothingFailed { .. } => "nothing_failed",
            Self::Held { .. } => "overlap",
            Self::Stopped(_) => "cancelled",
            Self::Store(_) => "state",
        }
    }

    /// Returns what to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid(_) | Self::Stopped(_) | Self::NotDue | Self::NothingFailed { .. } => None,
            Self::NeverRan { job } => Some(format!("etlsched run {job}")),
            Self::UnknownSource { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?")),
            Self::UnknownSource { known, .. } => Some(format!("its sources are {}", known.join(", "))),
            Self::Window { hint, .. } => Some(hint.clone()),
            Self::InactiveFile { job, .. } => Some(format!("set is_active: true there, or run it once with etlsched run {job} --force")),
            Self::NotActive { job, status, .. } => {
                let verb = if *status == JobStatus::Paused { "resume" } else { "enable" };
                Some(format!("etlsched {verb} {job}, or run it once with etlsched run {job} --force"))
            }
            Self::NotPermitted { .. } => Some("ask its owner, or be named under admins in etlsched.yaml".to_owned()),
            Self::Reserved { connection, users, .. } => {
                let whose = if users.is_empty() { "root alone may use it".to_owned() } else { format!("it is for {}", users.join(", ")) };
                Some(format!("{whose}: ask them, or be named under connections.{connection}.users in etlsched.yaml"))
            }
            Self::Held { run_id, .. } => {
                Some(format!("see etlsched status; wait for it, stop it with etlsched cancel {run_id}, or set on_overlap: wait"))
            }
            Self::Store(error) => error.hint(),
        }
    }
}
