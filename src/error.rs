//! What a command ends with when it can't do what it was told: exit code, message, hint.

use std::collections::HashSet;
use std::fmt;

use crate::engine::Refusal;
use crate::exit_code;
use crate::job::Problem;
use crate::state::StateError;

/// Why a command could not do what it was told.
#[derive(Debug)]
pub struct Failure {
    /// One of [`crate::exit_code`].
    pub exit_code: u8,
    /// A stable word for scripts.
    pub code: &'static str,
    /// What was attempted, on what, what happened: a lower-case fragment.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// `file:line:column`, where there is a place.
    pub location: Option<String>,
    /// Every problem of the files, where that is why.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// Makes a failure with an exit code, a word for scripts and a message.
    pub fn new(exit_code: u8, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit_code, code, message: message.into(), hint: None, location: None, problems: Vec::new() }
    }

    /// Wrong usage: exit 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit_code::USAGE, "usage", message)
    }

    /// A fault of etlsched itself: exit 70.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(exit_code::INTERNAL, "internal", message)
    }

    /// Files with problems: exit 4.
    pub fn invalid(mut problems: Vec<Problem>) -> Self {
        // A setting that is wrong is met by every job.
        let mut known = HashSet::new();
        problems.retain(|problem| known.insert((problem.file.clone(), problem.line, problem.column, problem.message.clone())));
        Self { problems, ..Self::new(exit_code::INVALID, "invalid", "invalid definition") }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let hint = error.hint();
        Self { hint, ..Self::new(exit_code::FAILED, "state_store", error.to_string()) }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal.hint();
        match refusal {
            Refusal::Invalid(problems) => Self::invalid(problems),
            refusal => Self { hint, ..Self::new(refusal.exit_code(), refusal.code(), refusal.to_string()) },
        }
    }
}
