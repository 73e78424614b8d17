//! `etlsched schedule sync`.

use clap::Args;

use super::install::{Orphans, put};
use super::machine::{Confirmed, Options};
use crate::command::Context;
use crate::error::Failure;

/// Make this machine's scheduler hold the jobs as they are
///
/// As `install` of all jobs; entries whose jobs are gone, or run by hand only, are removed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched schedule sync --dry-run\n  etlsched schedule sync --yes")]
pub struct Sync {
    #[command(flatten)]
    pub options: Options,
    #[command(flatten)]
    pub confirmed: Confirmed,
}

impl Sync {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { options, confirmed } = self;
        put(context, &[], &options, confirmed, Orphans::Go)
    }
}
