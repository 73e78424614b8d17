//! What the report says of the facts, in words. Times in the user's zone.

use chrono::{DateTime, Utc};

use super::matters::missed_of;
use crate::engine::survey::{Cause, JobSurvey, Standing, Survey};
use crate::text::{count, grouped, percent};
use crate::zone::Zone;

/// Returns a time to the minute: `2026-11-28 06:00`.
pub(super) fn clock(at: DateTime<Utc>, zone: Zone) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}

/// Returns how long ago, or in how long, roughly: `3 h`.
pub(super) fn rough(seconds: i64) -> String {
    match seconds.abs() {
        0..90 => "a minute".to_owned(),
        seconds @ 90..5_400 => format!("{} min", (seconds + 30) / 60),
        seconds @ 5_400..129_600 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// Returns the headline.
pub(super) fn headline(survey: &Survey) -> String {
    let gone = survey.count(Standing::Gone) as u64;
    // A file with errors that never ran is no job that is known.
    let unknown = broken(survey) - survey.count(Standing::Broken) as u64;
    let jobs = survey.jobs.len() as u64 - gone + unknown;
    let concerned = survey.jobs.iter().filter(|job| is_grave(job.standing)).count() as u64 + unknown;
    let marked = survey.jobs.iter().filter(|job| is_marked(job)).count() as u64;
    let said = match (jobs, concerned) {
        (0, _) if gone > 0 => "There are no jobs any more".to_owned(),
        (0, _) => "There are no jobs yet".to_owned(),
        (1, 0) => "The job needs no attention".to_owned(),
        (_, 0) => format!("None of {} needs attention", count(jobs, "job")),
        (_, 1) => format!("1 of {} needs attention", count(jobs, "job")),
        _ => format!("{} of {} need attention", grouped(concerned), count(jobs, "job")),
    };
    let more = if concerned > 0 { " more" } else { "" };
    let said = match (jobs, marked) {
        (_, 0) => said,
        (1, _) => format!("{said}, and has missed slots or rejected rows"),
        (_, 1) => format!("{said}; 1{more} has missed slots or rejected rows"),
        _ => format!("{said}; {}{more} have missed slots or rejected rows", grouped(marked)),
    };
    match gone {
        0 => said,
        1 => format!("{said}; 1 more has no file"),
        _ => format!("{said}; {} more have no file", grouped(gone)),
    }
}

/// Returns how many files have errors.
fn broken(survey: &Survey) -> u64 {
    survey.broken.len().max(survey.count(Standing::Broken)) as u64
}

/// Whether a job stands well, and yet in the list of what wants somebody: what is over is counted apart.
fn is_marked(job: &JobSurvey) -> bool {
    job.standing != Standing::Gone && !is_grave(job.standing) && (job.lane.rejected > 0 || missed_of(job).is_some())
}

/// Whether somebody should look.
fn is_grave(standing: Standing) -> bool {
    match standing {
        Standing::InError | Standing::Stuck | Standing::Late | Standing::Failing | Standing::Broken => true,
        Standing::Running | Standing::Paused | Standing::Inactive | Standing::Ok | Standing::New | Standing::Gone => false,
    }
}

/// Returns the standings that a summary shows, with how many jobs stand so: those that are asked for always, others where there are any.
pub(super) fn counts(survey: &Survey) -> Vec<(Standing, usize)> {
    let order = [Standing::Ok, Standing::Running, Standing::Late, Standing::Stuck, Standing::Failing, Standing::InError];
    let rest = [Standing::Broken, Standing::Paused, Standing::Inactive, Standing::New, Standing::Gone];
    let always = [Standing::Ok, Standing::Running, Standing::Late, Standing::InError, Standing::Paused];
    let number = |standing| if standing == Standing::Broken { broken(survey) as usize } else { survey.count(standing) };
    let counted = order.into_iter().chain(rest).map(|standing| (standing, number(standing)));
    counted.filter(|(standing, count)| *count > 0 || always.contains(standing)).collect()
}

/// Returns the share of good runs: `98.4 %`, and never 100 % where one failed.
pub(super) fn share(good: u64, ended: u64) -> String {
    match percent(good, ended) {
        None => "-".to_owned(),
        Some(whole) if whole.fract() == 0.0 => format!("{whole:.0} %"),
        Some(percent) => format!("{percent:.1} %"),
    }
}

/// Returns the span that the report is of, and what was left out of it.
pub(super) fn span(survey: &Survey, zone: Zone) -> String {
    let shown = format!("{} to {}", clock(survey.since, zone), clock(survey.now, zone));
    match survey.asked_since {
        None => shown,
        Some(asked) => format!("{shown} (the newest {} since {})", count(runs(survey), "run"), clock(asked, zone)),
    }
}

/// Returns how many runs there are.
pub(super) fn runs(survey: &Survey) -> u64 {
    survey.jobs.iter().map(|job| job.lane.started_at.len() as u64).sum()
}

/// Returns how many slots nobody started in time.
pub(super) fn missed(survey: &Survey) -> u64 {
    let slots = survey.jobs.iter().flat_map(|job| &job.slots);
    slots.filter(|slot| slot.status == crate::run::due::SlotStatus::Missed).map(|slot| slot.slot_count).sum()
}

/// Returns the causes, what happened most first.
pub(super) fn by_times(survey: &Survey) -> Vec<&Cause> {
    let mut causes: Vec<&Cause> = survey.causes.iter().collect();
    causes.sort_by_key(|cause| (std::cmp::Reverse(cause.times), std::cmp::Reverse(cause.last_at)));
    causes
}

/// Returns the jobs of a cause: some names, and how many more.
pub(super) fn jobs(cause: &Cause) -> String {
    let more = cause.job_count.saturating_sub(cause.jobs.len() as u64);
    let names = cause.jobs.join(", ");
    if more > 0 { format!("{names} and {} more", grouped(more)) } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!([share(0, 0), share(9_999, 10_000), share(1, 1), share(1, 2)], ["-", "99.9 %", "100 %", "50 %"]);
    }
}
