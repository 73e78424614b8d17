//! `etlsched cancel`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Stop a run
#[derive(Debug, Args)]
pub struct Cancel {
    /// A job, or a run's id
    #[arg(value_name = "JOB|RUN")]
    pub job_or_run: String,
}

impl Cancel {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("cancel is not in this version"))
    }
}
