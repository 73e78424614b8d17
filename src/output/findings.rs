//! What is wrong with jobs, in words: why, and what to do. `check`, `status` and `metrics` say the same.

use chrono::{DateTime, Utc};

use super::logs::short_id;
use super::measure::{abbreviation, local, span};
use crate::engine::health::{Health, LateReason, StuckReason};
use crate::run::RunStatus;
use crate::state::JobStatus;
use crate::text::{count, printable, shortened};
use crate::zone::Zone;

/// How grave a finding is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The job doesn't run any more, or its data is too old.
    Critical,
    /// One slot was not started in time.
    Warning,
    /// Nothing is wrong; it may explain something.
    Note,
}

impl Severity {
    /// Returns the word of JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a finding is about, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The job's file can't be read or has errors.
    Broken,
    /// Too many runs in a row refreshed nothing.
    Error,
    /// A run doesn't end.
    Stuck,
    /// The deadline passed without a success.
    Deadline,
    /// A slot was not started.
    Late,
    /// `failure_threshold` runs in a row did not refresh a source.
    Source,
    /// Runs in a row refreshed nothing, or the last one not every source.
    Failing,
    /// Slots of the last day that nobody started, before the one that was.
    Missed,
    /// No scheduler has asked for the job's slots yet.
    New,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] =
        [Self::Broken, Self::Error, Self::Stuck, Self::Deadline, Self::Late, Self::Source, Self::Failing, Self::Missed, Self::New];

    /// Returns the word of tables, JSON and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Error => "error",
            Self::Stuck => "stuck",
            Self::Deadline => "deadline",
            Self::Late => "late",
            Self::Source => "source",
            Self::Failing => "failing",
            Self::Missed => "missed",
            Self::New => "new",
        }
    }
}

/// One thing about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The job, or the name of a file that is none.
    pub job: String,
    /// What it is about.
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// Since when: the first slot that was not started, the deadline, the run's begin, the change of status.
    pub since: Option<DateTime<Utc>>,
    /// Why: a fragment.
    pub reason: String,
    /// What to do: a command.
    pub remedy: String,
}

/// A job whose file, or a setting that it has from etlsched.yaml, has errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The stem of its file.
    pub job: String,
    /// How many errors.
    pub errors: u64,
    /// Where the first one is: `jobs/sales.yaml:3`.
    pub place: String,
    /// Whether that is in etlsched.yaml.
    pub is_setting: bool,
}

/// Returns what is to be said of files with errors.
pub fn of_broken(broken: &[Broken]) -> Vec<Finding> {
    let whose = |broken: &Broken| if broken.is_setting { "with its settings it has" } else { "its file has" };
    let finding = |broken: &Broken| Finding {
        job: broken.job.clone(),
        kind: Kind::Broken,
        severity: Severity::Critical,
        since: None,
        reason: format!("{} {}, the first at {}: the job does not run", whose(broken), count(broken.errors, "error"), broken.place),
        remedy: "etlsched validate".to_owned(),
    };
    broken.iter().map(finding).collect()
}

/// Returns what is to be said of a job, times in the user's zone; nothing of one that is inactive or paused.
pub fn of_job(health: &Health, zone: Zone) -> Vec<Finding> {
    if matches!(health.status, JobStatus::Inactive | JobStatus::Paused) {
        return Vec::new();
    }
    let shown = |time: DateTime<Utc>| format!("{} {}", &local(time, zone)[..16], abbreviation([time], zone));
    let job = &health.job;
    let mut found = Vec::new();
    let mut say = |kind, severity, since, reason: String, remedy: String| {
        found.push(Finding { job: job.clone(), kind, severity, since, reason, remedy });
    };
    if health.status == JobStatus::Error {
        let reason = format!("{}: its schedule does not start it any more", why_in_error(health));
        let remedy = if has_failed(health) || health.sources_failing.is_empty() {
            format!("etlsched logs {job} --run last; then: etlsched enable {job}")
        } else {
            format!("etlsched run {job} --retry-failed")
        };
        say(Kind::Error, Severity::Critical, health.status_changed_at, reason, remedy);
    }
    if let Some(stuck) = &health.stuck {
        let (run, began) = (short_id(&stuck.run_id), shown(stuck.started_at));
        let (reason, remedy) = match stuck.reason {
            StuckReason::Interrupted => {
                (format!("the process of run {run} of {began} is gone; the next run settles it"), format!("etlsched run {job}"))
            }
            StuckReason::Overtime { limit } => {
                (format!("run {run} of {began} goes on past its limit of {}", span(limit.as_secs_f64())), format!("etlsched cancel {job}"))
            }
        };
        say(Kind::Stuck, Severity::Critical, Some(stuck.started_at), reason, remedy);
    }
    if let Some(passed) = &health.deadline {
        let reason = format!("not refreshed by {}, since the slot of {}", shown(passed.at), shown(passed.slot_at));
        say(Kind::Deadline, Severity::Critical, Some(passed.at), reason, format!("etlsched logs {job}; then: etlsched run {job}"));
    }
    if let Some(late) = &health.late {
        let (reason, remedy) = late_words(health, &shown);
        let severity = if late.slot_count > 1 { Severity::Critical } else { Severity::Warning };
        say(Kind::Late, severity, Some(late.since), reason, remedy);
    }
    if health.status == JobStatus::Active && health.starving().next().is_some() {
        let since = health.last_run.as_ref().map(|run| run.at);
        say(Kind::Source, Severity::Warning, since, sources_words(health.starving()), after_failure(health));
    }
    notes(health, &shown, &mut say);
    found
}

