//! What wants somebody, and what to type: made of how the jobs stand.

use chrono::{DateTime, Utc};

use super::{BrokenFile, JobSurvey, Known, Maskers, Standing};
use crate::engine::health::{Health, StuckReason};
use crate::run::due::SlotStatus;

/// One thing that wants somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// The job; `None` for a file that is none.
    pub job: Option<String>,
    /// How grave it is.
    pub standing: Standing,
    /// What is the matter.
    pub reason: Reason,
    /// What to type.
    pub command: String,
}

/// What is the matter, as facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The job was put into `error`.
    InError {
        /// When.
        since: Option<DateTime<Utc>>,
        /// Runs in a row that refreshed nothing.
        failures: u64,
        /// Why the last one failed.
        error: Option<String>,
    },
    /// A run doesn't end.
    Stuck {
        /// When it began.
        since: DateTime<Utc>,
        /// Whether its process is gone, and nobody has settled it.
        is_dead: bool,
    },
    /// A slot was not started in time.
    Late {
        /// When it was due.
        due_at: DateTime<Utc>,
    },
    /// No run succeeded by the job's deadline.
    Deadline {
        /// The deadline.
        at: DateTime<Utc>,
    },
    /// The last run failed.
    Failing {
        /// When it began.
        at: Option<DateTime<Utc>>,
        /// Runs in a row that refreshed nothing.
        failures: u64,
        /// Why it failed.
        error: Option<String>,
    },
    /// The file has errors.
    Broken {
        /// The file.
        file: String,
        /// How many.
        errors: u64,
    },
    /// Slots of the span that nobody started in time.
    Missed {
        /// How many.
        slots: u64,
        /// The last of them.
        last_at: DateTime<Utc>,
    },
    /// Rows that were kept aside in the span.
    Rejected {
        /// How many.
        rows: u64,
    },
}

/// Returns when a job's data should have been fresh, where they aren't.
pub(super) fn overdue_since(health: &Health) -> Option<DateTime<Utc>> {
    let late = health.late.as_ref().map(|late| late.due_at);
    let deadline = health.deadline.as_ref().map(|deadline| deadline.at);
    late.into_iter().chain(deadline).min()
}

/// Returns what wants somebody, what is worst first, the job's id then.
pub(super) fn matters(jobs: &[JobSurvey], known: &Known, broken: &[BrokenFile], maskers: &Maskers<'_>) -> Vec<Matter> {
    let mut found: Vec<Matter> = jobs.iter().flat_map(|job| of_job(job, known)).collect();
    found.extend(broken.iter().map(|BrokenFile { file, errors }| Matter {
        job: None,
        standing: Standing::Broken,
        reason: Reason::Broken { file: maskers.workspace.masker.mask(file), errors: *errors },
        command: "etlsched validate".to_owned(),
    }));
    // The sort is stable: matters of a job stay together, its worst first.
    found.sort_by_key(|matter| matter.rank());
    found
}

impl Matter {
    /// Missed slots and rejected rows of a job that is well now come last.
    fn rank(&self) -> (Standing, u8) {
        match self.reason {
            Reason::Missed { .. } => (Standing::Ok, 0),
            Reason::Rejected { .. } => (Standing::Ok, 1),
            _ => (self.standing, 0),
        }
    }
}

fn of_job(job: &JobSurvey, known: &Known) -> Vec<Matter> {
    let matter = |reason, command: String| Matter { job: Some(job.id.clone()), standing: job.standing, reason, command };
    let id = &job.id;
    let health = known.health.get(id);
    let record = known.records.get(id);
    let failures = record.map_or(0, |record| record.consecutive_failures);
    let error = || job.lane.last_error.clone();
    let mut found = Vec::new();
    match job.standing {
        Standing::InError => {
            let since = record.map(|record| record.status_changed_at);
            found.push(matter(Reason::InError { since, failures, error: error() }, format!("etlsched run {id}")));
        }
        Standing::Stuck => found.extend(health.and_then(|health| health.stuck.as_ref()).map(|stuck| {
            let is_dead = stuck.reason == StuckReason::Interrupted;
            let command = if is_dead { format!("etlsched run {id}") } else { format!("etlsched cancel {id}") };
            matter(Reason::Stuck { since: stuck.started_at, is_dead }, command)
        })),
        Standing::Failing => {
            found.push(matter(Reason::Failing { at: job.last_run_at, failures, error: error() }, format!("etlsched logs {id} --run last")));
        }
        _ => {}
    }
    if let Some(deadline) = health.and_then(|health| health.deadline.as_ref()) {
        found.push(matter(Reason::Deadline { at: deadline.at }, format!("etlsched run {id}")));
    } else if let Some(late) = health.and_then(|health| health.late.as_ref()) {
        found.push(matter(Reason::Late { due_at: late.due_at }, "etlsched schedule status".to_owned()));
    }
    let missed = || job.slots.iter().filter(|slot| slot.status == SlotStatus::Missed);
    if let Some(last_at) = missed().map(|slot| slot.due_at).max() {
        let slots = missed().map(|slot| slot.slot_count).sum();
        found.push(matter(Reason::Missed { slots, last_at }, "etlsched schedule status".to_owned()));
    }
    if job.lane.rejected > 0 {
        found.push(matter(Reason::Rejected { rows: job.lane.rejected }, format!("etlsched logs {id} --run last")));
    }
    found
}
