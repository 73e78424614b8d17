//! Errors for people on stderr, for scripts as one JSON object on stdout.

use std::fmt::Write as _;

use clap::error::ErrorKind;
use serde_json::json;

use super::Format;
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Problem, Severity};
use crate::text::{count, printable, printable_lines};

/// Prints why a command could not do what it was told.
pub fn print(failure: &Failure, format: Format) {
    if format == Format::Json {
        super::json::print(&object(failure));
    } else if failure.problems.is_empty() {
        super::note(&lines(failure));
    } else {
        super::note(&problems(&failure.problems));
    }
}

/// Prints what clap has to say (help and version included) and returns the exit code.
pub fn usage(error: &clap::Error, format: Format) -> u8 {
    let is_asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if format == Format::Json && !is_asked {
        print(&usage_failure(error), format);
    } else {
        let _ = error.print();
    }
    if is_asked { exit_code::DONE } else { exit_code::USAGE }
}

/// Returns clap's paragraphs as a failure: what is wrong, and its tip, else how the command is used.
fn usage_failure(error: &clap::Error) -> Failure {
    if matches!(error.kind(), ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        return Failure::usage("a subcommand is missing").hint("see: etlsched --help");
    }
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let rest: Vec<String> = paragraphs.collect();
    let hint = rest.iter().find_map(|words| words.strip_prefix("tip: ").map(str::to_owned));
    let hint = hint.or_else(|| rest.iter().find_map(|words| Some(format!("usage: {}", words.strip_prefix("Usage: ")?))));
    Failure::usage(message.strip_prefix("error: ").unwrap_or(&message)).hint(hint.unwrap_or_else(|| "see: etlsched --help".to_owned()))
}

/// Returns the error object of the JSON mode.
pub fn object(failure: &Failure) -> serde_json::Value {
    let problems: Vec<_> = failure.problems.iter().map(problem_object).collect();
    let first = failure.problems.iter().find(|problem| problem.severity == Severity::Error).or(failure.problems.first());
    let (message, hint, location) = match first {
        Some(problem) => (problem.message.clone(), problem.hint.clone(), Some(place(problem))),
        None => (failure.message.clone(), failure.hint.clone(), failure.location.clone()),
    };
    let mut error = json!({"code": failure.code, "message": message, "hint": hint, "location": location});
    if !problems.is_empty() {
        error["problems"] = problems.into();
    }
    json!({"success": false, "error": error})
}

/// Returns a problem as the JSON mode shows it.
pub fn problem_object(problem: &Problem) -> serde_json::Value {
    json!({
        "severity": severity(problem),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    })
}

fn lines(failure: &Failure) -> String {
    let mut text = String::from("error: ");
    if let Some(location) = &failure.location {
        let _ = write!(text, "{}: ", printable(location));
    }
    text.push_str(&printable_lines(&failure.message));
    if let Some(hint) = &failure.hint {
        let _ = write!(text, "\nhint: {}", printable_lines(hint));
    }
    text
}

/// Returns every problem with its place, its line, a mark under the column, and its hint; a count at the end.
pub fn problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{}: {}: {}", place(problem), severity(problem), printable_lines(&problem.message));
        if problem.line > 0 {
            let _ = writeln!(text, "  | {}", printable(problem.line_text.trim_end()));
            if problem.column > 0 {
                let before: String = problem.line_text.chars().take(problem.column - 1).collect();
                let _ = writeln!(text, "  | {}^", " ".repeat(printable(&before).chars().count()));
            }
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "  hint: {}", printable_lines(hint));
        }
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(count(errors as u64, "error"));
    }
    if warnings > 0 {
        parts.push(count(warnings as u64, "warning"));
    }
    text.push_str(&parts.join(", "));
    text
}

/// Returns a problem with its place on one line.
pub fn told(problem: &Problem) -> String {
    format!("{}: {}", place(problem), problem.message)
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

pub(super) fn place(problem: &Problem) -> String {
    let file = problem.file.display();
    match (problem.line, problem.column) {
        (0, _) => format!("{file}"),
        (line, 0) => format!("{file}:{line}"),
        (line, column) => format!("{file}:{line}:{column}"),
    }
}
