//! Reads what a scheduler was told: crontab text, or the text of systemd timers. Strangers' lines are left out.

use crate::schedule::cron::Cron;
use crate::zone::Zone;

/// What a scheduler does for one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Its lines, in the text's order.
    pub lines: Vec<Line>,
}

/// One line that starts a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, by the scheduler's clock or `zone`'s.
    pub times: Cron,
    /// As busybox reads the same fields: `*/2` are its days 0, 2, 4 ..., and only `*` itself is every day (crond.c, ParseField and FixDayDow).
    pub times_of_busybox: Cron,
    /// The zone that the text names: `CRON_TZ` of a crontab, the last word of `OnCalendar`.
    pub zone: Option<Zone>,
    /// Whether the program is started through the gate (`--scheduled`).
    pub is_gated: bool,
}

/// What a line of a crontab has to call.
#[derive(Clone, Copy)]
pub struct Called<'a> {
    /// The job's id.
    pub job: &'a str,
    /// The workspace that `-C` has to name; `None` for any.
    pub workspace: Option<&'a str>,
    /// Whether a path is the program's.
    pub is_program: &'a dyn Fn(&str) -> bool,
}

impl<'a> From<&'a str> for Called<'a> {
    fn from(job: &'a str) -> Self {
        Self { job, workspace: None, is_program: &|_| true }
    }
}

impl std::fmt::Debug for Called<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Called").field("job", &self.job).field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

/// One start of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firing {
    /// In seconds since 1970.
    pub at: i64,
    /// Whether the gate decides if it runs.
    pub is_gated: bool,
}

/// Why a text can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// A lower-case fragment.
    pub message: String,
}

impl Script {
    /// Reads the lines of a crontab that start a job. A last line without a line end is none: daemons don't read it.
    ///
    /// # Errors
    /// A line that starts the job and can't be understood.
    pub fn of_crontab<'a>(text: &str, called: impl Into<Called<'a>>) -> Result<Self, TextError> {
        let called = called.into();
        let mut script = Self::default();
        let mut zone = None;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let error = |message: String| TextError { line: number, message };
            let Some(line) = line.strip_suffix('\n').map(|line| line.trim_start_matches([' ', '\t'])) else { continue };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((name, value)) = assignment(line) {
                if name == "CRON_TZ" {
                    zone = Some(Zone::parse(value).map_err(|_| error(format!("CRON_TZ: {value:?} is not a time zone")))?);
                }
                continue;
            }
            let Some((fields, command)) = parted(line) else { continue };
            let command = until_percent(command);
            if called_by(command, &called).is_ok() {
                let times = Cron::parse(fields).map_err(|problem| error(problem.message))?;
                let times_of_busybox = of_busybox(times, fields);
                script.lines.push(Line { times, times_of_busybox, zone, is_gated: has_word(command, "--scheduled") });
            }
        }
        Ok(script)
    }

    /// Returns the lines of a crontab that name the program and the job and are not read all the same: the number from 1, and why.
    pub fn unread(text: &str, called: Called<'_>) -> Vec<(usize, String)> {
        let names_it = |line: &str| line.contains("etlsched") && line.split_ascii_whitespace().any(|word| word == called.job);
        let reason = |line: &str| match line.strip_suffix('\n') {
            None => Some("it has no line end, and daemons leave such a last line out".to_owned()),
            Some(line) => called_by(until_percent(parted(line.trim_start())?.1), &called).err()?,
        };
        let lines = (1..).zip(text.split_inclusive('\n')).filter(|(_, line)| !line.trim_start().starts_with('#') && names_it(line));
        lines.filter_map(|(number, line)| Some((number, reason(line)?))).collect()
    }

    /// Reads the `OnCalendar` lines of a timer; `service` is the text of the service that it starts.
    ///
    /// # Errors
    /// A line that can't be understood.
    pub fn of_timer(timer: &str, service: &str, job: &str) -> Result<Self, TextError> {
        let command = service.lines().find_map(|line| line.trim().strip_prefix("ExecStart=")).unwrap_or_default();
        let mut script = Self::default();
        if !starts(command, job) {
            return Ok(script);
        }
        let is_gated = has_word(command, "--scheduled");
        for (number, line) in (1..).zip(timer.lines()) {
            if let Some(calendar) = line.trim().strip_prefix("OnCalendar=") {
                let (times, zone) = calendar_event(calendar.trim()).map_err(|message| TextError { line: number, message })?;
                script.lines.push(Line { times, times_of_busybox: times, zone, is_gated });
            }
        }
        Ok(script)
    }
}

/// `NAME=value` or `NAME = "value"` (crontab(5)).
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (name, value.trim().trim_matches(['"', '\''])))
}

/// Parts five fields from the command; `@reboot` and its like start nothing at a time of day.
fn parted(line: &str) -> Option<(&str, &str)> {
    if line.starts_with('@') {
        return None;
    }
    let mut rest = line;
    for _ in 0..5 {
        let end = rest.find([' ', '\t'])?;
        rest = rest[end..].trim_start();
    }
    Some((line[..line.len() - rest.len()].trim_end(), rest))
}

