//! The runs of each job, in columns: a hundred thousand of them take a few megabytes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::causes::Causes;
use super::{Maskers, Scope};
use crate::run::{RunStatus, Trigger};
use crate::state::{FailureMark, RunMark, Span, StateError, Store};
use crate::text::percent;

/// So many runs are read at once.
const PAGE: usize = 5_000;

/// The ids of so many failed runs of a job are kept, the newest.
const FAILED_IDS_MAX: usize = 10;

/// How a run ended, or that it hasn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every source was refreshed.
    Success,
    /// At least one source was not.
    Failed,
    /// Ended by `timeout_minutes`.
    Timeout,
    /// Ended by a signal or by `cancel`.
    Cancelled,
    /// Its process ended without closing it.
    Interrupted,
    /// It goes on.
    Running,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [Self::Success, Self::Failed, Self::Timeout, Self::Cancelled, Self::Interrupted, Self::Running];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Running => "running",
        }
    }

    /// Whether it counts against the success rate.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout | Self::Interrupted)
    }
}

/// Whether a run with this status failed.
pub(super) fn is_failure(status: RunStatus) -> bool {
    matches!(status, RunStatus::Failed | RunStatus::Timeout)
}

/// A job's runs, oldest first, one column a fact.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lane {
    /// When each began.
    pub started_at: Vec<DateTime<Utc>>,
    /// How long each took; 0 where it goes on.
    pub seconds: Vec<f32>,
    /// Rows taken from the sources by each.
    pub rows: Vec<u64>,
    /// How each ended.
    pub outcomes: Vec<Outcome>,
    /// What started each.
    pub triggers: Vec<Trigger>,
    /// Rows kept aside by all of them.
    pub rejected: u64,
    /// The failed runs, oldest first: the place of each, and of its cause among the survey's, where that is listed.
    pub failed: Vec<(usize, Option<usize>)>,
    /// The ids of the newest failed runs, with their places.
    pub failed_ids: Vec<(usize, String)>,
    /// Why the newest failed run failed.
    pub last_error: Option<String>,
}

impl Lane {
    /// Whether the job had no run.
    pub fn is_empty(&self) -> bool {
        self.started_at.is_empty()
    }

    /// Returns how many runs ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.iter().filter(|each| **each == outcome).count() as u64
    }

    /// Returns how many runs count against the success rate.
    pub fn failures(&self) -> u64 {
        self.outcomes.iter().filter(|outcome| outcome.is_failure()).count() as u64
    }

    /// Returns how many of a hundred runs that ended were good.
    pub fn success_rate(&self) -> Option<f64> {
        let (good, bad) = (self.count(Outcome::Success), self.failures());
        percent(good, good + bad)
    }

    /// Returns the median time of good runs.
    pub fn median_seconds(&self) -> Option<f64> {
        let good = self.seconds.iter().zip(&self.outcomes).filter(|(_, outcome)| **outcome == Outcome::Success);
        let mut seconds: Vec<f32> = good.map(|(seconds, _)| *seconds).collect();
        seconds.sort_by(f32::total_cmp);
        seconds.get(seconds.len() / 2).map(|seconds| f64::from(*seconds))
    }

    /// Returns the rows that all runs took from the sources.
    pub fn rows_read(&self) -> u64 {
        self.rows.iter().sum()
    }

    fn push(&mut self, run: &RunMark, outcome: Outcome) {
        self.started_at.push(run.started_at);
        self.seconds.push(run.duration_seconds.unwrap_or(0.0).max(0.0) as f32);
        self.rows.push(run.rows);
        self.outcomes.push(outcome);
        self.triggers.push(run.trigger);
        self.rejected += run.rejected;
    }

    /// Runs come the newest first and are kept the oldest first.
    fn turn(&mut self) {
        self.started_at.reverse();
        self.seconds.reverse();
        self.rows.reverse();
        self.outcomes.reverse();
        self.triggers.reverse();
        self.failed.reverse();
        let last = self.started_at.len().saturating_sub(1);
        self.failed.iter_mut().for_each(|(place, _)| *place = last - *place);
        self.failed_ids.iter_mut().for_each(|(place, _)| *place = last - *place);
    }
}

/// What the run log gave.
pub(super) struct Gathered {
    pub(super) since: DateTime<Utc>,
    pub(super) lanes: BTreeMap<String, Lane>,
    pub(super) causes: Causes,
}

impl Gathered {
    pub(super) fn empty(scope: &Scope<'_>) -> Self {
        Self { since: scope.since, lanes: BTreeMap::new(), causes: Causes::default() }
    }
}

/// Reads the runs of the span, the newest first, until there are `runs_max`.
pub(super) fn gather(store: &mut Store, maskers: &Maskers<'_>, scope: &Scope<'_>, dead: &BTreeSet<String>) -> Result<Gathered, StateError> {
    let span = Span { since: scope.since, jobs: scope.only.to_vec() };
    let mut gathered = Gathered::empty(scope);
    let mut left = scope.runs_max;
    let mut before: Option<RunMark> = None;
    loop {
        let page = store.run_marks(&span, before.as_ref(), PAGE.min(left + 1))?;
        let is_cut = page.len() > left;
        let taken = &page[..page.len().min(left)];
        take(store, maskers, taken, dead, &mut gathered)?;
        left -= taken.len();
        if is_cut {
            gathered.since = taken.last().or(before.as_ref()).map_or(scope.since, |run| run.started_at);
        }
        match page.into_iter().next_back() {
            Some(last) if !is_cut => before = Some(last),
            _ => break,
        }
    }
    gathered.lanes.values_mut().for_each(Lane::turn);
    Ok(gathered)
}

fn take(
    store: &mut Store,
    maskers: &Maskers<'_>,
    runs: &[RunMark],
    dead: &BTreeSet<String>,
    gathered: &mut Gathered,
) -> Result<(), StateError> {
    let failed: Vec<String> = runs.iter().filter(|run| is_failure(run.status)).map(|run| run.id.clone()).collect();
    let mut failures: BTreeMap<String, Vec<FailureMark>> = BTreeMap::new();
    for failure in store.failure_marks(&failed)? {
        failures.entry(failure.run_id.clone()).or_default().push(failure);
    }
    for run in runs {
        let lane = gathered.lanes.entry(run.job.clone()).or_default();
        let outcome = outcome(run, dead);
        lane.push(run, outcome);
        if outcome.is_failure() {
            let of_sources = failures.remove(&run.id).unwrap_or_default();
            let cause = gathered.causes.add(run, outcome, &of_sources, maskers);
            let place = lane.started_at.len() - 1;
            lane.failed.push((place, cause));
            if lane.failed_ids.len() < FAILED_IDS_MAX {
                lane.failed_ids.push((place, run.id.clone()));
            }
            if lane.last_error.is_none() {
                let text = run.error.as_deref().or_else(|| of_sources.first().map(|failure| failure.message.as_str()));
                lane.last_error = text.map(|text| maskers.mask(&run.job, text));
            }
        }
    }
    Ok(())
}

fn outcome(run: &RunMark, dead: &BTreeSet<String>) -> Outcome {
    match run.status {
        RunStatus::Started | RunStatus::Running if dead.contains(&run.id) => Outcome::Interrupted,
        RunStatus::Started | RunStatus::Running => Outcome::Running,
        RunStatus::Success => Outcome::Success,
        RunStatus::Failed if run.is_interrupted => Outcome::Interrupted,
        RunStatus::Failed => Outcome::Failed,
        RunStatus::Cancelled => Outcome::Cancelled,
        RunStatus::Timeout => Outcome::Timeout,
    }
}
