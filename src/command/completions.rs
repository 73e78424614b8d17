//! `etlsched completions`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Print completions for a shell
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("completions is not in this version"))
    }
}
