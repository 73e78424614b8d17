//! `etlsched source`: reach a source without loading.

use clap::{Args, Subcommand};

use super::Context;
use crate::error::Failure;

/// Reach a source without loading
#[derive(Debug, Args)]
pub struct Source {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with a source.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the sources of a job, or of all
    List(Job),
    /// Reach the sources of a job
    Test(Named),
    /// Show the first rows of a source
    Preview(Preview),
    /// Show the columns and types of a source
    Schema(Named),
}

/// A job, or all.
#[derive(Debug, Args)]
pub struct Job {
    /// The job (default: all)
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
}

/// The sources of a job.
#[derive(Debug, Args)]
pub struct Named {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The source (default: all of the job)
    #[arg(value_name = "SOURCE")]
    pub source: Option<String>,
}

/// The first rows of a source.
#[derive(Debug, Args)]
pub struct Preview {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The source (default: all of the job)
    #[arg(value_name = "SOURCE")]
    pub source: Option<String>,
    /// How many rows
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    pub rows: usize,
}

impl Source {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("source is not in this version"))
    }
}
