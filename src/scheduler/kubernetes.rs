//! Renders CronJob manifests (batch/v1, Kubernetes 1.27 or newer). Never talks to a cluster.
//!
//! Times are in UTC: with another `timeZone` the controller skips the times of a gap and fires twice in a repeated hour. A CronJob has one
//! line, so a job of several lines is several CronJobs; the lease and the slots decide between them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::crontab::fields;
use super::entries::{self, Line};
use super::paths::{never_due, unix_problems, words};
use super::{Entry, Exporter, Host, Nature, Rendered, Unsupported};
use crate::zone::Zone;

/// The controller adds 11 characters to a CronJob's name, and names of jobs have 63 at most.
const NAME_CHARACTERS_MAX: usize = 52;

/// How long a run may take to end by itself once its time is up.
const GRACE_SECONDS: u64 = 600;

/// The controller gives up where more than 100 starts were missed within the starting deadline.
const STARTS_MISSED_MAX: u64 = 90;

/// A start is worth making up for so long; the gate makes up for the rest at the next one.
const STARTING_DEADLINE_MAX_SECONDS: u64 = 6 * 3600;

/// The Secret whose keys the runs have as variables: passwords for `${NAME}`s stand there, never in a manifest.
const SECRET: &str = "etlsched";

/// Kubernetes CronJobs.
#[derive(Debug)]
pub struct Kubernetes;

impl Exporter for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn summary(&self) -> &'static str {
        "CronJob manifests; state: has to name PostgreSQL"
    }

    fn nature(&self) -> Nature {
        Nature { is_shared: true, is_joinable: true, ..Nature::default() }
    }

    fn render(&self, entries: &[Entry], host: &Host) -> Result<Vec<Rendered>, Vec<Unsupported>> {
        let mut problems = unix_problems(host);
        problems.extend(host_problems(host));
        let mut files = Vec::new();
        for (entry, lines) in entries.iter().zip(entries::lines_of_all(entries, Zone::UTC, host.from)) {
            if lines.is_empty() {
                problems.push(never_due(entry));
            }
            let mut text = String::new();
            for (index, line) in lines.iter().enumerate() {
                manifest(&mut text, &name(&entry.job, index), entry, line, host);
            }
            files.push(Rendered { name: format!("etlsched-{}.yaml", entry.job), bytes: text.into_bytes() });
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}

fn manifest(text: &mut String, name: &str, entry: &Entry, line: &Line, host: &Host) {
    // A run that waits for another one takes as long as it must.
    let deadline = match entry.on_overlap {
        "wait" => String::new(),
        _ => format!("      activeDeadlineSeconds: {}\n", entry.timeout.as_secs() + GRACE_SECONDS),
    };
    let _ = write!(
        text,
        r#"---
# {job}: {words}; made by etlsched {version} with {tzdata}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: etlsched
  annotations:
    etlsched/job: {quoted_job}
spec:
  timeZone: Etc/UTC
  schedule: "{fields}"
  concurrencyPolicy: Allow
  startingDeadlineSeconds: {starting}
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 0
{deadline}      template:
        metadata:
          labels:
            app.kubernetes.io/name: etlsched
        spec:
          restartPolicy: Never
          containers:
            - name: etlsched
              image: {image}
              command: [{program}]
              args: ["-C", {workspace}, "run", {quoted_job}, "--scheduled"]
              envFrom:
                - secretRef:
                    name: {SECRET}
                    optional: true
"#,
        job = entry.job,
        words = words(entry),
        version = env!("CARGO_PKG_VERSION"),
        tzdata = host.tzdata,
        quoted_job = quoted(&entry.job),
        fields = fields(line),
        starting = starting_deadline(line),
        image = quoted(&host.image),
        program = quoted(&host.program),
        workspace = quoted(&host.workspace),
    );
}

/// As long as possible, with fewer missed starts than make the controller give up.
fn starting_deadline(line: &Line) -> u64 {
    let starts_an_hour = u64::from(line.minutes.count_ones()).max(1);
    STARTING_DEADLINE_MAX_SECONDS.min(STARTS_MISSED_MAX * 3600 / starts_an_hour)
}

/// A JSON string is a YAML one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the name of a job's CronJob: its id, where that can be one; a digest keeps others apart. Further lines differ in the prefix, so
/// that no job's name is another job's.
fn name(job: &str, index: usize) -> String {
    let prefix = if index == 0 { "etlsched".to_owned() } else { format!("etlsched{}", index + 1) };
    let plain = format!("{prefix}-{job}");
    if !job.contains('_') && !job.ends_with('-') && plain.len() <= NAME_CHARACTERS_MAX {
        return plain;
    }
    let digest: String = Sha256::digest(job.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let room = NAME_CHARACTERS_MAX - digest.len() - 2;
    // Two dashes: no id that stands as it is ends like this by accident.
    format!("{}--{digest}", plain.replace('_', "-")[..room.min(plain.len())].trim_end_matches('-'))
}

fn host_problems(host: &Host) -> Vec<Unsupported> {
    let problem = |message: String, hint: &str| Unsupported { job: None, message, hint: hint.to_owned() };
    let mut found = Vec::new();
    if !host.is_store_shared {
        let message = "the state store is a file, and Kubernetes starts runs on several hosts".to_owned();
        found.push(problem(message, "write state: postgresql://... into etlsched.yaml"));
    }
    if host.image.is_empty() || host.image.chars().any(|sign| sign.is_control() || sign.is_whitespace()) {
        found.push(problem(format!("{:?} is no name of an image", host.image), "name it: --image registry.example.org/etlsched:1"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_kubernetes_and_are_never_shared() {
        assert_eq!(name("flights", 0), "etlsched-flights");
        assert_eq!(name("flights", 1), "etlsched2-flights");
        assert_ne!(name("sales_eu", 0), name("sales-eu", 0));
        let long = |last: char| format!("{}{last}", "x".repeat(62));
        let names = ["flights", "flights-2", "2-flights", "sales_eu", "sales-eu", "a-", "a", "a_", &long('a'), &long('b')]
            .into_iter()
            .flat_map(|job| (0..12).map(|index| name(job, index)))
            .collect::<Vec<_>>();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for name in &names {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.len() <= 52 && name.bytes().all(is_plain) && !name.ends_with('-'), "{name}");
        }
    }
}
