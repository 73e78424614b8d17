//! `etlsched json-schema`.

use clap::{Args, ValueEnum};

use super::Context;
use crate::error::Failure;
use crate::{exit_code, job, output};

/// Print the JSON Schema of a job file or of etlsched.yaml
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  etlsched json-schema job\n  etlsched json-schema workspace > .etlsched/workspace.schema.json")]
pub struct JsonSchema {
    /// Which file
    #[arg(value_enum)]
    pub document: Document,
}

/// A file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// jobs/*.yaml
    Job,
    /// etlsched.yaml
    Workspace,
}

impl JsonSchema {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// None.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        output::json::print(&match self.document {
            Document::Job => job::json_schema::job(),
            Document::Workspace => job::json_schema::workspace(),
        });
        Ok(exit_code::DONE)
    }
}
