//! What a message says in sentences, by its kind.

use chrono::{DateTime, Utc};

use crate::notify::message::{Kind, Message, NO_FILE, NO_VALUE, RunFacts, SETTINGS_FILE, SourceFacts, StripRun};
use crate::run::{RunStatus, SourceStatus, Trigger};
use crate::text::{count, grouped, printable, shortened};
use crate::zone::Zone;

use super::content::STRIP_MAX;
use super::{refreshed, roundup};

/// How long a name may be.
pub(super) const NAME_MAX: usize = 80;

/// Returns a text as one line that steers nothing, cut to a length.
pub(super) fn clean(text: &str, characters_max: usize) -> String {
    // Cut twice: what is escaped grows.
    shortened(&printable(&shortened(text.trim(), characters_max)), characters_max).into_owned()
}

/// Returns the job's name.
pub(super) fn name(message: &Message) -> String {
    let name = clean(&message.job.name, NAME_MAX);
    if name.is_empty() { clean(&message.job.id, NAME_MAX) } else { name }
}

/// Returns the zone of a message.
pub(super) fn zone(message: &Message) -> Zone {
    Zone::parse(&message.timezone).unwrap_or(Zone::UTC)
}

/// Returns a time as people read it: `Sun 2026-11-29 06:10 CET`.
pub(super) fn when(time: DateTime<Utc>, zone: Zone) -> String {
    time.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// Returns what the subject and the first line say.
pub(super) fn headline(message: &Message) -> String {
    if let Some(roundup) = &message.roundup {
        return roundup::headline(roundup, message);
    }
    let name = name(message);
    match message.kind {
        Kind::Failure if is_timeout(message) => format!("{name} ran out of time"),
        Kind::Failure => format!("{name} failed"),
        Kind::Success => format!("{name} succeeded"),
        Kind::Recovery if is_of_settings(message) => format!("Jobs can run again: {SETTINGS_FILE} is good"),
        Kind::Recovery if is_of_file(message) && message.is_by_job => format!("{name} can run again: it has what was missing"),
        Kind::Recovery if is_of_file(message) => format!("{name} can run again: its file is good"),
        Kind::Recovery => format!("{name} works again"),
        Kind::Disabled => format!("{name} was put into error: its schedule no longer starts it"),
        Kind::DisabledSoon => format!("{name} failed and is about to be put into error"),
        Kind::Missed => format!("{name} missed {}", count(message.slot_count.max(1), "run")),
        Kind::Deadline => format!("{name} missed its deadline"),
        Kind::SchemaChange => format!("{name}: columns changed"),
        Kind::RejectedRows => format!("{name}: {} rejected", count(rejected(message), "row")),
        Kind::Invalid if is_of_settings(message) => format!("No job can run: {SETTINGS_FILE} has errors"),
        Kind::Invalid if is_gone(message) => format!("{name} can't run: its file is gone"),
        Kind::Invalid if lacks_value(message) => format!("{name} can't run: {}", lacking(message)),
        Kind::Invalid => format!("{name} can't run: its file has errors"),
    }
}

/// Returns the subject: the headline, and in a word what it is about.
pub(super) fn subject(message: &Message) -> String {
    let test = if message.is_test { "TEST: " } else { "" };
    let about = match message.kind {
        Kind::Failure | Kind::DisabledSoon => not_refreshed(message),
        Kind::Success => message.run.as_ref().map(|_| rows(message)),
        Kind::SchemaChange => match message.schema_changes.as_slice() {
            [only] => Some(clean(only, 60)),
            _ => None,
        },
        Kind::Disabled | Kind::Recovery | Kind::Missed | Kind::Deadline | Kind::RejectedRows | Kind::Invalid => None,
    };
    let about = about.map(|about| format!(": {about}")).unwrap_or_default();
    shortened(&format!("[etlsched] {test}{}{about}", headline(message)), 160).into_owned()
}

/// Returns the sentences below the headline.
pub(super) fn lead(message: &Message) -> Vec<String> {
    if let Some(roundup) = &message.roundup {
        return roundup::lead(roundup, message);
    }
    let mut lead = match message.kind {
        Kind::Failure | Kind::DisabledSoon | Kind::Disabled => {
            let late = message.works_since.map(|at| {
                format!(
                    "This message is late: it could not be sent before. Since {} the job works again, as a message before this one said.",
                    when(at, zone(message))
                )
            });
            late.into_iter().chain(refreshed::failed(message)).chain(kept_of_failed(message)).collect()
        }
        Kind::Success => vec![refreshed::good(message)],
        Kind::Recovery if is_of_settings(message) => vec!["It has no errors any more.".to_owned()],
        Kind::Recovery if is_of_file(message) && message.is_by_job => vec!["A run of it has begun.".to_owned()],
        Kind::Recovery if is_of_file(message) => vec!["Its file has no errors any more.".to_owned()],
        Kind::Recovery => recovered(message),
        Kind::Missed => vec![
            "These times passed and nothing started the job: the host was off, or its scheduler doesn't run or doesn't know the job."
                .to_owned(),
        ],
        Kind::Deadline => {
            let by = message.deadline.map_or_else(|| "now".to_owned(), |at| when(at, zone(message)));
            vec![format!("Its data should be fresh by {by}, and no run has succeeded since the slot below.")]
        }
        Kind::SchemaChange => vec!["The tables followed their sources. What reads them may have to follow too.".to_owned()],
        Kind::RejectedRows => kept_aside(message),
        Kind::Invalid if is_of_settings(message) => {
            vec!["No schedule starts anything until the file is good. The tables hold what the last good runs left.".to_owned()]
        }
        Kind::Invalid => {
            let until = match (is_gone(message), lacks_value(message)) {
                (true, _) => "the file is there again",
                (_, true) => "its runs have what is missing; its file is good",
                _ => "the file is good",
            };
            vec![format!("Its schedule starts nothing until {until}. The tables hold what the last good run left.")]
        }
    };
    lead.extend(standing(message));
    lead
}

/// Returns the sources that were loaded but for rows that were kept aside, by name.
fn names_with_rejects(message: &Message) -> String {
    let with_rejects = loaded(message).filter(|source| source.records_rejected > 0);
    with_rejects.take(6).map(|source| clean(&source.name, 60)).collect::<Vec<_>>().join(", ")
}

/// What became of rows of a run that failed otherwise, where some were kept aside.
fn kept_of_failed(message: &Message) -> Option<String> {
    let all = rejected(message);
    let were = if all == 1 { "was" } else { "were" };
    let names = names_with_rejects(message);
    (all > 0).then(|| format!("{} of {names} could not be loaded and {were} kept aside.", count(all, "row")))
}

/// What became of the other rows, and of the run where it failed.
fn kept_aside(message: &Message) -> Vec<String> {
    let is_failed = message.run.as_ref().is_some_and(|run| run.status != RunStatus::Success);
    let of = if is_failed { format!(" of {}", names_with_rejects(message)) } else { String::new() };
    let mut lead = vec![format!("These rows could not be loaded as they are and were kept aside; all others{of} are loaded.")];
    if is_failed {
        lead.push(if is_timeout(message) { "The run ran out of time." } else { "The run failed." }.to_owned());
        lead.extend(refreshed::failed(message));
    }
    lead
}

/// Returns the sources that were loaded.
pub(super) fn loaded(message: &Message) -> impl Iterator<Item = &SourceFacts> {
    message.sources.iter().filter(|source| source.status == SourceStatus::Success)
}

fn recovered(message: &Message) -> Vec<String> {
    let mut lead = vec![refreshed::good(message)];
    if message.source_count.is_some() {
        lead.push("None of its sources fails any more.".to_owned());
    }
    let failed = trouble(&message.strip);
    if let Some(first) = failed.first() {
        let since = when(first.started_at, zone(message));
        // The strip is full of them: there may be more before.
        let is_full = message.strip.len() >= STRIP_MAX && failed.len() + 1 >= message.strip.len();
        let least = if is_full { "at least " } else { "" };
        let why = message.last_error.as_deref().map(|error| clean(error, 300)).filter(|error| !error.is_empty());
        let why = match why {
            Some(error) if failed.len() == 1 => format!(": {error}"),
            Some(error) => format!("; the last one: {error}"),
            None => String::new(),
        };
        lead.push(ended(&match failed.len() {
            1 => format!("Before that, the run of {since} failed{why}"),
            runs => format!("Before that, {least}{} in a row failed, since {since}{why}", count(runs as u64, "run")),
        }));
    }
    lead
}

/// How near the job is to `error`, where that matters.
fn standing(message: &Message) -> Option<String> {
    let standing = message.standing?;
    let (failures, threshold) = (standing.consecutive_failures, u64::from(standing.failure_threshold));
    let in_a_row = if failures == 1 { "The last run".to_owned() } else { format!("{} in a row", count(failures, "run")) };
    match message.kind {
        Kind::Disabled => Some(format!(
            "{in_a_row} refreshed nothing, so its schedule no longer starts it, until it is enabled again or a run by hand leaves none of its sources failing."
        )),
        Kind::DisabledSoon => Some(format!(
            "{in_a_row} refreshed nothing. One more (failure_threshold is {threshold}), and its schedule no longer starts it."
        )),
        Kind::Failure if failures > 1 => {
            Some(format!("{in_a_row} refreshed nothing; at {} its schedule no longer starts it.", grouped(threshold)))
        }
        _ => None,
    }
}

/// Returns the runs of the trouble that this message is about: the latest ones in a row that failed, a good last one aside.
pub(crate) fn trouble(strip: &[StripRun]) -> &[StripRun] {
    let is_bad = |run: &StripRun| matches!(run.status, RunStatus::Failed | RunStatus::Timeout);
    let end = match strip.last() {
        Some(last) if !is_bad(last) => strip.len() - 1,
        _ => strip.len(),
    };
    let begin = strip[..end].iter().rposition(|run| !is_bad(run)).map_or(0, |good| good + 1);
    &strip[begin..end]
}

/// Returns what wasn't refreshed, for the subject.
fn not_refreshed(message: &Message) -> Option<String> {
    let bad: Vec<&SourceFacts> = message.sources.iter().filter(|source| is_bad(source.status)).collect();
    match bad.as_slice() {
        [] => message.run.as_ref()?.error.as_deref().map(|error| clean(error, 60)),
        [one] => Some(clean(&one.name, 60)),
        all => {
            let sources = message.source_count.unwrap_or(message.sources.len() as u64);
            Some(format!("{} of {}", grouped(all.len() as u64), count(sources, "source")))
        }
    }
}

/// Whether a source has to be looked at.
pub(super) fn is_bad(status: SourceStatus) -> bool {
    matches!(status, SourceStatus::Failed | SourceStatus::Timeout | SourceStatus::Cancelled)
}

/// Returns what started a run, in words.
pub(super) fn trigger(run: &RunFacts) -> &'static str {
    match run.trigger {
        Trigger::Schedule => "by its schedule",
        Trigger::CatchUp => "catching up on its schedule",
        Trigger::Manual => "by hand",
        Trigger::Ci => "by CI",
    }
}

