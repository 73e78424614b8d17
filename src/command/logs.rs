//! `etlsched logs`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Show what ran and how it ended
#[derive(Debug, Args)]
pub struct Logs {
    /// Only this job
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// One run in full
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Only runs that ended so
    #[arg(long)]
    pub status: Option<String>,
    /// Only runs started since then (RFC 3339, a date, or a span such as 2h or 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Which page, from 1
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub page: u64,
    /// Runs a page
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub page_size: u64,
}

impl Logs {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("logs is not in this version"))
    }
}
