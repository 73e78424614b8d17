//! Renders systemd units: a service and a timer for each job. Never runs systemctl.
//!
//! Times are in UTC: `OnCalendar=` in a zone skips the times of a gap and the second pass of `*:00/15` (systemd 252).

use std::fmt::Write as _;

use super::entries::{self, EVERY_DAY, EVERY_HOUR, EVERY_MONTH, EVERY_WEEKDAY, Line, numbers};
use super::paths::{never_due, overlap_problem, unix_problems, words};
use super::{Entry, Exporter, Host, Nature, Rendered, Scope, Unsupported};
use crate::zone::Zone;

/// systemd.timer(5), systemd.service(5).
#[derive(Debug)]
pub struct Systemd;

impl Exporter for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn summary(&self) -> &'static str {
        "a service and a timer for each job"
    }

    fn nature(&self) -> Nature {
        Nature { is_joinable: true, ..Nature::default() }
    }

    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>> {
        let mut problems = unix_problems(host);
        problems.extend(user_problem(host));
        problems.extend(entries.iter().filter_map(|entry| overlap_problem("systemd", entry)));
        let mut files = Vec::new();
        for (entry, lines) in entries.iter().zip(entries::lines_of_all(entries, Zone::UTC, host.from)) {
            if lines.is_empty() {
                problems.push(never_due(entry));
            }
            let name = format!("etlsched-{}-{}", host.digest(), entry.job);
            for (ending, text) in [("service", service(entry, host)), ("timer", timer(entry, &lines))] {
                let name = format!("{name}.{ending}");
                let text = format!("# {name}: made by etlsched {} with {}\n{text}", env!("CARGO_PKG_VERSION"), host.tzdata);
                files.push(Rendered { name, bytes: text.into_bytes() });
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}

fn service(entry: &Entry, host: &Host) -> String {
    let user = match host.scope {
        Scope::User => String::new(),
        Scope::System => format!("User={}\n", host.user),
    };
    format!(
        "[Unit]
Description=etlsched job {job}

[Service]
Type=oneshot
{user}ExecStart={program} -C {workspace} run {job} --scheduled
# The run ends its workers itself
KillMode=mixed
# Stopped by systemctl or a shutdown: cancelled, not failed
SuccessExitStatus=143
",
        job = entry.job,
        // Variables are not replaced in the program's path.
        program = word(&host.program),
        workspace = word(&host.workspace).replace('$', "$$"),
    )
}

fn timer(entry: &Entry, lines: &[Line]) -> String {
    let mut text = format!("[Unit]\nDescription=etlsched job {}: {}\n\n[Timer]\n", entry.job, words(entry).replace('%', "%%"));
    for line in lines {
        let _ = writeln!(text, "OnCalendar={}", calendar(line));
    }
    text.push_str("AccuracySec=1s\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n");
    text
}

/// Returns a line as a calendar event (systemd.time(7)) in UTC: `Mon,Thu *-*-28..31 00,01:30:00 UTC`.
pub fn calendar(line: &Line) -> String {
    const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let Line { minutes, hours, days, months, weekdays, is_every_pass: _ } = *line;
    let field = |bits: u64, every: u64| if bits == every { "*".to_owned() } else { list(bits) };
    let mut text = String::new();
    if weekdays != EVERY_WEEKDAY {
        let names: Vec<&str> = numbers(weekdays.into()).into_iter().map(|day| WEEKDAYS[usize::from(day)]).collect();
        text = format!("{} ", names.join(","));
    }
    let (months, days) = (field(months.into(), EVERY_MONTH.into()), field(days.into(), EVERY_DAY.into()));
    let hours = field(hours.into(), EVERY_HOUR.into());
    let _ = write!(text, "*-{months}-{days} {hours}:{}:00 UTC", list(minutes));
    text
}

fn list(bits: u64) -> String {
    numbers(bits).iter().map(|number| format!("{number:02}")).collect::<Vec<_>>().join(",")
}

/// Returns a path as one word of a command line (systemd.service(5), "Command lines").
fn word(path: &str) -> String {
    let path = path.replace('%', "%%");
    let is_plain = |sign: char| sign.is_alphanumeric() || "/._-+,@:=%$".contains(sign);
    if path.chars().all(is_plain) { path } else { format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"")) }
}

/// systemd takes what useradd(8) takes; a `%` or a line end would be read as something else.
fn user_problem(host: &Host) -> Option<Unsupported> {
    let is_plain = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | '-' | '.' | '$');
    let is_bad = host.scope == Scope::System && (host.user.is_empty() || !host.user.chars().all(is_plain));
    is_bad.then(|| Unsupported {
        job: None,
        message: format!("{:?} is no name of a user", host.user),
        hint: "name the user: --user etl".to_owned(),
    })
}
