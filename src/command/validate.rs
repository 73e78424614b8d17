//! `etlsched validate`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Check job files and print every problem
#[derive(Debug, Args)]
pub struct Validate {
    /// The jobs (default: all)
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Also demand every variable, and reach every source
    #[arg(long)]
    pub online: bool,
}

impl Validate {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("validate is not in this version"))
    }
}
