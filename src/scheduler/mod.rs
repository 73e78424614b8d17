//! What the machine's own schedulers are told: entries made of jobs, and one exporter per scheduler. Rendering is pure and works on every
//! system; nothing here decides when a job is due: that is `schedule/`, and the gate of `run --scheduled` holds it.

pub mod block;
pub mod crontab;
#[cfg(test)]
mod crontab_tests;
pub mod entries;
#[cfg(test)]
mod entries_tests;
#[cfg(test)]
mod files_tests;
pub mod install;
pub mod kubernetes;
pub mod launchd;
mod paths;
pub mod prove;
pub mod section;
pub mod systemd;
pub mod windows;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::schedule::{Schedule, TimeOfDay};
use crate::zone::Zone;

/// One job as a scheduler has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The job's id: `[a-z0-9][a-z0-9_-]{0,62}`.
    pub job: String,
    /// When it is due, never [`Schedule::Manual`].
    pub schedule: Schedule,
    /// The zone of its schedule.
    pub zone: Zone,
    /// Whether it is also started every hour, to catch up after downtime.
    pub is_woken_hourly: bool,
    /// When the gate is also to look whether the job's data are fresh: just after its deadline.
    pub looked_at: Option<TimeOfDay>,
    /// What a second run does while one runs: `skip`, `wait` or `fail`.
    pub on_overlap: &'static str,
    /// How long a run may take.
    pub timeout: Duration,
}

/// Where and for whom entries are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The zone in which the host's scheduler reads its entries.
    pub zone: Zone,
    /// The absolute path of the program.
    pub program: String,
    /// The absolute path of the workspace.
    pub workspace: String,
    /// The workspace's id and 8 hex digits of the SHA-256 of its absolute folder: stable, and unique on the host.
    pub id: String,
    /// The version and origin of the time zone rules that the entries are made with.
    pub tzdata: String,
    /// The user who will own the entries.
    pub user: String,
    /// `crontab_environment:` variables that hold inside the crontab's block.
    pub environment: Vec<(String, String)>,
    /// Whether several hosts can share the state store (PostgreSQL).
    pub is_store_shared: bool,
    /// Whose scheduler takes the entries, where it has one for each user and one for all.
    pub scope: Scope,
    /// The container image that holds the program, for schedulers of containers.
    pub image: String,
    /// From when on the entries must be right; five years are looked at.
    pub from: DateTime<Utc>,
}

/// Whose scheduler it is: systemd has one for each user and one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The user's own.
    #[default]
    User,
    /// The host's: entries name the user as whom they run.
    System,
}

/// What a scheduler's entries need and are, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nature {
    /// The scheduler reads them in the host's zone; others in UTC.
    pub is_local: bool,
    /// They stand between marks in a text that others write too, so the host's id must be that of the store.
    pub is_marked: bool,
    /// Runs are started on several hosts, so the store must be shared.
    pub is_shared: bool,
    /// The files make sense one behind the other.
    pub is_joinable: bool,
}

/// A file that a scheduler takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its name, without folders: `etlsched-flights.timer`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Rendered {
    /// Returns its bytes as text; UTF-16 is known by its mark.
    pub fn text(&self) -> String {
        match self.bytes.strip_prefix(b"\xff\xfe") {
            Some(rest) => {
                String::from_utf16_lossy(&rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>())
            }
            None => String::from_utf8_lossy(&self.bytes).into_owned(),
        }
    }
}

/// Why entries can't be made: what a scheduler can't say is an error, never left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The job, where one is to blame.
    pub job: Option<String>,
    /// A lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Renders entries for one scheduler. Pure: the same entries and host give the same bytes on every system.
pub trait Exporter: Sync {
    /// The word of `--format`.
    fn name(&self) -> &'static str;

    /// One sentence for help texts: what it makes.
    fn summary(&self) -> &'static str;

    /// What its entries need and are.
    fn nature(&self) -> Nature;

    /// Renders all entries, in the order of their jobs' ids.
    ///
    /// # Errors
    /// Everything that this scheduler can't be told, of all jobs at once.
    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>>;
}

impl Host {
    /// Returns the 8 hex digits that stand for the workspace's folder, for names that several workspaces of a host must not share.
    pub fn digest(&self) -> &str {
        self.id.rsplit('-').next().unwrap_or_default()
    }
}

impl fmt::Debug for dyn Exporter + '_ {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Every exporter: a new one is a file and a line here.
pub static EXPORTERS: [&dyn Exporter; 5] =
    [&crontab::Crontab, &systemd::Systemd, &windows::Windows, &kubernetes::Kubernetes, &launchd::Launchd];
