//! `etlsched init`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Make a workspace that runs at once
#[derive(Debug, Args)]
pub struct Init {
    /// The folder, made when absent
    #[arg(default_value = ".")]
    pub dir: std::path::PathBuf,
}

impl Init {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("init is not in this version"))
    }
}
