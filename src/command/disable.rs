//! `etlsched disable`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Keep jobs from running until they are enabled
#[derive(Debug, Args)]
pub struct Disable {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Disable {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("disable is not in this version"))
    }
}
