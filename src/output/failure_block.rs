//! What a scheduler's mail says of a failure: one block of at most 80 columns. What failed, where, why, what to do next.
//!
//! Pure. Texts of servers and files are cut: the log has them whole.

use std::path::Path;

use super::errors;
use super::measure::{abbreviation, local};
use super::run_result::errors_of;
use super::wrap::{COLUMNS, columns, cut, wrapped};
use crate::engine::RunReport;
use crate::error::Failure;
use crate::job::{Matter, Problem, Severity};
use crate::plan::WorkerError;
use crate::run::{RunStatus, SourceStatus};
use crate::state::JobStatus;
use crate::text::{count, printable, shortened};
use crate::zone::Zone;

/// The most causes that are told: fifty sources of one server that is down are one sight.
const CAUSES_MAX: usize = 6;

/// The most characters of an error, and of its hint.
const MESSAGE_MAX: usize = 500;
const HINT_MAX: usize = 300;

/// The most characters of a list of names.
const NAMES_MAX: usize = 200;

/// Where the reader of a mail finds more.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    /// The workspace's folder: commands in a mail work from any other.
    pub root: &'a Path,
    /// The host that ran it.
    pub host: &'a str,
    /// The user's zone.
    pub zone: Zone,
    /// `--log-file`
    pub log_file: Option<&'a Path>,
}

/// Returns what failed in a run as a block.
pub fn of_run(report: &RunReport, place: &Whereabouts<'_>) -> String {
    let mut lines = vec![wrapped(&format!("error: {}", headline(report)), (0, 2), COLUMNS, MESSAGE_MAX)];
    let causes = causes(report);
    for (whose, error) in causes.iter().take(CAUSES_MAX) {
        let whose = if whose.is_empty() { String::new() } else { format!("{}: ", shortened(whose, NAMES_MAX)) };
        lines.push(wrapped(&format!("{whose}{}", error.message), (2, 4), COLUMNS, MESSAGE_MAX));
        lines.extend(error.hint.as_ref().map(|hint| wrapped(&format!("hint: {hint}"), (4, 6), COLUMNS, HINT_MAX)));
    }
    if causes.len() > CAUSES_MAX {
        lines.push(format!("  and {} more, in the log", count((causes.len() - CAUSES_MAX) as u64, "error")));
    }
    for (status, words) in [(SourceStatus::Success, "refreshed all the same"), (SourceStatus::Skipped, "not attempted")] {
        let named = report.sources.iter().filter(|source| source.status == status);
        let names: Vec<&str> = named.map(|source| source.name.as_str()).collect();
        if !names.is_empty() {
            lines.push(wrapped(&format!("{words}: {}", names.join(", ")), (2, 4), COLUMNS, NAMES_MAX));
        }
    }
    if matches!(report.job_status, Some((_, JobStatus::Error))) {
        let text = "the job is now in error: its schedule no longer starts it, until a run by hand succeeds or it is enabled";
        lines.push(wrapped(text, (2, 4), COLUMNS, MESSAGE_MAX));
    }
    let at = format!("{} {}", local(report.started_at, place.zone), abbreviation([report.started_at], place.zone));
    let run = report.run_id.as_ref().map(|id| format!("{id}, ")).unwrap_or_default();
    lines.push(wrapped(&format!("run: {run}{at}, on {}", place.host), (0, 2), COLUMNS, MESSAGE_MAX));
    lines.extend(report.run_id.iter().map(|id| command("see", place.root, &["logs", "--run", id])));
    lines.push(command("then", place.root, &["run", &report.job, "--retry-failed"]));
    if matches!(report.job_status, Some((_, JobStatus::Error))) {
        lines.push(command("or", place.root, &["enable", &report.job]));
    }
    lines.extend(place.log_file.map(|path| wrapped(&format!("log file: {}", path.display()), (0, 2), COLUMNS, MESSAGE_MAX)));
    lines.join("\n")
}

fn headline(report: &RunReport) -> String {
    let job = &report.job;
    let all = report.sources.len() as u64;
    let refreshed = report.sources.iter().filter(|source| source.status == SourceStatus::Success).count() as u64;
    let sources = match all {
        0 | 1 => String::new(),
        _ if refreshed == 0 && has_published_some(report) => format!(": none of its {} was refreshed as a whole", count(all, "source")),
        _ if refreshed == 0 => format!(": none of its {} was refreshed", count(all, "source")),
        _ => format!(": {} of {} not refreshed", all - refreshed, count(all, "source")),
    };
    let how = match report.status {
        RunStatus::Timeout => "ran out of time",
        RunStatus::Cancelled => "was cancelled",
        _ if refreshed > 0 || has_published_some(report) => "failed in part",
        _ => "failed",
    };
    format!("job {job} {how}{sources}")
}

fn has_published_some(report: &RunReport) -> bool {
    report.sources.iter().flat_map(|source| &source.streams).any(|stream| stream.status == SourceStatus::Success)
}

