//! `etlsched enable`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Let jobs run again
#[derive(Debug, Args)]
pub struct Enable {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Enable {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("enable is not in this version"))
    }
}
