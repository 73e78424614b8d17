//! `etlsched load`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Serve one order from standard input (a worker process)
#[derive(Debug, Args)]
pub struct Load {}

impl Load {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("load is not in this version"))
    }
}
