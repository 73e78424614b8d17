//! What wants somebody, and what to type. Of what `check` finds it says the same; runs that failed, missed slots and rejected rows come
//! from the span.

use chrono::{DateTime, Utc};

use super::summary::class;
use super::words::clock;
use crate::engine::survey::{BrokenFile, JobSurvey, Standing, Survey};
use crate::output::findings::{self, Kind, Severity};
use crate::run::due::SlotStatus;
use crate::text::{count, grouped, shortened};
use crate::zone::Zone;

/// An error in a line is cut behind so many characters.
const ERROR_SHOWN: usize = 300;

/// Missed slots of so many jobs are said one by one.
const MISSED_APART: usize = 5;

/// One thing that wants somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matter {
    /// The job; `None` for a file that is none.
    pub(super) job: Option<String>,
    /// A word for it.
    pub(super) word: &'static str,
    /// The style class of the word.
    pub(super) class: &'static str,
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
    found.extend(missed(survey, zone));
    found.extend(survey.broken.iter().map(|broken| Matter {
        job: None,
        word: Standing::Broken.as_str(),
        class: class(Standing::Broken),
        reason: broken_words(broken),
        command: "etlsched validate".to_owned(),
        rank: (Standing::Broken, 0),
    }));
    // The sort is stable: matters of a job stay together.
    found.sort_by_key(|matter| matter.rank);
    found
}

fn broken_words(broken: &BrokenFile) -> String {
    let BrokenFile { job, file, is_setting, errors } = broken;
    let errors = count(*errors, "error");
    if *is_setting {
        format!("{job} has {errors} at {file}: the job does not run")
    } else {
        format!("{file} has {errors}: the job does not run")
    }
}

fn of_job(job: &JobSurvey, zone: Zone) -> Vec<Matter> {
    let id = &job.id;
    let (word, class) = (job.standing.as_str(), class(job.standing));
    let matter = |reason, command| Matter { job: Some(id.clone()), word, class, reason, command, rank: (job.standing, 0) };
    let error = || job.lane.last_error.as_deref().map(|error| format!(": {}", shortened(error, ERROR_SHOWN))).unwrap_or_default();
    let found = job.health.as_ref().map(|health| findings::of_job(health, zone)).unwrap_or_default();
    let mut matters = Vec::new();
    for finding in found.into_iter().filter(|finding| finding.severity != Severity::Note) {
        let why = if finding.kind == Kind::Error { error() } else { String::new() };
        matters.push(matter(format!("{}{why}", finding.reason), finding.remedy));
    }
    if job.standing == Standing::Failing {
        let at = job.last_run_at.map(|at| format!(" of {}", clock(at, zone))).unwrap_or_default();
        let failures = job.health.as_ref().map_or(0, |health| health.consecutive_failures);
        let row = if failures > 1 { format!(", the {} in a row", ordinal(failures)) } else { String::new() };
        matters.push(matter(format!("the run{at} failed{row}{}", error()), format!("etlsched logs {id} --run last")));
    }
    if job.lane.rejected > 0 && job.standing != Standing::Gone {
        let reason = format!("{} kept aside in its reject files", count(job.lane.rejected, "row"));
        matters.push(Matter {
            word: "rejected",
            class: "late",
            rank: (Standing::Gone, 1),
            ..matter(reason, format!("etlsched logs {id}"))
        });
    }
    matters
}

/// Slots that nobody started and that are over: one entry a job, or one for all where there are many.
fn missed(survey: &Survey, zone: Zone) -> Vec<Matter> {
    let missed: Vec<(&str, u64, DateTime<Utc>)> = survey.jobs.iter().filter_map(missed_of).collect();
    let matter = |job: Option<&str>, reason| Matter {
        job: job.map(str::to_owned),
        word: "missed",
        class: "late",
        reason,
        command: "etlsched schedule status".to_owned(),
        rank: (Standing::Gone, 0),
    };
    if missed.len() > MISSED_APART {
        let slots: u64 = missed.iter().map(|(_, slots, _)| slots).sum();
        let last = missed.iter().map(|(_, _, last)| *last).max().unwrap_or(survey.now);
        let names: Vec<&str> = missed.iter().take(MISSED_APART).map(|(id, ..)| *id).collect();
        let (slots, jobs, names) = (count(slots, "slot"), count(missed.len() as u64, "job"), names.join(", "));
        return vec![matter(None, format!("{slots} of {jobs} ({names}, ...) were missed in this span, the last of {}", clock(last, zone)))];
    }
    let one = |(id, slots, last): &(&str, u64, DateTime<Utc>)| {
        let last = clock(*last, zone);
        let reason = if *slots == 1 {
            format!("the slot of {last} was missed")
        } else {
            format!("{} were missed, the last of {last}", count(*slots, "slot"))
        };
        matter(Some(id), reason)
    };
    missed.iter().map(one).collect()
}

/// Returns how many slots of a job nobody started, and the last; nothing of one without a file.
pub(super) fn missed_of(job: &JobSurvey) -> Option<(&str, u64, DateTime<Utc>)> {
    if job.standing == Standing::Gone {
        return None;
    }
    let slots = || job.slots.iter().filter(|slot| slot.status == SlotStatus::Missed);
    let last: DateTime<Utc> = slots().map(|slot| slot.due_at).max()?;
    let number = slots().map(|slot| slot.slot_count).sum();
    // Of a slot that is late more is said already.
    let late = job.health.as_ref().and_then(|health| health.late.as_ref()).map(|late| late.due_at);
    (number > 1 || late != Some(last)).then_some((job.id.as_str(), number, last))
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
