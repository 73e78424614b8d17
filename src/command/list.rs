//! `etlsched list`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// List the jobs with their schedules and last runs
#[derive(Debug, Args)]
pub struct List {
    /// Only jobs of this status
    #[arg(long)]
    pub status: Option<String>,
    /// Only jobs with this tag
    #[arg(long)]
    pub tag: Option<String>,
}

impl List {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("list is not in this version"))
    }
}