/// A run of some sources may have ended the row of failures: the job is whole only when all are refreshed.
fn why_in_error(health: &Health) -> String {
    match health.consecutive_failures {
        0 if health.sources_failing.is_empty() => "too many runs in a row refreshed nothing".to_owned(),
        0 => sources_words(failing_sources(health)),
        runs => format!("{} in a row refreshed nothing", count(runs, "run")),
    }
}

fn late_words(health: &Health, shown: &dyn Fn(DateTime<Utc>) -> String) -> (String, String) {
    let Some(late) = &health.late else { return Default::default() };
    let job = &health.job;
    let due = shown(late.due_at);
    let (what, more) = match late.reason {
        LateReason::NotStarted => (format!("the slot of {due} was not started"), ""),
        LateReason::Missed => (format!("the slot of {due} was missed"), ""),
        LateReason::Interrupted => (format!("the run of the slot of {due} was interrupted"), ", and not started again"),
    };
    let ago = span(late.by.as_seconds_f64());
    let before = match late.fresh_count.saturating_sub(1) {
        _ if late.are_there_more => "; those before it neither".to_owned(),
        0 => String::new(),
        earlier => format!("; {} before it neither", count(earlier, "slot")),
    };
    let reason = if late.since == late.due_at {
        format!("{what}, {ago} ago{more}{before}")
    } else {
        format!("{what}{more}{before}; late since {}, {ago} ago", shown(late.since))
    };
    // What the gate would not catch up any more is run by hand.
    let command = if late.reason == LateReason::Missed { format!("etlsched run {job}") } else { format!("etlsched run {job} --scheduled") };
    (reason, format!("{command}; see: etlsched schedule status"))
}

fn notes(
    health: &Health,
    shown: &dyn Fn(DateTime<Utc>) -> String,
    say: &mut dyn FnMut(Kind, Severity, Option<DateTime<Utc>>, String, String),
) {
    if let Some(reason) = failing(health) {
        let since = health.last_run.as_ref().map(|run| run.at);
        say(Kind::Failing, Severity::Note, since, reason, after_failure(health));
    }
    let is_late = |due_at: DateTime<Utc>| health.late.as_ref().is_some_and(|late| late.due_at == due_at);
    let missed: Vec<_> = health.missed.iter().filter(|slot| !is_late(slot.due_at)).collect();
    if let Some(last) = missed.last() {
        let slots = count(missed.iter().map(|slot| slot.slot_count).sum(), "slot");
        let reason = format!("{slots} of the last 24 hours had no run, the last of {}", shown(last.due_at));
        say(Kind::Missed, Severity::Note, Some(last.due_at), reason, "etlsched schedule status".to_owned());
    }
    if health.status == JobStatus::Active && health.next_at.is_some() {
        if health.counted_since.is_none() {
            let reason = "not noticed yet: no scheduler has asked for it".to_owned();
            say(Kind::New, Severity::Note, None, reason, "etlsched schedule install".to_owned());
        } else if !health.is_schedule_known {
            let reason = "its schedule was changed, and no scheduler has asked for it since".to_owned();
            say(Kind::New, Severity::Note, None, reason, "etlsched schedule sync".to_owned());
        }
    }
}

/// Returns the command that says why, or, where the last run was one of other sources, the one that tries those again.
fn after_failure(health: &Health) -> String {
    let job = &health.job;
    if has_failed(health) { format!("etlsched logs {job} --run last") } else { format!("etlsched run {job} --retry-failed") }
}

fn has_failed(health: &Health) -> bool {
    health.last_run.as_ref().is_some_and(|run| matches!(run.status, RunStatus::Failed | RunStatus::Timeout))
}

fn failing_sources(health: &Health) -> impl Iterator<Item = (&str, u64)> {
    health.sources_failing.iter().map(|(name, runs)| (name.as_str(), *runs))
}

/// How many sources are named.
const SOURCES_NAMED_MAX: usize = 3;

/// Says which sources were not refreshed, and how often: `gone was not refreshed, 4 runs in a row`.
fn sources_words<'a>(failing: impl Iterator<Item = (&'a str, u64)>) -> String {
    let row = |runs: u64| if runs <= 1 { " when it was last tried".to_owned() } else { format!(", {} in a row", count(runs, "run")) };
    let shown = |name: &str| printable(&shortened(name, 60)).into_owned();
    let failing: Vec<(String, u64)> = failing.map(|(name, runs)| (shown(name), runs)).collect();
    if let [(name, runs)] = failing.as_slice() {
        return format!("the source {name} was not refreshed{}", row(*runs));
    }
    let named: Vec<String> = failing.iter().take(SOURCES_NAMED_MAX).map(|(name, runs)| format!("{name}{}", row(*runs))).collect();
    let more = failing.len().saturating_sub(SOURCES_NAMED_MAX);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{} were not refreshed: {}{rest}", count(failing.len() as u64, "source"), named.join("; "))
}

/// Says how the last runs of an active job failed; nothing where every source was refreshed, or what fails is said already.
fn failing(health: &Health) -> Option<String> {
    if health.status != JobStatus::Active {
        return None;
    }
    match health.consecutive_failures {
        0 if health.starving().next().is_some() => None,
        0 if health.sources_failing.is_empty() => has_failed(health).then(|| "the last run failed".to_owned()),
        0 => Some(sources_words(failing_sources(health))),
        1 => Some("the last run refreshed nothing".to_owned()),
        runs => Some(format!("the last {} refreshed nothing", count(runs, "run"))),
    }
}

/// Puts the gravest first: by severity, kind and job.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (a.severity, a.kind, &a.job).cmp(&(b.severity, b.kind, &b.job)));
}
