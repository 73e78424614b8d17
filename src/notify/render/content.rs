//! What a message tells, in order: the facts of a [`Message`] as short lines, without any markup.

use crate::notify::message::{Cause, Kind, Message, SourceFacts, StripRun};
use crate::run::{RunStatus, SourceStatus};
use crate::text::{count, grouped, span};
use crate::zone::Zone;

use super::roundup::{self, JobLine};
use super::words::{self, clean, when};

/// How many sources are listed: a mail above 100 kB is cut by webmailers.
const SOURCES_MAX: usize = 40;
/// How many causes are told.
const CAUSES_MAX: usize = 8;
/// How many lines of slots and of columns.
const LINES_MAX: usize = 20;
/// How many reasons of a source are told for which rows were rejected.
const REASONS_MAX: usize = 5;
/// How many runs the strip shows.
pub(super) const STRIP_MAX: usize = 14;

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Somebody has to do something.
    Bad,
    /// Somebody should look at it.
    Warning,
    /// All is well.
    Good,
}

/// A message, ready to be laid out.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// The subject of a mail.
    pub subject: String,
    /// How urgent it is.
    pub tone: Tone,
    /// Whether nothing really happened.
    pub is_test: bool,
    /// The first line.
    pub headline: String,
    /// Sentences below it.
    pub lead: Vec<String>,
    /// Why.
    pub causes: Vec<CauseLines>,
    /// How many causes aren't told.
    pub more_causes: Option<String>,
    /// The jobs, where it is about several.
    pub jobs: Vec<JobLine>,
    /// How many jobs there are, listed or not.
    pub job_count: usize,
    /// Slots, columns or reasons, below a title.
    pub list: Option<(&'static str, Vec<String>)>,
    /// What to type, each with what it does.
    pub commands: Vec<(&'static str, String)>,
    /// The sources.
    pub sources: Vec<SourceLine>,
    /// How many sources aren't listed.
    pub more_sources: Option<String>,
    /// The last runs, oldest first.
    pub strip: Vec<Cell>,
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
    /// The end of the log.
    pub log_tail: Vec<String>,
    /// What stands at the very end.
    pub footer: Vec<String>,
}

/// A cause.
#[derive(Debug, Clone)]
pub(crate) struct CauseLines {
    /// Whom it concerns.
    pub title: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The word of the error, and how often it was tried.
    pub note: String,
}

/// A source.
#[derive(Debug, Clone)]
pub(crate) struct SourceLine {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: SourceStatus,
    /// Rows.
    pub rows: String,
    /// How long it took.
    pub took: String,
    /// What else is to be said.
    pub details: Vec<String>,
}

/// A run of the strip.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// How it ended.
    pub status: RunStatus,
    /// When it began, how long it took, how many rows.
    pub title: String,
}

impl Content {
    /// Chooses what is told.
    pub(crate) fn of(message: &Message) -> Self {
        let zone = words::zone(message);
        let program = program(message);
        let causes: Vec<CauseLines> = message.causes.iter().take(CAUSES_MAX).map(|found| cause(found, &program)).collect();
        let (sources, more_sources) = sources(message);
        let strip = &message.strip[message.strip.len().saturating_sub(STRIP_MAX)..];
        Self {
            subject: words::subject(message),
            tone: tone(message.kind),
            is_test: message.is_test,
            headline: words::headline(message),
            lead: words::lead(message),
            more_causes: more(message.causes.len(), causes.len(), "cause"),
            causes,
            jobs: roundup::lines(message, zone),
            job_count: message.roundup.as_ref().map_or(0, |roundup| roundup.job_count as usize),
            list: list(message, zone),
            commands: commands(message, &program),
            sources,
            more_sources,
            strip: strip.iter().map(|run| cell(run, zone)).collect(),
            facts: facts(message, zone),
            log_tail: message.log_tail.iter().rev().take(LINES_MAX).rev().map(|line| clean(line, 300)).collect(),
            footer: footer(message, zone),
        }
    }
}

fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::Failure | Kind::Disabled | Kind::DisabledSoon | Kind::Invalid => Tone::Bad,
        Kind::Missed | Kind::Deadline | Kind::SchemaChange | Kind::RejectedRows => Tone::Warning,
        Kind::Success | Kind::Recovery => Tone::Good,
    }
}

