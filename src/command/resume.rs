//! `etlsched resume`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Let paused jobs run again
#[derive(Debug, Args)]
pub struct Resume {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Resume {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("resume is not in this version"))
    }
}
