//! What is wrong with a file, and where.

use std::path::PathBuf;

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The job runs all the same.
    Warning,
    /// The job doesn't run.
    Error,
}

/// What a problem is about: who tells of it says more by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// What stands in the file.
    Definition,
    /// A variable that the file names and that has no value here: only where the job is run it has to.
    Variable,
}

/// One problem of a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// From 1; 0 where the problem has no line (a file that can't be read).
    pub line: usize,
    /// From 1, in characters; 0 where there is none.
    pub column: usize,
    /// The line itself.
    pub line_text: String,
    /// How grave it is.
    pub severity: Severity,
    /// What it is about.
    pub matter: Matter,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
