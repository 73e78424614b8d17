//! `etlsched enable`.

use clap::Args;

use super::Context;
use super::change::{self, Change};
use crate::error::Failure;
use crate::state::{JobStatus, NewStatus};

/// Let jobs run again
///
/// Clears an error, ends a pause. A job whose file says `is_active: false` stays inactive.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched enable sales\n  etlsched enable sales leads")]
pub struct Enable {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Enable {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done; then no job is changed.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs } = self;
        let change = Change { status: NewStatus::Active, from: &JobStatus::ALL, is_file_asked: true, done: "enabled", hint: "" };
        change::run(context, &jobs, &change)
    }
}
