//! What `check` prints: findings for people and scripts.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::findings::{self, Broken, Finding, Kind, Severity};
use super::measure::utc;
use super::table::{Align, Rows, terminal_width};
use super::wrap::{columns, wrapped_whole};
use crate::engine::health::Health;
use crate::state::JobStatus;
use crate::text::{count, printable};
use crate::zone::Zone;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// How each job stands whose file is good.
    pub jobs: Vec<Health>,
    /// Files with errors.
    pub broken: Vec<Broken>,
    /// What is to be said, the gravest first.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Puts what was found in order; times in words are in the user's zone.
    pub fn new(jobs: Vec<Health>, broken: Vec<Broken>, zone: Zone) -> Self {
        let mut findings = findings::of_broken(&broken);
        findings.extend(jobs.iter().flat_map(|health| findings::of_job(health, zone)));
        findings::sort(&mut findings);
        Self { jobs, broken, findings }
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.broken.is_empty() && self.jobs.iter().all(|job| is_left_out(job) || job.is_well())
    }

    /// How many jobs were looked at: those that are left out are not.
    pub fn looked_at(&self) -> usize {
        self.broken.len() + self.jobs.iter().filter(|job| !is_left_out(job)).count()
    }

    /// Returns the findings that say that something is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity != Severity::Note)
    }

    fn of(&self, job: &str) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.job == job)
    }
}

/// Whether a job is inactive or paused.
pub fn is_left_out(job: &Health) -> bool {
    matches!(job.status, JobStatus::Inactive | JobStatus::Paused)
}

/// Returns findings as blocks: the kind and the job with the reason, what to do below it.
pub fn blocks<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> String {
    blocks_within(findings, terminal_width())
}

/// As [`blocks`], in a width that is given.
pub(super) fn blocks_within<'a>(findings: impl IntoIterator<Item = &'a Finding>, width: Option<u16>) -> String {
    let said = |finding: &'a Finding| Said {
        word: finding.kind.as_str(),
        tone: tone(finding.severity),
        job: &finding.job,
        reason: &finding.reason,
        remedy: &finding.remedy,
    };
    said_within(&findings.into_iter().map(said).collect::<Vec<_>>(), width)
}

/// What is said of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    /// What it is about, in a tone.
    pub(super) word: &'a str,
    pub(super) tone: super::Tone,
    /// The job, or what stands for it.
    pub(super) job: &'a str,
    /// Why.
    pub(super) reason: &'a str,
    /// What to type.
    pub(super) remedy: &'a str,
}