/// What stands behind the first `%` is the command's input (crontab(5)).
fn until_percent(command: &str) -> &str {
    let end = command.match_indices('%').map(|(at, _)| at).find(|at| !command[..*at].ends_with('\\'));
    &command[..end.unwrap_or(command.len())]
}

/// Whether a line's command is the program, called to run the job: what else it may do is not guessed. Else why it is not one; `None` where it
/// calls the program for other jobs.
fn called_by(command: &str, called: &Called<'_>) -> Result<(), Option<String>> {
    let mut words = command.split([' ', '\t']).filter(|word| !word.is_empty());
    let program = words.next().unwrap_or_default();
    if !["/etlsched", "/etlsched.exe"].iter().any(|name| program.ends_with(name)) {
        return Err(Some(format!("its command begins with {program}, and would have to be the program by its whole path")));
    }
    if !(called.is_program)(program) {
        return Err(Some(format!("{program} is not this program")));
    }
    let (mut is_run, mut is_job) = (false, false);
    while let Some(word) = words.next() {
        match word {
            "-C" | "--project" => {
                let folder = words.next();
                if called.workspace.is_some() && folder != called.workspace {
                    return Err(Some(format!("-C {} is another workspace", folder.unwrap_or_default())));
                }
            }
            "--log-format" | "--log-file" | "--log-file-max-mb" | "--log-file-keep" | "-o" | "--output" | ">" | ">>" | "2>" | "2>>" => {
                let _ = words.next();
            }
            "--scheduled" | "-q" | "--quiet" | "-v" | "--verbose" | "--no-notify" | "2>&1" => {}
            "run" if !is_run => is_run = true,
            _ if word.starts_with(">") && !word.contains(['&', ';', '|']) => {}
            _ if !is_run || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) || word.starts_with('-') => {
                return Err(Some(format!("what {word} does in it is not known")));
            }
            _ => is_job |= word == called.job,
        }
    }
    if is_run && is_job { Ok(()) } else { Err(None) }
}

/// The same fields as busybox reads them.
fn of_busybox(times: Cron, fields: &str) -> Cron {
    let field = fields.split_ascii_whitespace().nth(2).unwrap_or("*");
    let item = |item: &str| match item.strip_prefix("*/").and_then(|step| step.parse::<usize>().ok()) {
        Some(step) => (0..32).step_by(step.max(1)).fold(0, |bits, day| bits | 1 << day),
        None => Cron::parse(&format!("0 0 {item} * *")).map_or(0, |cron| cron.days),
    };
    Cron { days: field.split(',').map(item).fold(0, |bits, days| bits | days), is_every_day: field == "*", ..times }
}

/// Whether a command is `... run JOB ...`.
fn starts(command: &str, job: &str) -> bool {
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| pair == ["run", job])
}

fn has_word(command: &str, word: &str) -> bool {
    command.split_ascii_whitespace().any(|found| found == word)
}

/// Reads a calendar event of systemd.time(7) with whole minutes: `Mon,Tue *-*-28..31 00,01:30:00 UTC`.
fn calendar_event(text: &str) -> Result<(Cron, Option<Zone>), String> {
    let wrong = || format!("{text:?} is no calendar event that can be proved");
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let zone = words.last().and_then(|word| Zone::parse(word).ok());
    if zone.is_some() {
        words.pop();
    }
    let weekdays = match words.first() {
        Some(word) if word.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            words.remove(0).to_ascii_lowercase().replace("..", "-")
        }
        _ => "*".to_owned(),
    };
    let [date, time] = words.as_slice() else { return Err(wrong()) };
    let date: Vec<&str> = date.split('-').collect();
    let ["*", month, day] = date.as_slice() else { return Err(wrong()) };
    let time: Vec<&str> = time.split(':').collect();
    let ([hour, minute] | [hour, minute, "00" | "0"]) = time.as_slice() else { return Err(wrong()) };
    let field = |text: &str, max: u8| -> Result<String, String> {
        let items: Result<Vec<String>, String> = text.split(',').map(|item| calendar_item(item, max).ok_or_else(wrong)).collect();
        Ok(items?.join(","))
    };
    let line = format!("{} {} {} {} {weekdays}", field(minute, 59)?, field(hour, 23)?, field(day, 31)?, field(month, 12)?);
    let mut times = Cron::parse(&line).map_err(|problem| format!("{text:?}: {}", problem.message))?;
    // systemd.time(7): a weekday narrows the dates, it never adds any.
    (times.is_every_day, times.is_every_weekday) = (true, true);
    Ok((times, zone))
}

/// `*`, `05`, `1..5`, `0/15` as a cron field's item.
fn calendar_item(item: &str, max: u8) -> Option<String> {
    let number = |text: &str| text.parse::<u8>().ok().filter(|number| *number <= max);
    if item == "*" {
        return Some("*".to_owned());
    }
    if let Some((first, last)) = item.split_once("..") {
        return Some(format!("{}-{}", number(first)?, number(last)?));
    }
    if let Some((first, step)) = item.split_once('/') {
        let first = if first == "*" { 0 } else { number(first)? };
        return Some(format!("{first}-{max}/{}", number(step)?));
    }
    Some(number(item)?.to_string())
}