fn cause(cause: &Cause, program: &str) -> CauseLines {
    let names: Vec<String> = cause.sources.iter().take(6).map(|name| clean(name, 60)).collect();
    let mut title = names.join(", ");
    if let Some(more) = cause.sources.len().checked_sub(names.len()).filter(|more| *more > 0) {
        title.push_str(&format!(" and {} more", grouped(more as u64)));
    }
    if title.is_empty() {
        title.push_str("The run");
    }
    if let Some(host) = &cause.host {
        title.push_str(&format!(" (at {})", clean(host, 100)));
    }
    let tries = if cause.attempts > 1 { format!(", {} attempts", grouped(cause.attempts.into())) } else { String::new() };
    CauseLines {
        title,
        message: clean(&cause.message, 1000),
        hint: cause.hint.as_deref().map(|hint| typed_anywhere(&clean(hint, 500), program)).filter(|hint| !hint.is_empty()),
        note: format!("{}{tries}", clean(&cause.code, 60)),
    }
}

/// Returns the sources that are listed, in the job's order; of too many, those that have to be looked at come first.
fn sources(message: &Message) -> (Vec<SourceLine>, Option<String>) {
    let mut listed: Vec<(usize, &SourceFacts)> = message.sources.iter().enumerate().collect();
    if listed.len() > SOURCES_MAX {
        listed.sort_by_key(|(place, source)| (!words::is_bad(source.status), source.records_rejected == 0, *place));
        listed.truncate(SOURCES_MAX);
        listed.sort_by_key(|(place, _)| *place);
    }
    let is_listed = |place: usize| listed.binary_search_by_key(&place, |(place, _)| *place).is_ok();
    let hidden: Vec<&SourceFacts> =
        message.sources.iter().enumerate().filter(|(place, _)| !is_listed(*place)).map(|(_, source)| source).collect();
    let more = (!hidden.is_empty()).then(|| {
        let parts: Vec<String> = SourceStatus::ALL
            .into_iter()
            .map(|status| (status, hidden.iter().filter(|source| source.status == status).count() as u64))
            .filter(|(_, number)| *number > 0)
            .map(|(status, number)| format!("{} {}", grouped(number), status.as_str()))
            .collect();
        format!("and {} more: {}", grouped(hidden.len() as u64), parts.join(", "))
    });
    (listed.into_iter().map(|(_, facts)| source(facts)).collect(), more)
}

fn source(source: &SourceFacts) -> SourceLine {
    // A table that is made anew has added and removed all its rows, though none of them may differ.
    let is_replaced = source.is_replaced && source.records_deleted > 0;
    let changes = [(source.records_added, "added"), (source.records_updated, "updated"), (source.records_deleted, "removed")];
    let changes = changes.into_iter().filter(|_| !is_replaced).chain([(source.records_rejected, "rejected")]);
    let mut parts: Vec<String> = Vec::new();
    if is_replaced {
        let tables = if source.table_count > 1 { "tables" } else { "table" };
        let (rows, before) = (count(source.records_added, "row"), grouped(source.records_deleted));
        parts.push(format!("{tables} replaced: {rows} in place of {before}"));
    }
    parts.extend(changes.filter(|(number, _)| *number > 0).map(|(number, word)| format!("{} {word}", grouped(number))));
    if source.attempt > 1 {
        parts.push(format!("attempt {}", grouped(source.attempt.into())));
    }
    if !source.tables_refreshed.is_empty() {
        parts.push(format!("{} of {} refreshed", grouped(source.tables_refreshed.len() as u64), count(source.tables_in_all, "table")));
    }
    let mut details = Vec::new();
    if !parts.is_empty() {
        details.push(parts.join(", "));
    }
    details.extend(source.rejects_path.as_deref().map(|path| format!("rejected rows: {}", clean(path, 300))));
    SourceLine {
        name: clean(&source.name, 100),
        status: source.status,
        rows: if source.attempt == 0 { "–".to_owned() } else { grouped(source.records_processed) },
        took: if source.attempt == 0 { "–".to_owned() } else { span(source.duration_seconds) },
        details,
    }
}

fn cell(run: &StripRun, zone: Zone) -> Cell {
    let took = run.duration_seconds.map(|seconds| format!(", {}", span(seconds))).unwrap_or_default();
    let title = format!("{}: {}{took}, {}", when(run.started_at, zone), run.status, count(run.records_processed, "row"));
    Cell { status: run.status, title }
}