/// Returns what is said of jobs as blocks, as [`blocks`] does.
pub(super) fn said_within(said: &[Said<'_>], width: Option<u16>) -> String {
    let job_width = said.iter().map(|said| columns(&printable(said.job))).max().unwrap_or(0).min(JOB_MAX);
    let kind_width = said.iter().map(|said| said.word.len()).max().unwrap_or(0);
    let margins = Margins { kind: kind_width, job: job_width, width };
    said.iter().map(|said| block(said, margins)).collect::<Vec<_>>().join("\n")
}

/// Longer names of jobs have a line of their own where a terminal is narrow.
const JOB_MAX: usize = 24;

/// So much room there is for words beside the names of jobs, or they stand below them.
const WORDS_MIN: usize = 24;

/// How far in the words of findings stand.
#[derive(Debug, Clone, Copy)]
struct Margins {
    /// The width of kinds.
    kind: usize,
    /// The width of jobs.
    job: usize,
    /// That of the terminal.
    width: Option<u16>,
}

fn block(said: &Said<'_>, margins: Margins) -> String {
    let Margins { kind: kind_width, job: job_width, width } = margins;
    let (job, reason, remedy) = (printable(said.job), printable(said.reason), printable(said.remedy));
    let kind = super::toned(&format!("{:kind_width$}", said.word), said.tone);
    let indent = kind_width + job_width + 4;
    let gap = " ".repeat(job_width.saturating_sub(columns(&job)));
    let Some(width) = width.map(usize::from) else {
        return format!("{kind}  {job}{gap}  {reason}\n{:indent$}{}", "", super::toned(&remedy, super::Tone::Faint));
    };
    let is_beside = columns(&job) <= job_width && indent + WORDS_MIN <= width;
    let indent = if is_beside { indent } else { 4 };
    let lines = |text: &str, indent: usize| wrapped_whole(text, (indent, indent), width.max(indent + WORDS_MIN));
    let faint = |line: &str| format!("{:indent$}{}", "", super::toned(line.trim_start(), super::Tone::Faint));
    let remedy = lines(&remedy, indent).lines().map(faint).collect::<Vec<_>>().join("\n");
    let reason = lines(&reason, indent);
    if is_beside {
        return format!("{kind}  {job}{gap}  {}\n{remedy}", &reason[indent..]);
    }
    let job = lines(&job, kind_width + 2);
    format!("{kind}  {}\n{reason}\n{remedy}", &job[kind_width + 2..])
}

fn tone(severity: Severity) -> super::Tone {
    match severity {
        Severity::Critical => super::Tone::Red,
        Severity::Warning => super::Tone::Yellow,
        Severity::Note => super::Tone::Cyan,
    }
}

/// Returns what was found in a line: `5 jobs: 1 late, 1 in error, 2 well, 1 failing; 1 left out (inactive or paused); 6 messages wait`.
pub fn summary(checked: &Checked, messages_waiting: u64) -> String {
    let left_out = checked.jobs.iter().filter(|job| is_left_out(job)).count();
    let is_failing = |job: &Health| checked.of(&job.job).any(|finding| finding.kind == Kind::Failing);
    let fine = checked.jobs.iter().filter(|job| !is_left_out(job) && job.is_well());
    // Below its threshold: a note.
    let (failing, well): (Vec<&Health>, Vec<&Health>) = fine.partition(|job| is_failing(job));
    let mut parts: Vec<String> =
        tallies(checked).into_iter().filter(|(_, number)| *number > 0).map(|(kind, number)| said(kind, number)).collect();
    for (number, word) in [(well.len(), "well"), (failing.len(), "failing")] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    let mut text = count(checked.looked_at() as u64, "job");
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    if left_out > 0 {
        text.push_str(&format!("; {left_out} left out (inactive or paused)"));
    }
    if messages_waiting > 0 {
        let verb = if messages_waiting == 1 { "waits" } else { "wait" };
        text.push_str(&format!("; {} {verb}", count(messages_waiting, "message")));
    }
    text
}

/// Returns how many jobs each wrong thing is said of.
pub(super) fn tallies(checked: &Checked) -> Vec<(Kind, usize)> {
    let wrong = [Kind::Broken, Kind::Error, Kind::Stuck, Kind::Deadline, Kind::Late, Kind::Source];
    wrong.into_iter().map(|kind| (kind, checked.wrong().filter(|finding| finding.kind == kind).count())).collect()
}

/// Returns a number of jobs in words: `2 in error`.
pub(super) fn said(kind: Kind, number: usize) -> String {
    let words = match kind {
        Kind::Broken => "with errors in the file",
        Kind::Error => "in error",
        Kind::Stuck => "stuck",
        Kind::Deadline => "past the deadline",
        Kind::Late => "late",
        Kind::Source => "with a source that fails",
        Kind::Failing | Kind::Missed | Kind::New => kind.as_str(),
    };
    format!("{number} {words}")
}

/// Returns the result as an object: each job with its findings, files with errors among them.
pub fn json(checked: &Checked) -> Value {
    let broken = checked.broken.iter().map(|broken| {
        json!({"id": broken.job, "status": null, "well": false, "findings": objects(checked, &broken.job),
               "lateness_seconds": null, "last_success_at": null, "next_run": null})
    });
    let jobs = checked.jobs.iter().map(|job| {
        json!({
            "id": job.job,
            "status": job.status.as_str(),
            "well": is_left_out(job) || job.is_well(),
            "findings": objects(checked, &job.job),
            "lateness_seconds": job.late.as_ref().map_or(0, |late| late.by.num_seconds()),
            "last_success_at": job.last_success_at.map(utc),
            "next_run": job.next_at.map(utc),
        })
    });
    let jobs: Vec<Value> = broken.chain(jobs).collect();
    json!({"success": true, "well": checked.is_well(), "jobs": jobs})
}

fn objects(checked: &Checked, job: &str) -> Vec<Value> {
    checked.of(job).map(object).collect()
}

/// Returns a finding as an object.
pub fn object(finding: &Finding) -> Value {
    json!({
        "kind": finding.kind.as_str(),
        "severity": finding.severity.as_str(),
        "since": finding.since.map(utc),
        "reason": finding.reason,
        "remedy": finding.remedy,
    })
}

/// Returns the result as rows for scripts: one a finding, the gravest first, then one for each job without any.
pub fn csv(checked: &Checked) -> Rows {
    let names = ["job", "status", "finding", "severity", "since", "reason", "remedy"];
    let mut rows = Rows::new(names.map(|name| (name, Align::Left)));
    let status = |id: &str| checked.jobs.iter().find(|job| job.job == id).map_or("", |job| job.status.as_str()).to_owned();
    let since = |since: Option<DateTime<Utc>>| since.map(utc).unwrap_or_default();
    for finding in &checked.findings {
        let Finding { job, kind, severity, since: at, reason, remedy } = finding;
        let words = [kind.as_str().to_owned(), severity.as_str().to_owned(), since(*at), reason.clone(), remedy.clone()];
        rows.push([job.clone(), status(job)].into_iter().chain(words).collect());
    }
    for job in checked.jobs.iter().filter(|job| checked.of(&job.job).next().is_none()) {
        let none = std::iter::repeat_n(String::new(), 5);
        rows.push([job.job.clone(), job.status.as_str().to_owned()].into_iter().chain(none).collect());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(job: &str) -> Finding {
        Finding {
            job: job.to_owned(),
            kind: Kind::Late,
            severity: Severity::Warning,
            since: None,
            reason: "the slot of noon was not started, 11m 00s ago".to_owned(),
            remedy: format!("etlsched run {job} --scheduled"),
        }
    }

    #[track_caller]
    fn check(job: &str, width: Option<u16>, expected: &str) {
        let text = blocks_within([&finding(job)], width);
        assert_eq!(text, expected);
        // What is typed stays whole.
        let longest = text.lines().filter(|line| !line.contains("etlsched")).map(columns).max().unwrap_or(0);
        assert!(width.is_none_or(|width| longest <= usize::from(width)), "{longest} columns:\n{text}");
    }

    #[test]
    fn words_keep_to_the_width_beside_the_job_or_below_it() {
        let beside =
            "late  sales  the slot of noon was not\n             started, 11m 00s ago\n             etlsched run sales --scheduled";
        check("sales", Some(44), beside);
        let below = "late  sales\n    the slot of noon was not\n    started, 11m 00s ago\n    etlsched run sales --scheduled";
        check("sales", Some(30), below);
        let whole = "late  sales  the slot of noon was not started, 11m 00s ago\n             etlsched run sales --scheduled";
        check("sales", None, whole);
        check("sales", Some(200), whole);
    }

    #[test]
    fn the_longest_names_have_lines_of_their_own() {
        let long = "a".repeat(63);
        let below = format!("late  {long}\n    the slot of noon was not started, 11m 00s ago\n    etlsched run {long} --scheduled");
        check(&long, Some(80), &below);
        let wide = "表".repeat(60);
        let text = blocks_within([&finding(&wide)], Some(80));
        assert!(text.lines().all(|line| columns(line) <= 80 || line.starts_with("    etlsched run ")), "{text}");
        assert_eq!(text.matches('表').count(), 120, "nothing is lost: {text}");
    }
}