/// Returns each cause with its place; sources that failed with the same words are one.
fn causes(report: &RunReport) -> Vec<(String, &WorkerError)> {
    let mut found: Vec<(String, &WorkerError)> = report.error.iter().map(|error| (String::new(), error)).collect();
    for (whose, error) in report.sources.iter().flat_map(errors_of) {
        match found.iter_mut().find(|(_, told)| told.message == error.message) {
            Some((known, _)) if known.is_empty() => {}
            Some((known, _)) => *known = format!("{known}, {whose}"),
            None => found.push((whose, error)),
        }
    }
    found
}

/// Returns why there was no run as a block; `job` where the reason doesn't name it.
pub fn of_failure(failure: &Failure, job: Option<&str>, place: Option<&Whereabouts<'_>>) -> String {
    let mut lines = Vec::new();
    if failure.problems.is_empty() {
        let mut at = failure.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
        if let Some(job) = job.filter(|job| !failure.message.contains(&format!("job {job}"))) {
            at = format!("job {job}: {at}");
        }
        lines.push(wrapped(&format!("error: {at}{}", failure.message), (0, 2), COLUMNS, MESSAGE_MAX));
        lines.extend(failure.hint.as_ref().map(|hint| wrapped(&format!("hint: {hint}"), (0, 2), COLUMNS, HINT_MAX)));
    } else {
        let errors = || failure.problems.iter().filter(|problem| problem.severity == Severity::Error);
        lines.extend(errors().take(CAUSES_MAX).flat_map(problem));
        let more = errors().count().saturating_sub(CAUSES_MAX);
        if more > 0 {
            lines.push(format!("and {} more", count(more as u64, "error")));
        }
    }
    if let Some(place) = place {
        lines.push(wrapped(&format!("nothing was started on {}", place.host), (0, 2), COLUMNS, MESSAGE_MAX));
        if !failure.problems.is_empty() {
            // Files are valid without the values of their variables: only --online demands these.
            let is_unset = failure.problems.iter().any(|problem| problem.matter == Matter::Variable);
            let words: Vec<&str> = ["validate"].into_iter().chain(is_unset.then_some("--online")).chain(job).collect();
            lines.push(command("see", place.root, &words));
        }
        lines.extend(place.log_file.map(|path| wrapped(&format!("log file: {}", path.display()), (0, 2), COLUMNS, MESSAGE_MAX)));
    }
    lines.join("\n")
}

fn problem(problem: &Problem) -> Vec<String> {
    let text = format!("{}: error: {}", errors::place(problem), problem.message);
    let mut lines = vec![wrapped(&text, (0, 2), COLUMNS, MESSAGE_MAX)];
    if problem.line > 0 && !problem.line_text.trim().is_empty() {
        lines.push(format!("  | {}", cut(&printable(problem.line_text.trim_end()), COLUMNS - 4)));
    }
    lines.extend(problem.hint.as_ref().map(|hint| wrapped(&format!("hint: {hint}"), (2, 4), COLUMNS, HINT_MAX)));
    lines
}

/// Returns a command that works from any folder, in lines that a shell takes as one: what is too long goes on after a backslash.
fn command(label: &str, root: &Path, arguments: &[&str]) -> String {
    let root = shell_word(&root.display().to_string());
    let words = ["etlsched", "-C", &root].into_iter().map(str::to_owned).chain(arguments.iter().map(|word| shell_word(word)));
    let mut text = format!("{label}:");
    let mut used = columns(&text);
    for (index, word) in words.enumerate() {
        // Room for ` \` stays in each line.
        if index > 0 && used + 1 + columns(&word) > COLUMNS - 2 {
            text.push_str(" \\\n  ");
            used = 2;
        } else {
            text.push(' ');
            used += 1;
        }
        used = push_broken(&mut text, used, &word);
    }
    text
}

/// Adds a word; where it is longer than the line a backslash ends the line inside of it, which a shell takes as nothing.
fn push_broken(text: &mut String, mut used: usize, word: &str) -> usize {
    let mut is_escape = false;
    for character in word.chars() {
        let long = columns(character.encode_utf8(&mut [0; 4]));
        if used + long > COLUMNS - 3 && !is_escape && !cfg!(windows) {
            text.push_str("\\\n");
            used = 0;
        }
        text.push(character);
        used += long;
        is_escape = character == '\\' && !is_escape;
    }
    used
}

/// Returns a word as a shell takes it. What steers terminals is shown, not meant: such a command can't be copied.
fn shell_word(word: &str) -> String {
    let word = printable(word);
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+,@:=%".contains(character);
    if word.chars().all(is_plain) {
        return word.into_owned();
    }
    if cfg!(windows) {
        return format!("\"{word}\"");
    }
    word.chars().flat_map(|character| (!is_plain(character)).then_some('\\').into_iter().chain([character])).collect()
}

#[cfg(test)]
#[path = "failure_block_tests.rs"]
mod tests;
