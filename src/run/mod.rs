//! Words and rules of a run that both processes and the log share. Pure.

pub mod counts;
pub mod cursor;
pub mod due;
pub mod file;
pub mod late;
pub mod reject_reason;
pub mod spread;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use counts::Counts;
pub use cursor::CursorValue;
pub use file::FileRecord;
pub use reject_reason::RejectReason;
pub use spread::Spread;

/// The state that a run is in, as the log shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Registered; no worker has begun yet.
    Started,
    /// Workers are at work.
    Running,
    /// Every source was refreshed.
    Success,
    /// At least one source was not refreshed.
    Failed,
    /// Ended by a signal or by `cancel`.
    Cancelled,
    /// Ended by `timeout_minutes`.
    Timeout,
}

impl RunStatus {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 6] = [Self::Started, Self::Running, Self::Success, Self::Failed, Self::Cancelled, Self::Timeout];

    /// Returns the word that the store, tables and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the run has not ended.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Started | Self::Running)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A due slot.
    Schedule,
    /// A due slot, later than its grace.
    CatchUp,
    /// A person.
    Manual,
    /// A CI pipeline (`CI` is set in the environment).
    Ci,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 4] = [Self::Schedule, Self::CatchUp, Self::Manual, Self::Ci];

    /// Returns the word that the store, tables and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch_up",
            Self::Manual => "manual",
            Self::Ci => "ci",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }
}

/// How a source or a stream ended in a run, or that it hasn't yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceStatus {
    /// Not begun.
    Waiting,
    /// A worker reads or loads it.
    Running,
    /// Published (or, with nothing new to read, rightly left as it was).
    Success,
    /// Not published; the error says why.
    Failed,
    /// Not attempted: cancelled, out of time, left out by `--source`, or already published.
    Skipped,
    /// Ended by a signal or by `cancel`.
    Cancelled,
    /// Ended by `timeout_minutes`.
    Timeout,
}

impl SourceStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [Self::Waiting, Self::Running, Self::Success, Self::Failed, Self::Skipped, Self::Cancelled, Self::Timeout];

    /// Returns the word that the store, tables and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}
