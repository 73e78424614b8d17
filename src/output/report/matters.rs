//! What wants somebody, and what to type. Of what `check` finds it says the same; runs that failed, missed slots and rejected rows come
//! from the span.

use chrono::{DateTime, Utc};

use super::words::clock;
use crate::engine::survey::{BrokenFile, JobSurvey, Standing, Survey};
use crate::output::findings::{self, Kind, Severity};
use crate::run::due::SlotStatus;
use crate::text::{count, grouped, shortened};
use crate::zone::Zone;

/// An error in a line is cut behind so many characters.
const ERROR_SHOWN: usize = 300;

/// One thing that wants somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matter {
    /// The job; `None` for a file that is none.
    pub(super) job: Option<String>,
    /// How the job stands.
    pub(super) standing: Standing,
    /// What is the matter.
    pub(super) reason: String,
    /// What to type.
    pub(super) command: String,
    /// What is worst comes first; what is over, last.
    rank: (Standing, u8),
}

/// Returns what wants somebody, what is worst first, then by the jobs' ids.
pub(super) fn matters(survey: &Survey, zone: Zone) -> Vec<Matter> {
    let mut found: Vec<Matter> = survey.jobs.iter().flat_map(|job| of_job(job, zone)).collect();
    found.extend(survey.broken.iter().map(|BrokenFile { file, errors }| Matter {
        job: None,
        standing: Standing::Broken,
        reason: format!("{file} has {}: the job does not run", count(*errors, "error")),
        command: "etlsched validate".to_owned(),
        rank: (Standing::Broken, 0),
    }));
    // The sort is stable: matters of a job stay together.
    found.sort_by_key(|matter| matter.rank);
    found
}

fn of_job(job: &JobSurvey, zone: Zone) -> Vec<Matter> {
    let id = &job.id;
    let matter = |reason, command, rank| Matter { job: Some(id.clone()), standing: job.standing, reason, command, rank };
    let error = || job.lane.last_error.as_deref().map(|error| format!(": {}", shortened(error, ERROR_SHOWN))).unwrap_or_default();
    let found = job.health.as_ref().map(|health| findings::of_job(health, zone)).unwrap_or_default();
    let mut matters = Vec::new();
    for finding in found.into_iter().filter(|finding| finding.severity != Severity::Note) {
        let why = if finding.kind == Kind::Error { error() } else { String::new() };
        matters.push(matter(format!("{}{why}", finding.reason), finding.remedy, (job.standing, 0)));
    }
    if job.standing == Standing::Failing {
        let at = job.last_run_at.map(|at| format!(" of {}", clock(at, zone))).unwrap_or_default();
        let failures = job.health.as_ref().map_or(0, |health| health.consecutive_failures);
        let row = if failures > 1 { format!(", the {} in a row", ordinal(failures)) } else { String::new() };
        matters.push(matter(format!("the run{at} failed{row}{}", error()), format!("etlsched logs {id} --run last"), (job.standing, 0)));
    }
    if let Some(reason) = missed(job, zone) {
        matters.push(matter(reason, "etlsched schedule status".to_owned(), (Standing::Ok, 0)));
    }
    if job.lane.rejected > 0 {
        let reason = format!("{} kept aside in its reject files", count(job.lane.rejected, "row"));
        matters.push(matter(reason, format!("etlsched logs {id}"), (Standing::Ok, 1)));
    }
    matters
}

fn missed(job: &JobSurvey, zone: Zone) -> Option<String> {
    let slots = || job.slots.iter().filter(|slot| slot.status == SlotStatus::Missed);
    let last: DateTime<Utc> = slots().map(|slot| slot.due_at).max()?;
    // Of a slot that is late more is said already.
    let late = job.health.as_ref().and_then(|health| health.late.as_ref()).map(|late| late.due_at);
    match slots().map(|slot| slot.slot_count).sum() {
        1 if late == Some(last) => None,
        1 => Some(format!("the slot of {} was missed", clock(last, zone))),
        slots => Some(format!("{} were missed, the last of {}", count(slots, "slot"), clock(last, zone))),
    }
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn ordinals_are_english() {
        assert_eq!([1, 2, 3, 11, 22].map(ordinal), ["1st", "2nd", "3rd", "11th", "22nd"]);
    }
}