fn list(message: &Message, zone: Zone) -> Option<(&'static str, Vec<String>)> {
    let (title, mut lines, all) = match message.kind {
        Kind::Missed | Kind::Deadline => {
            let lines: Vec<String> = message.slots.iter().take(LINES_MAX).map(|slot| when(*slot, zone)).collect();
            (if message.kind == Kind::Missed { "Missed" } else { "Due" }, lines, message.slot_count as usize)
        }
        Kind::RejectedRows => {
            let lines = reasons(message);
            let all = lines.len();
            ("Reasons", lines.into_iter().take(LINES_MAX).collect(), all)
        }
        Kind::Failure | Kind::Success | Kind::Recovery | Kind::Disabled | Kind::DisabledSoon | Kind::SchemaChange | Kind::Invalid => {
            // Why rows of a failed run were rejected no other message says.
            let reasons = if tone(message.kind) == Tone::Bad { reasons(message) } else { Vec::new() };
            let lines = message.schema_changes.iter().map(|change| clean(change, 300));
            let (title, lines) = if reasons.is_empty() { ("Columns", lines.collect()) } else { ("Reasons", reasons) };
            let all = lines.len();
            (title, lines.into_iter().take(LINES_MAX).collect(), all)
        }
    };
    if lines.is_empty() {
        return None;
    }
    if let Some(more) = all.checked_sub(lines.len()).filter(|more| *more > 0) {
        // Of slots the latest stand there.
        let (which, since) = match message.kind {
            Kind::Missed => ("before them", message.slots_since.map(|at| format!(", since {}", when(at, zone))).unwrap_or_default()),
            _ => ("more", String::new()),
        };
        lines.push(format!("and {} {which}{since}", grouped(more as u64)));
    }
    Some((title, lines))
}

/// Returns why rows were rejected, the first reasons of each source.
fn reasons(message: &Message) -> Vec<String> {
    let mut lines = Vec::new();
    for source in words::loaded(message) {
        let name = clean(&source.name, 100);
        let told = &source.reject_reasons[..source.reject_reasons.len().min(REASONS_MAX)];
        for reason in told {
            let (rows, what, first) = (count(reason.rows, "row"), clean(&reason.what, 200), clean(&reason.first, 200));
            lines.push(format!("{name}: {rows}: {what} (the first: {first})"));
        }
        let rest = source.records_rejected.saturating_sub(told.iter().map(|reason| reason.rows).sum());
        if rest > 0 && !told.is_empty() {
            lines.push(format!("{name}: {} for other reasons", count(rest, "row")));
        }
    }
    lines
}

/// Returns how commands begin that work from any folder.
fn program(message: &Message) -> String {
    format!("etlsched -C {}", shell_quoted(&clean(&message.workspace, 400)))
}

/// The commands that hints name.
const HINTED: [&str; 13] =
    ["cancel", "create", "doctor", "enable", "init", "logs", "resume", "run", "schedule", "source", "state", "status", "validate"];

/// Returns a hint whose commands work from any folder; `etlsched` in a sentence stays.
fn typed_anywhere(hint: &str, program: &str) -> String {
    let mut parts = hint.split("etlsched ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let word = part.split(|character: char| !character.is_ascii_lowercase()).next().unwrap_or_default();
        let is_command =
            HINTED.contains(&word) && !text.ends_with(|character: char| character.is_alphanumeric() || "/.-_".contains(character));
        text.push_str(if is_command { program } else { "etlsched" });
        text.push(' ');
        text.push_str(part);
    }
    text
}

