//! `etlsched delete`.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use serde_json::json;

use super::Context;
use crate::error::Failure;
use crate::exit_code;
use crate::output::{self, Format};
use crate::workspace::NoJob;

/// Remove a job's file; run logs stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched delete daily_sales\n  etlsched delete daily_sales --yes")]
pub struct Delete {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
}

impl Delete {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, context: &Context) -> Result<u8, Failure> {
        let Self { job, yes } = self;
        let workspace = context.workspace()?;
        let id = super::job_id(&workspace, &job)?;
        let file = workspace.job_file(&id);
        // A file that is no valid job can be removed all the same.
        if !file.exists() && !file.is_symlink() {
            return Err(super::no_job(&id, NoJob::Unknown(workspace.nearest(id.as_str()))));
        }
        let shown = workspace.shown(&file);
        if !yes {
            if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
                return Err(Failure::usage(format!("deleting job {id} needs a confirmation")).hint("add --yes"));
            }
            output::note(&format!("delete {}? Run logs and tables stay. [y/N]", shown.display()));
            let mut answer = String::new();
            let _ = io::stdin().lock().read_line(&mut answer);
            if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
                output::note("nothing was deleted");
                return Ok(exit_code::FAILED);
            }
        }
        std::fs::remove_file(&file)
            .map_err(|error| Failure::new(exit_code::FAILED, "io", format!("deleting {}: {error}", shown.display())))?;
        if context.output == Format::Json {
            output::json::print(&json!({"success": true, "id": id.as_str(), "file": shown}));
        } else if !context.quiet {
            output::print(&format!("deleted {}", shown.display()));
        }
        Ok(exit_code::DONE)
    }
}
