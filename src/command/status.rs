//! `etlsched status`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Show what runs now and what is in error
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("status is not in this version"))
    }
}
