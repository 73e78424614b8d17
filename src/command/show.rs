//! `etlsched show`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Show one job: definition, status, last runs, cursors
#[derive(Debug, Args)]
pub struct Show {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Print every setting with the place it comes from, secrets masked
    #[arg(long)]
    pub resolved: bool,
}

impl Show {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("show is not in this version"))
    }
}
