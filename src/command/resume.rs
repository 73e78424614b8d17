//! `etlsched resume`.

use clap::Args;

use super::Context;
use super::change::{self, Change};
use crate::error::Failure;
use crate::state::{JobStatus, NewStatus};

/// Let paused jobs run again
///
/// Jobs that are inactive or in error are enabled instead.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched resume sales\n  etlsched resume sales leads")]
pub struct Resume {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
}

impl Resume {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done; then no job is changed.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs } = self;
        let change = Change {
            status: NewStatus::Active,
            from: &[JobStatus::Active, JobStatus::Paused],
            is_file_asked: true,
            done: "resumed",
            hint: "to let it run: etlsched enable",
        };
        change::run(context, &jobs, &change)
    }
}
