//! `etlsched create`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Write a job file from flags or from a document
#[derive(Debug, Args)]
pub struct Create {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
}

impl Create {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("create is not in this version"))
    }
}
