//! `etlsched disable`.

use clap::Args;

use super::Context;
use super::change::{self, Change};
use crate::error::Failure;
use crate::state::{JobStatus, NewStatus};

/// Keep jobs from running until they are enabled
///
/// A run that goes on is left alone; `etlsched cancel` stops it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched disable sales\n  etlsched disable sales leads")]
pub struct Disable {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Disable {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done; then no job is changed.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs } = self;
        let change = Change { status: NewStatus::Inactive, from: &JobStatus::ALL, is_file_asked: false, done: "disabled", hint: "" };
        change::run(context, &jobs, &change)
    }
}
