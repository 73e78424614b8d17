//! `etlsched run`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Run jobs now
#[derive(Debug, Args)]
pub struct Run {
    /// The jobs, run one after another
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Only this source (repeatable)
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Load everything anew, whatever the mode, and set the cursor
    #[arg(long)]
    pub full_refresh: bool,
    /// Run although the job is inactive or paused
    #[arg(long)]
    pub force: bool,
    /// Tell nobody
    #[arg(long)]
    pub no_notify: bool,
    /// Read, type and check rows; write nothing anywhere
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: read at most N rows of each stream
    #[arg(long, value_name = "N", requires = "dry_run")]
    pub limit: Option<u64>,
    /// How log lines are written away from a terminal
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
}

impl Run {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("run is not in this version"))
    }
}
