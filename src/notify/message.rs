//! What people are told, as data: facts only, secrets masked, no markup. It is kept in the outbox as JSON and rendered when it is sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::run::{RejectReason, RunStatus, SourceStatus, Trigger};
use crate::text::count;
use crate::zone::Zone;

/// What a message is about; the words of `notify_on`, and those of the ends of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run failed or hit its time limit.
    Failure,
    /// A run refreshed every source.
    Success,
    /// The first good run after failures that were told.
    Recovery,
    /// The job was put into `error`: its schedule no longer starts it.
    Disabled,
    /// One more failure puts the job into `error`.
    DisabledSoon,
    /// Slots that nobody started in time.
    Missed,
    /// No success by the job's `deadline`.
    Deadline,
    /// Columns were added or widened.
    SchemaChange,
    /// Rows were rejected.
    RejectedRows,
    /// A job's file has errors, or is gone: its schedule starts nothing.
    Invalid,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Failure,
        Self::Success,
        Self::Recovery,
        Self::Disabled,
        Self::DisabledSoon,
        Self::Missed,
        Self::Deadline,
        Self::SchemaChange,
        Self::RejectedRows,
        Self::Invalid,
    ];

    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Recovery => "recovery",
            Self::Disabled => "disabled",
            Self::DisabledSoon => "disabled_soon",
            Self::Missed => "missed",
            Self::Deadline => "deadline",
            Self::SchemaChange => "schema_change",
            Self::RejectedRows => "rejected_rows",
            Self::Invalid => "invalid",
        }
    }

    /// Returns the kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One message about one job, of one cause; or about the jobs that one look found in the same trouble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it is about.
    pub kind: Kind,
    /// Whether `notify test` made it: said in the subject and at the top.
    pub is_test: bool,
    /// Whether the job's own file says who is told of its errors; `defaults` do where it can't be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_by_job: bool,
    /// The job; without an id where it is about several.
    pub job: JobFacts,
    /// The jobs, where it is about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roundup: Option<Roundup>,
    /// The workspace's folder, as the commands in the message name it.
    pub workspace: String,
    /// The host that tells.
    pub host: String,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// The zone in which times are shown: an IANA name.
    pub timezone: String,
    /// The run that it is about, where there is one.
    pub run: Option<RunFacts>,
    /// What went wrong, one entry a cause: sources that are down on the same host with the same error are one.
    pub causes: Vec<Cause>,
    /// The run's sources, in the job's order.
    pub sources: Vec<SourceFacts>,
    /// How many sources the job has, where the run left some of them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_count: Option<u64>,
    /// Why the last of the runs failed after which this one was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Since when the job works again, where that was told before: this message could not be sent in its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub works_since: Option<DateTime<Utc>>,
    /// Slots that were missed, or the slot whose deadline passed: due instants, oldest first; at most 20.
    pub slots: Vec<DateTime<Utc>>,
    /// How many slots there were in all.
    pub slot_count: u64,
    /// The first of them that is known, where it isn't among the slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_since: Option<DateTime<Utc>>,
    /// The deadline that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// Columns that changed, as `target: what changed`.
    pub schema_changes: Vec<String>,
    /// Runs in a row that refreshed nothing, and after how many the job is put into `error`.
    pub standing: Option<Standing>,
    /// The job's last 14 runs, oldest first, this one last.
    pub strip: Vec<StripRun>,
    /// The last lines of the execution log, oldest first; at most 20.
    pub log_tail: Vec<String>,
}

/// Several jobs in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roundup {
    /// How many jobs there are in all.
    pub job_count: u64,
    /// How many of them missed slots.
    pub missed_count: u64,
    /// How many of them passed their deadline.
    pub deadline_count: u64,
    /// How many have good files, and lack the value of a variable or a secret.
    #[serde(default)]
    pub lacking_count: u64,
    /// The first of them, by id; at most 40.
    pub jobs: Vec<JobTrouble>,
}

impl Roundup {
    /// How many jobs are listed.
    pub const JOBS_MAX: usize = 40;

