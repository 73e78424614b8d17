//! A job as its file, the workspace and the defaults make it: checked whole, every path absolute.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::notify::Kind;
use crate::plan::{ColumnRules, DestinationPlan, LoadOptions, SourceKind};
pub use crate::run::due::{CatchUp, Lateness, OnOverlap};
use crate::schedule::Schedule;
use crate::secret::Secret;
use crate::zone::Zone;

use super::problem::Problem;

/// A job's id: `[a-z0-9][a-z0-9_-]{0,62}`, the stem of its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

impl JobId {
    /// Checks an id.
    ///
    /// # Errors
    /// The rule, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = text.bytes();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid =
            bytes.next().is_some_and(is_plain) && bytes.all(|byte| is_plain(byte) || byte == b'_' || byte == b'-') && text.len() <= 63;
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a job id: lower-case letters, digits, _ and -, at most 63, beginning with a letter or digit"))
        }
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A job, ready to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// The stem of its file.
    pub id: JobId,
    /// Its file.
    pub file: PathBuf,
    /// For display; the id where the file gives none.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// For `list --tag`.
    pub tags: Vec<String>,
    /// Whether the file lets it run.
    pub is_active: bool,
    /// The line of `is_active` in the file, where it stands there.
    pub is_active_line: Option<usize>,
    /// The line of `minute` in the file, where it stands there.
    pub minute_line: Option<usize>,
    /// When it is due.
    pub schedule: Schedule,
    /// The zone of its schedule.
    pub timezone: Zone,
    /// What happens to slots that were not started in time.
    pub lateness: Lateness,
    /// What a second run does while one runs.
    pub on_overlap: OnOverlap,
    /// Where its rows go.
    pub destination: DestinationPlan,
    /// Its sources, at least one, in the file's order.
    pub sources: Vec<DataSource>,
    /// Whether sources run side by side.
    pub is_parallel: bool,
    /// How far a run may go.
    pub limits: Limits,
    /// How transient errors are tried again.
    pub retry: Retry,
    /// How many runs in a row may refresh nothing before the job is put into `error`.
    pub failure_threshold: u32,
    /// Whether partly successful runs count towards it.
    pub is_partial_counted: bool,
    /// Who is told of what.
    pub notifications: Notifications,
    /// The key for `columns.hash`.
    pub hash_key: Option<Secret>,
    /// `${NAME}`s that the job needs and the environment doesn't have: errors of `run`, and of `validate --online`.
    pub missing_variables: Vec<Problem>,
    /// The connections that it uses and not every OS user may.
    pub reserved: Vec<Reserved>,
    /// The names used in `${}`; taken out of the workers' environment.
    pub variables: Vec<String>,
    /// What its file and etlsched.yaml say that has no effect, or not the expected one.
    pub warnings: Vec<Problem>,
    /// SHA-256 of what the job says, hex, defaults filled in, secrets left out.
    pub fingerprint: String,
    /// SHA-256 of its schedule fields only, hex.
    pub schedule_fingerprint: String,
}

/// A connection with `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// Its name.
    pub connection: String,
    /// The OS users who may use it.
    pub users: Vec<String>,
}

/// A data source of a job.
#[derive(Debug, Clone)]
pub struct DataSource {
    /// Its name, once in its job.
    pub name: String,
    /// The name of its connection; files have none.
    pub connection: Option<String>,
    /// What kind it is and how it is reached.
    pub kind: SourceKind,
    /// Which columns, under which names and types.
    pub columns: ColumnRules,
    /// How its rows are loaded.
    pub options: LoadOptions,
}

/// How far a run may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole run, retries too.
    pub timeout_minutes: u32,
    /// Of all processes of the run together.
    pub memory_limit_mb: u32,
    /// How many sources run side by side.
    pub max_parallel_sources: usize,
    /// By how much the workers give way to other programs.
    pub cpu_nice: u8,
}

/// How transient errors are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first.
    pub max_retries: u32,
    /// Before the first retry; doubles.
    pub delay_seconds: u32,
    /// The longest delay.
    pub delay_max_seconds: u32,
}

/// Who is told of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notifications {
    /// Checked addresses, each once.
    pub emails: Vec<String>,
    /// http(s) URLs, in the file's order; an empty one where it was not fetched, or could not be.
    pub webhooks: Vec<Secret>,
    /// An http(s) URL; an empty one where it was not fetched, or could not be.
    pub healthcheck_url: Option<Secret>,
    /// Whether failures are told.
    pub on_failure: bool,
    /// Whether successes are told.
    pub on_success: bool,
    /// What else is told: the words of `notify_on`.
    pub on: BTreeSet<Kind>,
    /// How often one trouble is told.
    pub repeat: Repeat,
    /// Why webhooks or the healthcheck URL can't be reached, though the job has them: a variable or a file that is missing. A run goes on.
    pub unresolved: Vec<String>,
}

impl Notifications {
    /// Whether people are told of this.
    pub fn tells(&self, kind: Kind) -> bool {
        match kind {
            Kind::Failure => self.on_failure,
            Kind::Success => self.on_success,
            Kind::DisabledSoon => self.on.contains(&Kind::Disabled),
            Kind::Recovery | Kind::Disabled | Kind::Missed | Kind::Deadline | Kind::SchemaChange | Kind::RejectedRows | Kind::Invalid => {
                self.on.contains(&kind)
            }
        }
    }

    /// Whether anybody or anything is to be told, also where their addresses aren't known now.
    pub fn has_audience(&self) -> bool {
        !self.emails.is_empty() || !self.webhooks.is_empty() || self.healthcheck_url.is_some()
    }

    /// Whether there is anybody to tell, healthchecks aside.
    pub fn has_recipients(&self) -> bool {
        !self.emails.is_empty() || self.webhooks.iter().any(|url| !url.expose().is_empty())
    }
}

/// How often people are told of one trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// Once, and once of the recovery.
    #[default]
    First,
    /// After every run.
    All,
    /// Once a day.
    Daily,
}
