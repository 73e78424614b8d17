//! The workspace: the folder of etlsched.yaml, its settings, connections and folders.

use std::path::PathBuf;

use crate::secret::Masker;
use crate::zone::Zone;

/// The folder that holds etlsched.yaml, or a jobs/ folder without one.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Absolute.
    pub root: PathBuf,
    /// The user's zone: for display, and the default of jobs.
    pub timezone: Zone,
    /// The state store.
    pub state: StateLocation,
    /// How long run logs are kept.
    pub retention_days: u32,
    /// OS users who may change every job.
    pub admins: Vec<String>,
    /// Hides every secret that this workspace knows.
    pub masker: Masker,
}

/// Where the state store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLocation {
    /// An absolute path.
    Sqlite(PathBuf),
}

impl Workspace {
    /// Returns the folder of the job files.
    pub fn jobs_folder(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Returns the folder for state, warehouse, rejects and locks.
    pub fn private_folder(&self) -> PathBuf {
        self.root.join(".etlsched")
    }
}