    /// Makes one of all the jobs.
    pub fn of(mut jobs: Vec<JobTrouble>, missed_count: u64, deadline_count: u64) -> Self {
        let job_count = jobs.len() as u64;
        jobs.truncate(Self::JOBS_MAX);
        Self { job_count, missed_count, deadline_count, lacking_count: 0, jobs }
    }
}

/// One job of several, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTrouble {
    /// Its id.
    pub id: String,
    /// Its name, for display.
    pub name: String,
    /// How many slots nobody started.
    pub slot_count: u64,
    /// The first and the last of them.
    pub slots: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The deadline that passed.
    pub deadline: Option<DateTime<Utc>>,
    /// What is wrong with its file.
    pub problem: Option<String>,
}

/// The job of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobFacts {
    /// Its id: `[a-z0-9][a-z0-9_-]{0,62}`.
    pub id: String,
    /// Its name, for display.
    pub name: String,
    /// Its schedule in words, with the zone.
    pub schedule: String,
    /// The next slot, where it has one and is started by it.
    pub next_run: Option<DateTime<Utc>>,
}

impl JobFacts {
    /// Returns what stands in the place of the job where a message is about several.
    pub fn of_several(number: usize) -> Self {
        Self { id: String::new(), name: count(number as u64, "job"), schedule: String::new(), next_run: None }
    }
}

/// The run of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// UUID v7.
    pub id: String,
    /// How it ended.
    pub status: RunStatus,
    /// What started it.
    pub trigger: Trigger,
    /// Its slot's instant.
    pub slot_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: f64,
    /// What its process ends with.
    pub exit_code: u8,
    /// Why it failed as a whole, where that is more than its sources' errors.
    pub error: Option<String>,
}

/// Returns when a line of the log was written, as messages show it: in the zone of all their times, which it names.
pub fn log_time(at: DateTime<Utc>, zone: Zone) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Why sources were not refreshed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The sources that it concerns, in the job's order; empty where it is the run's.
    pub sources: Vec<String>,
    /// The server that they share, where they do: `db1.example.com:5432`.
    pub host: Option<String>,
    /// The stable word of the error.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// The id of what is no job: the file of the settings of all.
pub const SETTINGS_FILE: &str = "etlsched.yaml";

/// The code of the cause of a job whose file isn't there.
pub const NO_FILE: &str = "no_file";

/// The code of a cause of a job whose file is good: a variable that isn't set, a secret that can't be fetched.
pub const NO_VALUE: &str = "no_value";

/// A source of a message's run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: SourceStatus,
    /// Rows taken from it.
    pub records_processed: u64,
    /// New in the targets.
    pub records_added: u64,
    /// Changed in the targets.
    pub records_updated: u64,
    /// Replaced or removed in the targets.
    pub records_deleted: u64,
    /// Kept aside.
    pub records_rejected: u64,
    /// Taken, and neither loaded nor kept aside: a later row had their key, or a rule of the job leaves them out.
    #[serde(default)]
    pub records_left_out: u64,
    /// Whether every row of its tables was replaced, so that what was added and removed says nothing of what changed.
    #[serde(default)]
    pub is_replaced: bool,
    /// How many of its tables were refreshed.
    #[serde(default)]
    pub table_count: u64,
    /// How many tables it has.
    #[serde(default)]
    pub tables_in_all: u64,
    /// The tables that were refreshed though the source as a whole was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables_refreshed: Vec<String>,
    /// The file of the rejected rows.
    pub rejects_path: Option<String>,
    /// Why they were rejected; of many reasons the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reject_reasons: Vec<RejectReason>,
    /// How long it took.
    pub duration_seconds: f64,
    /// The attempt that ended it, from 1; 0 where it was not tried.
    pub attempt: u32,
}

/// How near a job is to `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Runs in a row that count.
    pub consecutive_failures: u64,
    /// `failure_threshold`.
    pub failure_threshold: u32,
}

/// A run in the strip of the last ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StripRun {
    /// How it ended.
    pub status: RunStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// Rows taken from its sources.
    pub records_processed: u64,
}
