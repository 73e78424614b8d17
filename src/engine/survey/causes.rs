//! Failures by what caused them: one entry for an error however many runs met it, its numbers left out of account.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Maskers;
use super::lanes::Outcome;
use crate::state::{FailureMark, RunMark};
use crate::text::shortened;

/// Causes beyond are counted, not listed.
const CAUSES_MAX: usize = 100;

/// The jobs of a cause beyond are counted, not named.
const JOBS_NAMED_MAX: usize = 12;

/// A text that is longer is cut.
const TEXT_MAX: usize = 1_000;

/// Why sources or runs failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The stable word of the error; `run` where it is the run's as a whole.
    pub code: String,
    /// What happened, the last time.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// How often.
    pub times: u64,
    /// The jobs concerned, some by name.
    pub jobs: Vec<String>,
    /// How many jobs are concerned.
    pub job_count: u64,
    /// When it first happened in the span.
    pub first_at: DateTime<Utc>,
    /// When it last did.
    pub last_at: DateTime<Utc>,
    /// The run in which it last did.
    pub last_run_id: String,
}

/// The causes while runs are read, the newest first.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// By code and the message's shape.
    places: BTreeMap<(String, String), usize>,
    found: Vec<(Cause, BTreeSet<String>)>,
    others: u64,
}

impl Causes {
    /// Adds a run that failed; returns the place of its first cause, where that is listed.
    pub(super) fn add(&mut self, run: &RunMark, outcome: Outcome, failures: &[FailureMark], maskers: &Maskers<'_>) -> Option<usize> {
        if failures.is_empty() {
            let (code, message) = match (outcome, &run.error) {
                (Outcome::Interrupted, None) => ("interrupted", "its process is gone and no later run has settled it yet"),
                (Outcome::Interrupted, Some(error)) => ("interrupted", error.as_str()),
                (Outcome::Timeout, error) => ("timeout", error.as_deref().unwrap_or("the run reached its time limit")),
                (_, error) => ("run", error.as_deref().unwrap_or("no reason is in the log")),
            };
            return self.add_one(run, code, message, None, maskers);
        }
        let mut first = None;
        for failure in failures {
            let place = self.add_one(run, &failure.code, &failure.message, failure.hint.as_deref(), maskers);
            first = first.or(place);
        }
        first
    }

    fn add_one(&mut self, run: &RunMark, code: &str, message: &str, hint: Option<&str>, maskers: &Maskers<'_>) -> Option<usize> {
        let masked = |text: &str| shortened(&maskers.mask(&run.job, text), TEXT_MAX).into_owned();
        let message = masked(message);
        let key = (code.to_owned(), shape(&message));
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.found.len() >= CAUSES_MAX => {
                self.others += 1;
                return None;
            }
            None => {
                let cause = Cause {
                    code: code.to_owned(),
                    message,
                    hint: hint.map(masked),
                    times: 0,
                    jobs: Vec::new(),
                    job_count: 0,
                    first_at: run.started_at,
                    last_at: run.started_at,
                    last_run_id: run.id.clone(),
                };
                self.found.push((cause, BTreeSet::new()));
                self.places.insert(key, self.found.len() - 1);
                self.found.len() - 1
            }
        };
        let (cause, jobs) = &mut self.found[place];
        cause.times += 1;
        cause.first_at = run.started_at;
        if !jobs.contains(&run.job) {
            jobs.insert(run.job.clone());
        }
        Some(place)
    }

    /// Returns the causes in the order in which they were added (lanes know them by it), and the failures beyond.
    pub(super) fn finish(self) -> (Vec<Cause>, u64) {
        let finish = |(mut cause, jobs): (Cause, BTreeSet<String>)| {
            cause.job_count = jobs.len() as u64;
            cause.jobs = jobs.into_iter().take(JOBS_NAMED_MAX).collect();
            cause
        };
        (self.found.into_iter().map(finish).collect(), self.others)
    }
}

/// Returns the text with each number, and each word of hexadecimal digits, as `#`: row 17 and row 18 are one cause.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut word = String::new();
    for character in text.chars().chain(std::iter::once(' ')) {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        if word.contains(|digit: char| digit.is_ascii_digit()) {
            shape.push('#');
        } else {
            shape.push_str(&word);
        }
        word.clear();
        shape.push(character);
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn numbers_are_no_part_of_a_cause() {
        assert_eq!(shape("row 1204: 1e400 does not fit"), shape("row 7: 2e999 does not fit"));
        assert_eq!(shape("run 0199-ab12 of db1:5432"), "run #-# of #:# ");
        assert_ne!(shape("no table orders"), shape("no table customers"));
    }
}