/// Returns how many rows of sources that were loaded were rejected.
fn rejected(message: &Message) -> u64 {
    loaded(message).map(|source| source.records_rejected).sum()
}

/// Returns how many rows were taken; where some of them were rejected, how many were loaded and how many not.
pub(super) fn rows(message: &Message) -> String {
    let sum = |of: fn(&SourceFacts) -> u64| message.sources.iter().map(of).sum::<u64>();
    let (processed, rejected) = (sum(|source| source.records_processed), sum(|source| source.records_rejected));
    if rejected == 0 {
        return count(processed, "row");
    }
    let loaded = processed.saturating_sub(rejected + sum(|source| source.records_left_out));
    format!("{} loaded, {} rejected", count(loaded, "row"), grouped(rejected))
}

/// Whether it is about a file, or what its job lacks, rather than about runs.
pub(super) fn is_of_file(message: &Message) -> bool {
    message.kind == Kind::Invalid || (message.kind == Kind::Recovery && message.run.is_none())
}

/// Whether it is about the settings of all jobs, and no job of its own.
pub(super) fn is_of_settings(message: &Message) -> bool {
    is_of_file(message) && message.job.id == SETTINGS_FILE
}

/// Whether a job's file isn't there at all.
pub(super) fn is_gone(message: &Message) -> bool {
    message.causes.iter().any(|cause| cause.code == NO_FILE)
}

/// Whether a job's file is good, and a variable or a secret that it names has no value.
pub(super) fn lacks_value(message: &Message) -> bool {
    !message.causes.is_empty() && message.causes.iter().all(|cause| cause.code == NO_VALUE)
}

/// Returns what a job lacks: `the variable SHOP_PASSWORD is not set and 2 more`.
fn lacking(message: &Message) -> String {
    let mut lacking: Vec<&str> = Vec::new();
    for cause in &message.causes {
        if !lacking.contains(&cause.message.as_str()) {
            lacking.push(&cause.message);
        }
    }
    let first = lacking.first().map(|first| clean(first, 100)).unwrap_or_default();
    if lacking.len() > 1 { format!("{first} and {} more", grouped(lacking.len() as u64 - 1)) } else { first }
}

fn is_timeout(message: &Message) -> bool {
    message.run.as_ref().is_some_and(|run| run.status == RunStatus::Timeout)
}

/// Returns a fragment as a sentence.
pub(super) fn ended(fragment: &str) -> String {
    let mut sentence: String = fragment.chars().take(1).flat_map(char::to_uppercase).chain(fragment.chars().skip(1)).collect();
    if !sentence.ends_with(['.', '…', ':', '?']) {
        sentence.push('.');
    }
    sentence
}
