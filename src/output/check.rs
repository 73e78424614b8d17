//! What `check` prints: findings for people and scripts.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::findings::{self, Broken, Finding, Kind, Severity};
use super::measure::utc;
use super::table::{Align, Rows, terminal_width};
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
    let findings: Vec<&Finding> = findings.into_iter().collect();
    let job_width = findings.iter().map(|finding| printable(&finding.job).chars().count()).max().unwrap_or(0).min(24);
    let kind_width = findings.iter().map(|finding| finding.kind.as_str().len()).max().unwrap_or(0);
    let indent = kind_width + job_width + 4;
    let width = terminal_width().map_or(usize::MAX, |width| usize::from(width).saturating_sub(indent).max(WORDS_MIN));
    let mut lines = Vec::with_capacity(findings.len() * 2);
    for finding in findings {
        let kind = super::toned(&format!("{:kind_width$}", finding.kind.as_str()), tone(finding.severity));
        let mut head = format!("{kind}  {:job_width$}  ", printable(&finding.job));
        for line in wrapped(&printable(&finding.reason), width) {
            lines.push(format!("{head}{line}"));
            head = " ".repeat(indent);
        }
        for line in wrapped(&printable(&finding.remedy), width) {
            lines.push(format!("{head}{}", super::toned(&line, super::Tone::Faint)));
        }
    }
    lines.join("\n")
}

/// So much room stays for words, however narrow the terminal.
const WORDS_MIN: usize = 24;

/// Returns a text in lines of so many characters at most; longer words stand alone.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    let wrong = [Kind::Broken, Kind::Error, Kind::Stuck, Kind::Deadline, Kind::Late];
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

    #[test]
    fn words_keep_to_the_width_and_long_ones_stand_alone() {
        assert_eq!(wrapped("the slot of noon was not started", 12), ["the slot of", "noon was not", "started"]);
        assert_eq!(wrapped("a verylongwordindeed b", 6), ["a", "verylongwordindeed", "b"]);
        assert_eq!(wrapped("as it is", usize::MAX), ["as it is"]);
    }
}
