//! `etlsched delete`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Remove a job's file; run logs stay
#[derive(Debug, Args)]
pub struct Delete {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

impl Delete {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("delete is not in this version"))
    }
}
