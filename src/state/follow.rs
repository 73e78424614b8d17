//! Small questions that are asked again and again by whoever follows the run log.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::error::StateError;
use super::records::{EventRecord, RunRecord};
use super::rows::{EventRow, RunRow};
use super::runs::open_statuses;
use super::schema::{run_events, runs};

/// So many ids go into one question.
const IDS_AT_ONCE: usize = 500;

impl Store {
    /// Returns the ids of the closed runs begun at or after an instant, of one job or of all.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn closed_since(&mut self, job: Option<&str>, since: DateTime<Utc>) -> Result<Vec<String>, StateError> {
        self.read(|connection| {
            let mut query = runs::table
                .filter(runs::started_at.ge(naive(since)))
                .filter(runs::completed_at.is_not_null())
                .select(runs::id)
                .into_boxed();
            if let Some(job) = job {
                query = query.filter(runs::job.eq(job));
            }
            query.load(connection)
        })
    }

    /// Returns the ids of the runs that are not closed, of one job or of all.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn open_run_ids(&mut self, job: Option<&str>) -> Result<Vec<String>, StateError> {
        self.read(|connection| {
            let mut query = runs::table.filter(runs::status.eq_any(open_statuses())).select(runs::id).into_boxed();
            if let Some(job) = job {
                query = query.filter(runs::job.eq(job));
            }
            query.load(connection)
        })
    }

    /// Returns runs by their ids, in the order in which they were begun.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn runs_named(&mut self, ids: &[String]) -> Result<Vec<RunRecord>, StateError> {
        self.read(|connection| {
            let mut found = Vec::with_capacity(ids.len());
            for ids in ids.chunks(IDS_AT_ONCE) {
                let rows: Vec<RunRow> = runs::table.filter(runs::id.eq_any(ids)).select(RunRow::as_select()).load(connection)?;
                found.extend(rows.into_iter().map(RunRecord::from));
            }
            found.sort_by(|left, right| (left.started_at, &left.id).cmp(&(right.started_at, &right.id)));
            Ok(found)
        })
    }

    /// Returns the lines of a run's execution log behind the first `known`.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn events_behind(&mut self, run_id: &str, known: u64) -> Result<Vec<EventRecord>, StateError> {
        self.read(|connection| {
            let rows: Vec<EventRow> = run_events::table
                .filter(run_events::run_id.eq(run_id))
                .filter(run_events::sequence.gt(i64::try_from(known).unwrap_or(i64::MAX)))
                .order(run_events::sequence)
                .select(EventRow::as_select())
                .load(connection)?;
            Ok(rows.into_iter().map(EventRecord::from).collect())
        })
    }
}
