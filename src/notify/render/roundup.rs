//! What a message about several jobs says: in sentences, and a line for each job.

use crate::notify::message::{JobTrouble, Kind, Message, Roundup};
use crate::text::count;
use crate::zone::Zone;

use super::words::{NAME_MAX, clean, when};

/// A job of several.
#[derive(Debug, Clone)]
pub(crate) struct JobLine {
    /// Its name, and its id where that is another word.
    pub name: String,
    /// What is wrong with it, a part each.
    pub details: Vec<String>,
}

impl JobLine {
    /// Returns it as one text.
    pub(crate) fn text(&self) -> String {
        if self.details.is_empty() { self.name.clone() } else { format!("{}: {}", self.name, self.details.join("; ")) }
    }
}

/// Returns what the subject and the first line say.
pub(super) fn headline(roundup: &Roundup, message: &Message) -> String {
    let jobs = count(roundup.job_count, "job");
    match (message.kind, roundup.missed_count, roundup.deadline_count) {
        (Kind::Recovery, ..) if roundup.lacking_count == roundup.job_count => format!("{jobs} can run again: they have what was missing"),
        (Kind::Recovery, ..) if roundup.lacking_count > 0 => format!("{jobs} can run again"),
        (Kind::Recovery, ..) => format!("{jobs} can run again: their files are good"),
        (Kind::Invalid, ..) if roundup.lacking_count == roundup.job_count => {
            format!("{jobs} can't run: variables or secrets have no value")
        }
        (Kind::Invalid, ..) if roundup.lacking_count > 0 => {
            format!("{jobs} can't run: errors in files, variables or secrets without a value")
        }
        (Kind::Invalid, ..) => format!("{jobs} can't run: their files have errors"),
        (_, 0, _) => format!("{jobs} missed their deadlines"),
        (_, _, 0) => format!("{jobs} missed {}", count(message.slot_count.max(1), "run")),
        _ => format!("{jobs} missed runs or their deadlines"),
    }
}

/// Returns the sentences below the headline.
pub(super) fn lead(roundup: &Roundup, message: &Message) -> Vec<String> {
    if message.kind == Kind::Recovery {
        let mended = match roundup.lacking_count {
            0 => "Their files have no errors any more.",
            lacking if lacking == roundup.job_count => "Runs of them have begun.",
            _ => "Their files have no errors any more, or a run of them has begun.",
        };
        return vec![mended.to_owned()];
    }
    if message.kind == Kind::Invalid {
        let until = match roundup.lacking_count {
            0 => "the files are good",
            lacking if lacking == roundup.job_count => "their runs have what is missing; their files are good",
            _ => "what stands below is put right",
        };
        return vec![format!("Their schedules start nothing until {until}. The tables hold what the last good runs left.")];
    }
    let mut lead = Vec::new();
    if roundup.missed_count > 0 {
        let cause = "the host was off, or its scheduler doesn't run or doesn't know them";
        lead.push(format!("These times passed and nothing started the jobs: {cause}."));
    }
    if roundup.deadline_count > 0 {
        let which = if roundup.missed_count > 0 { "Where a deadline stands, no" } else { "No" };
        lead.push(format!("{which} run has succeeded since the slot before it, and the data should have been fresh by then."));
    }
    lead
}

/// Returns a line for each job.
pub(super) fn lines(message: &Message, zone: Zone) -> Vec<JobLine> {
    let jobs = message.roundup.iter().flat_map(|roundup| &roundup.jobs);
    jobs.take(Roundup::JOBS_MAX).map(|job| JobLine { name: name(job), details: details(job, zone) }).collect()
}

fn name(job: &JobTrouble) -> String {
    let (id, name) = (clean(&job.id, 63), clean(&job.name, NAME_MAX));
    if name.is_empty() || name == id { id } else { format!("{name} ({id})") }
}

fn details(job: &JobTrouble, zone: Zone) -> Vec<String> {
    let slots = job.slots.map(|(first, last)| match job.slot_count {
        0 | 1 => when(first, zone),
        runs => format!("{}, {} to {}", count(runs, "run"), when(first, zone), when(last, zone)),
    });
    let deadline = job.deadline.map(|at| format!("deadline {}", when(at, zone)));
    let problem = job.problem.as_deref().map(|problem| clean(problem, 300));
    slots.into_iter().chain(deadline).chain(problem).collect()
}

/// Returns what to type, each with what it does.
pub(super) fn commands(message: &Message, program: &str) -> Vec<(&'static str, String)> {
    let typed = |words: &str| format!("{program} {words}");
    match message.kind {
        Kind::Recovery => vec![("See how all jobs stand", typed("check"))],
        Kind::Invalid => vec![("See every problem of every file", typed("validate")), ("See how all jobs stand", typed("check"))],
        _ => vec![
            ("See whether the scheduler has them", typed("schedule status")),
            ("See how all jobs stand", typed("check")),
            ("Run every job that is due", typed("run --due")),
        ],
    }
}
