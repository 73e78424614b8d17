//! What comes: the next slots of each job, and the load that they make. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{JobSurvey, Scope};
use crate::job::Job;
use crate::schedule::Schedule;
use crate::schedule::forecast::{self, Expected, Forecast};
use crate::state::{JobRecord, JobStatus};

/// What is reckoned with where no run of the span was good.
const UNKNOWN_DURATION: TimeDelta = TimeDelta::minutes(1);

/// So many slots of a job are listed: a week of one every quarter of an hour, which is as far as one can look ahead.
const NEXT_MAX: usize = 672;

/// The load to come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coming {
    /// Hour by hour, and which jobs run at once.
    pub forecast: Forecast,
    /// Jobs with slots whose runs are reckoned with a minute, since none of the span was good.
    pub unknown: u64,
}

/// Foretells the load of the jobs that their schedules start, each with the median time of its good runs.
pub(super) fn coming(jobs: &[Job], surveyed: &[JobSurvey], scope: &Scope<'_>) -> Coming {
    let surveyed: BTreeMap<&str, &JobSurvey> = surveyed.iter().map(|job| (job.id.as_str(), job)).collect();
    let mut expected = Vec::new();
    let mut unknown = 0;
    for job in jobs.iter().filter(|job| job.schedule != Schedule::Manual) {
        let Some(survey) = surveyed.get(job.id.as_str()).filter(|survey| !survey.next.is_empty()) else { continue };
        let known = survey.lane.median_seconds().and_then(|seconds| TimeDelta::try_milliseconds((seconds * 1000.0) as i64));
        unknown += u64::from(known.is_none());
        let duration = known.unwrap_or(UNKNOWN_DURATION);
        expected.push(Expected { job: survey.id.clone(), schedule: job.schedule.clone(), zone: job.timezone, duration });
    }
    Coming { forecast: forecast::forecast(&expected, scope.now, scope.until), unknown }
}

/// Returns the first slots that a job will start: none while it isn't active, those after a pause that has an end.
pub(super) fn next(job: &Job, status: JobStatus, record: Option<&JobRecord>, scope: &Scope<'_>) -> Vec<DateTime<Utc>> {
    let from = match (status, record.and_then(|record| record.paused_until)) {
        (JobStatus::Active, _) => scope.now + TimeDelta::seconds(1),
        (JobStatus::Paused, Some(until)) => until,
        _ => return Vec::new(),
    };
    if from >= scope.until {
        return Vec::new();
    }
    job.schedule.between(job.timezone, from, scope.until).into_iter().map(|slot| slot.at).take(NEXT_MAX).collect()
}
