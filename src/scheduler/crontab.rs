//! Renders crontab text. Never runs crontab.
//!
//! Nothing in a line needs quoting: cron daemons cut at `%`, `sh` reads the rest, and what either of them could read differently is refused.

use std::fmt::Write as _;

use super::entries::{self, EVERY_DAY, EVERY_HOUR, EVERY_MONTH, EVERY_WEEKDAY, Line, numbers, step};
use super::paths::words;
use super::{Entry, Exporter, Host, Nature, Rendered, Unsupported};

/// The longest command that Debian cron and cronie run (MAX_COMMAND is 1000 with its end); longer ones are cut or refused.
pub const COMMAND_BYTES_MAX: usize = 998;

/// The longest crontab that daemons read whole.
pub const LINES_MAX: usize = 10_000;

/// What runs the jobs that are due once the host is up again.
const REBOOT: &str = "run --due --scheduled";

/// crontab(5): a block between two markers.
#[derive(Debug)]
pub struct Crontab;

/// Returns the line before a workspace's block, without its end.
pub fn begin_line(id: &str) -> String {
    format!("# BEGIN etlsched {id}")
}

/// Returns the line behind a workspace's block, without its end.
pub fn end_line(id: &str) -> String {
    format!("# END etlsched {id}")
}

impl Exporter for Crontab {
    fn name(&self) -> &'static str {
        "crontab"
    }

    fn summary(&self) -> &'static str {
        "a block for crontab(5), read by Debian cron, cronie, busybox and macOS"
    }

    fn nature(&self) -> Nature {
        Nature { is_local: true, is_marked: true, is_joinable: true, ..Nature::default() }
    }

    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>> {
        let body = body(entries, host)?;
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let mut text = begin_line(&host.id);
        for line in body {
            text.push('\n');
            text.push_str(&line);
        }
        let _ = writeln!(text, "\n{}", end_line(&host.id));
        Ok(vec![Rendered { name: "etlsched.crontab".to_owned(), bytes: text.into_bytes() }])
    }
}

/// Returns the lines between the markers, without their ends; none where there are no entries.
///
/// # Errors
/// Everything that a crontab can't say.
pub fn body(entries: &[Entry], host: &Host) -> Result<Vec<String>, Vec<Unsupported>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut problems: Vec<Unsupported> = [("program", &host.program), ("workspace", &host.workspace)]
        .into_iter()
        .filter_map(|(what, path)| path_problem(what, path))
        .chain(host.environment.iter().filter_map(|(name, value)| variable_problem(name, value)))
        .collect();
    let command = format!("{} -C {}", host.program, host.workspace);
    let mut body = vec![
        format!("# Made by etlsched {} for {}", env!("CARGO_PKG_VERSION"), host.workspace),
        format!("# Times of {}, by {}", host.zone, host.tzdata),
    ];
    body.extend(host.environment.iter().map(|(name, value)| format!("{name}={value}")));
    for (entry, lines) in entries.iter().zip(entries::lines_of_all(entries, host.zone, host.from)) {
        let command = format!("{command} run {} --scheduled", entry.job);
        problems.extend(command_problem(Some(&entry.job), &command));
        body.push(format!("# {}: {}", entry.job, words(entry)));
        body.extend(lines.iter().map(|line| format!("{} {command}", fields(line))));
    }
    body.push("# What became due while the host was down".to_owned());
    let command = format!("{command} {REBOOT}");
    problems.extend(command_problem(None, &command));
    body.push(format!("@reboot {command}"));
    // Two for the markers.
    if body.len() + 2 > LINES_MAX {
        let message = format!("the block has {} lines, and a crontab has at most {LINES_MAX}", body.len() + 2);
        problems.push(Unsupported { job: None, message, hint: "part the jobs among several workspaces".to_owned() });
    }
    if problems.is_empty() { Ok(body) } else { Err(problems) }
}

/// Returns the five fields of a line.
pub fn fields(line: &Line) -> String {
    let Line { minutes, hours, days, months, weekdays, is_every_pass } = *line;
    let hour = match step(hours.into(), 24) {
        _ if hours == EVERY_HOUR => "*".to_owned(),
        Some(step) if is_every_pass => format!("*/{step}"),
        _ => list(hours.into()),
    };
    let field = |bits: u64, every: u64| if bits == every { "*".to_owned() } else { list(bits) };
    format!(
        "{} {hour} {} {} {}",
        // Never `*`: with it Debian cron and cronie take a line of fixed hours for one that is repeated with its hour.
        list(minutes),
        field(days.into(), EVERY_DAY.into()),
        field(months.into(), EVERY_MONTH.into()),
        field(weekdays.into(), EVERY_WEEKDAY.into())
    )
}

/// Numbers with commas, three or more in a row as a range.
fn list(bits: u64) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = numbers(bits).into_iter().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if_eq(&(last + 1)) {
            last = next;
        }
        parts.push(match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        });
    }
    parts.join(",")
}

/// Letters and digits of any alphabet, and signs that neither a cron daemon nor `sh` reads as anything else.
fn path_problem(what: &str, path: &str) -> Option<Unsupported> {
    let is_plain = |sign: char| sign.is_alphanumeric() || matches!(sign, '/' | '.' | '_' | '-' | '+' | ',' | '@' | ':' | '=');
    let problem = |message: String, hint: &str| Some(Unsupported { job: None, message, hint: hint.to_owned() });
    if !path.starts_with('/') {
        let hint =
            if what == "program" { "name its path on the host with --program" } else { "name its path on the host with --workspace" };
        return problem(format!("the {what}'s path {path:?} doesn't begin with /, so cron can't start it"), hint);
    }
    let sign = path.chars().find(|sign| !is_plain(*sign))?;
    let hint = match what {
        "program" => "link the program to a path without it, and run that: ln -s PROGRAM /usr/local/bin/etlsched",
        _ => "move the workspace to a folder of letters, digits and ./_-+,@:=",
    };
    problem(format!("the {what}'s path {path:?} has {sign:?}, which cron or its shell reads as something else"), hint)
}

/// Daemons differ on quotes and blanks around values: busybox keeps what the others take off.
fn variable_problem(name: &str, value: &str) -> Option<Unsupported> {
    let problem = |message: String, hint: &str| {
        Some(Unsupported { job: None, message: format!("crontab_environment: {message}"), hint: hint.to_owned() })
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
    if !is_name {
        return problem(format!("{name:?} is no name of a variable"), "names are letters, digits and _");
    }
    if name == "CRON_TZ" {
        return problem("CRON_TZ would move every line of the block".to_owned(), "leave it out: each job has its own timezone");
    }
    if value.is_empty() || value.trim() != value || value.starts_with(['"', '\'']) || value.chars().any(char::is_control) {
        let message = format!("cron daemons disagree on the value of {name}: empty, quoted, or with blanks around it");
        return problem(message, "write a value that needs no quotes");
    }
    (name.len() + 1 + value.len() > COMMAND_BYTES_MAX).then(|| Unsupported {
        job: None,
        message: format!("crontab_environment: {name} is longer than the {COMMAND_BYTES_MAX} bytes that cron reads"),
        hint: "set it in the workspace's .env".to_owned(),
    })
}

fn command_problem(job: Option<&str>, command: &str) -> Option<Unsupported> {
    (command.len() > COMMAND_BYTES_MAX).then(|| Unsupported {
        job: job.map(str::to_owned),
        message: format!("the command has {} bytes, and cron runs at most {COMMAND_BYTES_MAX}", command.len()),
        hint: "move the workspace or the program to a shorter path".to_owned(),
    })
}
