//! Errors for people on stderr, for scripts as one JSON object on stdout.

use std::fmt::Write as _;

use clap::error::ErrorKind;
use serde_json::json;

use super::Format;
use super::table::note_width;
use super::wrap::{columns, cut, fitted};
use crate::error::Failure;
use crate::exit_code;
use crate::job::{Problem, Severity};
use crate::text::{count, printable, printable_lines};

/// Prints why a command could not do what it was told.
pub fn print(failure: &Failure, format: Format) {
    if format == Format::Json {
        super::json::print(&object(failure));
    } else if failure.problems.is_empty() {
        super::note_fitted(&lines(failure));
    } else {
        tell(&failure.problems);
    }
}

/// Tells people what is wrong with files.
pub fn tell(problems: &[Problem]) {
    super::note(&problems_within(problems, note_width()));
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
    problems_within(problems, None)
}

fn problems_within(problems: &[Problem], width: Option<u16>) -> String {
    let mut text = String::new();
    for problem in problems {
        let message = format!("{}: {}: {}", place(problem), severity(problem), printable_lines(&problem.message));
        let _ = writeln!(text, "{}", fitted(&message, 2, width));
        if problem.line > 0 && !problem.line_text.is_empty() {
            text.push_str(&excerpt(problem, width));
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "{}", fitted(&format!("  hint: {}", printable_lines(hint)), 2, width));
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

/// Returns the line that a problem is in, with a mark under its column; of a line for which a terminal has no room what is around the mark.
fn excerpt(problem: &Problem, width: Option<u16>) -> String {
    let room = width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(MARGIN.len()).max(EXCERPT_MIN));
    let line = printable(problem.line_text.trim_end()).into_owned();
    let before: String = problem.line_text.chars().take(problem.column.saturating_sub(1)).collect();
    let mut mark = columns(&printable(&before));
    let mut shown = line.as_str();
    let mut lead = "";
    if columns(&line) > room && mark > room / 2 {
        lead = "…";
        // As much of it goes as lets the mark stand in the middle.
        while mark + 1 > room / 2 {
            let Some(first) = shown.chars().next() else { break };
            shown = &shown[first.len_utf8()..];
            mark = mark.saturating_sub(columns(first.encode_utf8(&mut [0; 4])));
        }
        mark += 1;
    }
    let mut text = format!("{MARGIN}{lead}{}\n", cut(shown, room - columns(lead)));
    if problem.column > 0 {
        let _ = writeln!(text, "{MARGIN}{}^", " ".repeat(mark));
    }
    text
}

/// What stands before a line of a file.
const MARGIN: &str = "  | ";

/// So much of a line is shown, however narrow the terminal.
const EXCERPT_MIN: usize = 24;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Matter;

    fn problem(line_text: &str, column: usize) -> Problem {
        Problem {
            file: "jobs/sales.yaml".into(),
            line: 7,
            column,
            line_text: line_text.to_owned(),
            severity: Severity::Error,
            matter: Matter::Definition,
            message: "unknown key shedule in a job of the team".to_owned(),
            hint: Some("did you mean schedule? `etlsched json-schema job` lists the keys".to_owned()),
        }
    }

    #[track_caller]
    fn check(line_text: &str, column: usize, width: Option<u16>, expected: &str) {
        assert_eq!(excerpt(&problem(line_text, column), width), expected);
    }

    #[test]
    fn the_mark_stands_under_its_column_and_what_is_around_it_is_shown() {
        check("hour: 99", 7, None, "  | hour: 99\n  |       ^\n");
        check("名前: 全国, hour: 99", 9, None, "  | 名前: 全国, hour: 99\n  |             ^\n");
        let long = format!("a: [{}], hour: 99, tags: [{}]", "x, ".repeat(20), "y, ".repeat(20));
        check(&long, 68, Some(40), "  | …, x, x, x, x, ], hour: 99, tags: […\n  |                   ^\n");
        check(&long, 1, Some(40), "  | a: [x, x, x, x, x, x, x, x, x, x, x…\n  | ^\n");
        check(&long, 0, Some(40), "  | a: [x, x, x, x, x, x, x, x, x, x, x…\n");
    }

    #[test]
    fn words_keep_to_the_width() {
        let expected = "\
jobs/sales.yaml:7:7: error: unknown key
  shedule in a job of the team
  | hour: 99
  |       ^
  hint: did you mean schedule?
    `etlsched json-schema job` lists the
    keys
1 error";
        assert_eq!(problems_within(&[problem("hour: 99", 7)], Some(40)), expected);
    }
}
