//! What is known of one stream of a source in a run. Pure.

use std::time::Instant;

use crate::plan::{Phase, StreamResult, WorkerError};
use crate::run::{Counts, SourceStatus};

/// A stream of a source in a run.
#[derive(Debug, Clone)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// Its target table.
    pub target: String,
    /// How it ended, or that it hasn't.
    pub status: SourceStatus,
    /// What it is doing, while it runs.
    pub phase: Option<Phase>,
    /// Rows staged so far.
    pub rows: u64,
    /// Bytes taken so far, and in all where the source knows.
    pub bytes: (u64, Option<u64>),
    /// What was published.
    pub result: Option<StreamResult>,
    /// Why nothing was.
    pub error: Option<WorkerError>,
    /// Rows rejected by a load that failed.
    pub rejected: u64,
    /// The attempt that it ended in, or is in.
    pub attempt: u32,
    pub(super) answer: Answered,
    /// An earlier run of the slot has published it.
    pub(super) is_published_before: bool,
    pub(super) began: Option<Instant>,
    pub(super) seconds: Option<f64>,
}

/// What the worker was answered to its `ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    Nothing,
    Publish,
    Drop,
}

impl StreamReport {
    pub(super) fn new(name: String, target: String, attempt: u32) -> Self {
        Self {
            name,
            target,
            attempt,
            status: SourceStatus::Waiting,
            phase: None,
            rows: 0,
            bytes: (0, None),
            result: None,
            error: None,
            rejected: 0,
            answer: Answered::Nothing,
            is_published_before: false,
            began: None,
            seconds: None,
        }
    }

    /// Returns what became of its rows.
    pub fn counts(&self) -> Counts {
        match &self.result {
            Some(result) => result.counts,
            None => Counts { rejected: self.rejected, ..Counts::default() },
        }
    }

    /// Returns how long it took, once it has ended.
    pub fn duration_seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// Returns how fast its rows came: over its whole time, or so far.
    pub fn rows_per_second(&self) -> Option<f64> {
        let seconds = self.seconds.or_else(|| self.began.map(|began| began.elapsed().as_secs_f64()))?;
        (seconds > 0.0 && self.rows > 0).then(|| self.rows as f64 / seconds)
    }

    pub(super) fn end(&mut self, status: SourceStatus) {
        self.status = status;
        self.seconds = self.began.map(|began| began.elapsed().as_secs_f64());
    }

    pub(super) fn is_settled(&self) -> bool {
        self.result.is_some() || self.error.is_some() || self.is_published_before
    }

    pub(super) fn is_published(&self) -> bool {
        self.status == SourceStatus::Success || self.is_published_before
    }
}
