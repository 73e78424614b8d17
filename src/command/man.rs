//! `etlsched man`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Write the man pages
#[derive(Debug, Args)]
pub struct Man {
    /// The folder; without it the main page is printed
    pub dir: Option<std::path::PathBuf>,
}

impl Man {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("man is not in this version"))
    }
}
