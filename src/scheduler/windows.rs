//! Renders tasks for the Windows Task Scheduler: XML 1.3 (MS-TSCH 2.5), UTF-16 with a byte order mark, as `schtasks /Create /XML` takes it.
//!
//! Times are in UTC (a start boundary with `Z`): what the scheduler does in a repeated local hour is documented nowhere. Neither is whose
//! days `ScheduleByWeek` and `ScheduleByMonth` count when the boundary is in UTC, so every trigger is a daily one, and the gate leaves out the
//! other days.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::entries::{self, EVERY_HOUR, Line, numbers};
use super::paths::{never_due, windows_problems, words, xml};
use super::{Entry, Exporter, Host, Nature, Rendered, Unsupported};
use crate::zone::Zone;

/// A task with more triggers is refused by the scheduler (MS-TSCH 2.5.3).
const TRIGGERS_MAX: usize = 48;

/// The most characters of a command (pathType).
const PATH_CHARACTERS_MAX: usize = 260;

/// How long a run may take to end by itself once its time is up.
const GRACE_MINUTES: u64 = 10;

/// The day from which on triggers count. In the past, and always the same, so that equal jobs are equal files.
const START: &str = "2024-01-01";

/// Windows Task Scheduler 2.0.
#[derive(Debug)]
pub struct Windows;

impl Exporter for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn summary(&self) -> &'static str {
        "a task for each job, for schtasks /Create /XML"
    }

    fn nature(&self) -> Nature {
        Nature::default()
    }

    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>> {
        let mut problems = windows_problems(host);
        problems.extend(host_problems(host));
        let mut files = Vec::new();
        for (entry, lines) in entries.iter().zip(entries::lines_of_all(entries, Zone::UTC, host.from)) {
            let triggers = triggers(&lines);
            if triggers.is_empty() {
                problems.push(never_due(entry));
            }
            if triggers.len() > TRIGGERS_MAX {
                problems.push(too_many(entry, triggers.len()));
            }
            let text = task(entry, host, &triggers);
            let bytes = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
            files.push(Rendered { name: format!("etlsched-{}-{}.xml", host.digest(), entry.job), bytes });
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}

/// When a task starts, in UTC; in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trigger {
    /// From a minute after midnight on, again and again after so many minutes.
    Every { minute: u8, minutes: u8 },
    /// Once a day.
    Daily { hour: u8, minute: u8 },
}

fn triggers(lines: &[Line]) -> Vec<Trigger> {
    let mut minutes = 0;
    let mut times = BTreeSet::new();
    for line in lines {
        if line.hours == EVERY_HOUR {
            minutes |= line.minutes;
        } else {
            times.extend(
                numbers(line.hours.into()).into_iter().flat_map(|hour| numbers(line.minutes).into_iter().map(move |minute| (hour, minute))),
            );
        }
    }
    let daily = times.into_iter().filter(|(_, minute)| minutes >> minute & 1 == 0).map(|(hour, minute)| Trigger::Daily { hour, minute });
    repeated(minutes).into_iter().chain(daily).collect()
}

/// Minutes of every hour that are evenly spaced are one trigger.
fn repeated(minutes: u64) -> Vec<Trigger> {
    let found = numbers(minutes);
    let Some(&first) = found.first() else { return Vec::new() };
    let step = 60 / found.len();
    let is_even = 60_usize.is_multiple_of(found.len())
        && found.iter().enumerate().all(|(index, minute)| usize::from(*minute) == usize::from(first) + index * step);
    if is_even {
        return vec![Trigger::Every { minute: first, minutes: step as u8 }];
    }
    found.into_iter().map(|minute| Trigger::Every { minute, minutes: 60 }).collect()
}

fn task(entry: &Entry, host: &Host, triggers: &[Trigger]) -> String {
    let mut starts = String::new();
    for trigger in triggers {
        starts.push_str(&match *trigger {
            Trigger::Every { minute, minutes } => {
                let interval = if minutes == 60 { "PT1H".to_owned() } else { format!("PT{minutes}M") };
                format!(
                    "    <TimeTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>{START}T00:{minute:02}:00Z</StartBoundary>
      <Repetition>
        <Interval>{interval}</Interval>
      </Repetition>
      <RandomDelay>PT0M</RandomDelay>
    </TimeTrigger>
"
                )
            }
            Trigger::Daily { hour, minute } => format!(
                "    <CalendarTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>{START}T{hour:02}:{minute:02}:00Z</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
"
            ),
        });
    }
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <URI>\etlsched-{digest}\{job}</URI>
    <Source>etlsched {version}</Source>
    <Description>{job}: {words}; made with {tzdata}</Description>
  </RegistrationInfo>
  <Triggers>
{starts}  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>Parallel</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
  </Settings>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>S4U</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Actions Context="Author">
    <Exec>
      <Command>{program}</Command>
      <Arguments>-C {workspace} run {job} --scheduled</Arguments>
    </Exec>
  </Actions>
</Task>
"#,
        digest = host.digest(),
        job = entry.job,
        version = env!("CARGO_PKG_VERSION"),
        words = words(entry),
        tzdata = xml(&host.tzdata),
        limit = limit(entry),
        user = xml(&host.user),
        program = xml(&host.program),
        workspace = xml(&argument(&host.workspace)),
    );
    text.replace('\n', "\r\n")
}

/// A run that waits for another one takes as long as it must; every other one ends itself when its time is up, and is ended a little later.
fn limit(entry: &Entry) -> String {
    match entry.on_overlap {
        "wait" => "PT0S".to_owned(),
        _ => format!("PT{}M", entry.timeout.as_secs().div_ceil(60) + GRACE_MINUTES),
    }
}

/// Returns a path as one argument (CommandLineToArgvW): in quotes where it has blanks, a backslash at the end doubled.
fn argument(path: &str) -> String {
    if !path.contains([' ', '\t']) {
        return path.to_owned();
    }
    let mut text = format!("\"{path}");
    let trailing = path.len() - path.trim_end_matches('\\').len();
    let _ = write!(text, "{}\"", "\\".repeat(trailing));
    text
}

/// The scheduler replaces `%NAME%` and `$(Arg0)`.
fn host_problems(host: &Host) -> Vec<Unsupported> {
    let problem = |message: String, hint: &str| Unsupported { job: None, message, hint: hint.to_owned() };
    let mut found = Vec::new();
    for (what, path) in [("program", &host.program), ("workspace", &host.workspace)] {
        if let Some(sign) = ["%", "$(", "\""].into_iter().find(|sign| path.contains(sign)) {
            found.push(problem(
                format!("the {what}'s path {path:?} has {sign:?}, which the task scheduler replaces"),
                "move it to a path without it",
            ));
        }
    }
    let characters = host.program.encode_utf16().count();
    if characters > PATH_CHARACTERS_MAX {
        let message = format!("the program's path has {characters} characters, and a task takes at most {PATH_CHARACTERS_MAX}");
        found.push(problem(message, "move the program to a shorter path"));
    }
    if host.user.is_empty() || host.user.chars().any(char::is_control) {
        found.push(problem(format!("{:?} is no name of a user", host.user), r"name the user: --user DOMAIN\NAME"));
    }
    found
}

fn too_many(entry: &Entry, triggers: usize) -> Unsupported {
    Unsupported {
        job: Some(entry.job.clone()),
        message: format!("it needs {triggers} triggers, and a task has at most {TRIGGERS_MAX}: {}", words(entry)),
        hint: "set catch_up_wakeups: hourly, which needs one for each of its minutes".to_owned(),
    }
}