fn commands(message: &Message, program: &str) -> Vec<(&'static str, String)> {
    if message.roundup.is_some() {
        return roundup::commands(message, program);
    }
    // Both are plain words; whoever copies a command must be able to rely on that.
    let job = shell_quoted(&clean(&message.job.id, 63));
    let typed = |words: &str| format!("{program} {words}");
    let again = if message.sources.iter().any(|source| words::is_bad(source.status)) {
        ("Load what failed again", typed(&format!("run {job} --retry-failed")))
    } else {
        ("Run it again", typed(&format!("run {job}")))
    };
    let log = match &message.run {
        Some(run) => ("Read the whole log", typed(&format!("logs --run {}", shell_quoted(&clean(&run.id, 63))))),
        None => ("See its last runs", typed(&format!("logs {job}"))),
    };
    match message.kind {
        Kind::Failure | Kind::DisabledSoon => vec![log, again],
        Kind::Disabled => vec![
            log,
            ("Try it by hand; a run that succeeds ends the error", typed(&format!("run {job}"))),
            ("Or let its schedule start it again", typed(&format!("enable {job}"))),
        ],
        Kind::Missed => {
            vec![("See whether its scheduler has it", typed("schedule status")), ("Run it now", typed(&format!("run {job}"))), log]
        }
        Kind::Deadline => vec![log, ("Run it now", typed(&format!("run {job}")))],
        Kind::Invalid if words::is_of_settings(message) => {
            vec![("See every problem of the file", typed("validate")), ("See how all jobs stand, once it is good", typed("check"))]
        }
        Kind::Recovery if words::is_of_settings(message) => vec![("See how all jobs stand", typed("check"))],
        Kind::Invalid if words::is_gone(message) => vec![
            ("See what its scheduler has", typed("schedule status")),
            ("Take its entry and its status away", typed(&format!("delete {job}"))),
        ],
        Kind::Invalid if words::lacks_value(message) => vec![
            ("See what it lacks", typed(&format!("validate {job}"))),
            ("See what its scheduler's runs have", typed("doctor")),
            ("Run it, once it has that", typed(&format!("run {job}"))),
        ],
        Kind::Invalid => vec![
            ("See every problem of the file", typed(&format!("validate {job}"))),
            ("Run it, once the file is good", typed(&format!("run {job}"))),
        ],
        Kind::Success | Kind::Recovery | Kind::SchemaChange | Kind::RejectedRows => vec![log],
    }
}

fn facts(message: &Message, zone: Zone) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if message.roundup.is_none() {
        facts.push((if words::is_of_settings(message) { "File" } else { "Job" }, clean(&message.job.id, 63)));
    }
    if let Some(at) = message.deadline {
        facts.push(("Deadline", when(at, zone)));
    }
    if let Some(run) = &message.run {
        facts.push(("Started", format!("{}, {}", when(run.started_at, zone), words::trigger(run))));
        if let Some(slot) = run.slot_at.filter(|slot| when(*slot, zone) != when(run.started_at, zone)) {
            facts.push(("Due", when(slot, zone)));
        }
        facts.push(("Ended", format!("{}, {}, exit {}", when(run.completed_at, zone), run.status, run.exit_code)));
        facts.push(("Took", span(run.duration_seconds)));
    }
    let schedule = clean(&message.job.schedule, 200);
    if !schedule.is_empty() {
        facts.push(("Schedule", schedule));
    }
    if let Some(next) = message.job.next_run {
        facts.push(("Next run", when(next, zone)));
    }
    facts.push(("Host", clean(&message.host, 100)));
    facts
}

fn footer(message: &Message, zone: Zone) -> Vec<String> {
    let place = match (&message.roundup, message.kind) {
        (None, Kind::Invalid) if words::lacks_value(message) => format!("in jobs/{}.yaml", clean(&message.job.id, 63)),
        _ if words::is_of_file(message) && !message.is_by_job => "under defaults in etlsched.yaml".to_owned(),
        (Some(_), _) => "in the jobs' files and under defaults in etlsched.yaml".to_owned(),
        (None, _) => format!("in jobs/{}.yaml, else under defaults in etlsched.yaml", clean(&message.job.id, 63)),
    };
    vec![
        format!("Told by etlsched on {} at {}.", clean(&message.host, 100), when(message.at, zone)),
        format!("Who is told of what stands {place}: notification_emails, notify_on, notify_repeat."),
    ]
}

pub(super) fn more(all: usize, told: usize, noun: &str) -> Option<String> {
    let hidden = all.checked_sub(told).filter(|hidden| *hidden > 0)?;
    Some(format!("and {} more", count(hidden as u64, noun)))
}

/// Returns a path as a POSIX shell takes it as one word. On Windows the quotes are those of its shells.
fn shell_quoted(path: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%\\".contains(character);
    if !path.is_empty() && path.chars().all(is_plain) && (!path.contains('\\') || cfg!(windows)) {
        path.to_owned()
    } else if cfg!(windows) {
        format!("\"{path}\"")
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
