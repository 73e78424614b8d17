//! `etlsched pause`.

use clap::Args;

use super::change::{self, Change};
use super::{Context, when};
use crate::error::Failure;
use crate::state::{JobStatus, NewStatus};

/// Keep jobs from running for a while
///
/// Without --until they stay paused until they are resumed. A run that goes on is left alone.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  etlsched pause sales --until 2h\n  etlsched pause sales leads --until 2030-01-07T06:00")]
pub struct Pause {
    /// The jobs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Until this time (RFC 3339, a local date and time in the user's zone, or a span such as 2h)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl Pause {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done; then no job is changed.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { jobs, until } = self;
        let zone = context.workspace()?.timezone;
        let until = until.map(|until| when::future(&until, "--until", zone, context.slot_clock().now())).transpose()?;
        let change = Change {
            status: NewStatus::Paused(until),
            from: &[JobStatus::Active, JobStatus::Paused],
            is_file_asked: true,
            done: "paused",
            hint: "it doesn't run anyway; to let it run: etlsched enable",
        };
        change::run(context, &jobs, &change)
    }
}
