//! `etlsched pause`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Keep jobs from running for a while
#[derive(Debug, Args)]
pub struct Pause {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Until this time (RFC 3339, or a local date and time in the user's zone)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl Pause {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("pause is not in this version"))
    }
}
