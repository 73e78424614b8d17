//! `etlsched json-schema`.

use clap::Args;

use super::Context;
use crate::error::Failure;

/// Print the JSON Schema of a job file or of etlsched.yaml
#[derive(Debug, Args)]
pub struct JsonSchema {
    /// job or workspace
    pub document: String,
}

impl JsonSchema {
    /// Runs the command; returns its exit code.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub fn run(self, _context: &Context) -> Result<u8, Failure> {
        Err(Failure::internal("json-schema is not in this version"))
    }
}
