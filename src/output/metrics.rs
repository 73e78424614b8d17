//! Metrics in Prometheus's text format, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>), for the textfile
//! collector of node_exporter. Holds names of jobs, numbers and times: nothing that could be a secret.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::check::is_left_out;
use super::findings::Broken;
use crate::engine::health::Health;
use crate::run::RunStatus;
use crate::state::{JobStatus, LastEnd, OutboxWaiting};

/// What metrics are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured<'a> {
    /// The program's version.
    pub version: &'a str,
    /// How each job stands whose file is good.
    pub jobs: &'a [Health],
    /// Files with errors.
    pub broken: &'a [Broken],
    /// The run of each job that ended last.
    pub ended: &'a HashMap<String, LastEnd>,
    /// Messages that wait to be sent, where there is a store.
    pub outbox: Option<&'a OutboxWaiting>,
}

/// One metric: what stands in front of its samples, and they.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Metric {
    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: "gauge", help, samples: Vec::new() }
    }

    fn with(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.samples.push((labels, value));
        self
    }

    /// Adds a sample for each job of which there is a value.
    fn each(mut self, jobs: &[Health], value: impl Fn(&Health) -> Option<f64>) -> Self {
        self.samples.extend(jobs.iter().filter_map(|job| Some((vec![("job", job.job.clone())], value(job)?))));
        self
    }

    /// As [`Metric::each`], with one more label.
    fn each_of<const N: usize>(
        mut self,
        jobs: &[Health],
        label: &'static str,
        values: impl Fn(&Health) -> Option<[(&'static str, f64); N]>,
    ) -> Self {
        for job in jobs {
            let labelled = |(word, value): (&str, f64)| (vec![("job", job.job.clone()), (label, word.to_owned())], value);
            self.samples.extend(values(job).into_iter().flatten().map(labelled));
        }
        self
    }
}

/// Returns the metrics as text; it ends with a line end.
pub fn text(measured: &Measured<'_>) -> String {
    let mut text = String::new();
    for metric in metrics(measured) {
        if metric.samples.is_empty() {
            continue;
        }
        let Metric { name, kind, help, samples } = metric;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(label, word)| format!("{label}=\"{}\"", escaped(word))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

fn metrics(measured: &Measured<'_>) -> Vec<Metric> {
    let Measured { version, jobs, broken, ended: _, outbox } = measured;
    let valid = jobs.iter().map(|job| (&job.job, 1.0)).chain(broken.iter().map(|broken| (&broken.job, 0.0)));
    let mut validity = Metric::gauge("etlsched_job_file_valid", "Whether the file of the job has no errors.");
    validity.samples.extend(valid.map(|(job, value)| (vec![("job", job.clone())], value)));
    let build = Metric::gauge("etlsched_build_info", "The version of etlsched that wrote this; always 1.");
    let mut metrics = vec![build.with(vec![("version", (*version).to_owned())], 1.0), validity];
    metrics.extend(standing(jobs, broken));
    metrics.extend(runs(measured));
    let number = |name, help, number: fn(&OutboxWaiting) -> f64| match outbox {
        Some(outbox) => Metric::gauge(name, help).with(Vec::new(), number(outbox)),
        None => Metric::gauge(name, help),
    };
    metrics.push(number("etlsched_outbox_waiting", "How many messages wait to be sent.", |outbox| outbox.count as f64));
    let given_up = "How many messages of the last 7 days were given up.";
    metrics.push(number("etlsched_outbox_given_up", given_up, |outbox| outbox.given_up as f64));
    metrics
}

/// How jobs stand, as `check` says it.
fn standing(jobs: &[Health], broken: &[Broken]) -> Vec<Metric> {
    let flag = |is_so: bool| Some(f64::from(u8::from(is_so)));
    let statuses = |job: &Health| Some(JobStatus::ALL.map(|status| (status.as_str(), f64::from(u8::from(status == job.status)))));
    let help =
        "Whether the job is not broken, late, past its deadline, in error or stuck, and no source of it starves; 1 if inactive or paused.";
    let mut well = Metric::gauge("etlsched_job_well", help).each(jobs, |job| flag(is_left_out(job) || job.is_well()));
    well.samples.extend(broken.iter().map(|broken| (vec![("job", broken.job.clone())], 0.0)));
    vec![
        Metric::gauge("etlsched_job_status", "1 for the status that the job is in.").each_of(jobs, "status", statuses),
        well,
        Metric::gauge(
            "etlsched_job_lateness_seconds",
            "How long ago the first slot was due that was not started since the last success; 0 if the job is not late.",
        )
        .each(jobs, |job| Some(job.late.as_ref().map_or(0.0, |late| late.by.num_seconds() as f64))),
        Metric::gauge("etlsched_job_late_slots", "How many slots in a row were not started in time, counted over two days.")
            .each(jobs, |job| Some(job.late.as_ref().map_or(0.0, |late| late.slot_count as f64))),
        Metric::gauge("etlsched_job_missed_slots", "How many slots of the last 24 hours nobody started, as far as that is settled.")
            .each(jobs, |job| Some(job.missed.iter().map(|slot| slot.slot_count).sum::<u64>() as f64)),
        Metric::gauge("etlsched_job_deadline_passed", "Whether the deadline passed without a success since the slot before it.")
            .each(jobs, |job| flag(job.deadline.is_some())),
        Metric::gauge("etlsched_job_stuck", "Whether a run of the job was interrupted and not settled, or is past its time limit.")
            .each(jobs, |job| flag(job.stuck.is_some())),
        Metric::gauge("etlsched_job_running", "Whether a run of the job goes on.").each(jobs, |job| flag(job.is_running)),
        Metric::gauge("etlsched_job_next_run_timestamp_seconds", "When the next slot of the job is due.")
            .each(jobs, |job| job.next_at.map(seconds)),
        Metric::gauge("etlsched_job_consecutive_failures", "How many of the last runs in a row refreshed nothing.")
            .each(jobs, |job| Some(job.consecutive_failures as f64)),
        sources(jobs),
    ]
}

/// How sources fail; one that was refreshed has no sample.
fn sources(jobs: &[Health]) -> Metric {
    let help = "How many of the last runs in a row did not refresh the source; none if it was refreshed.";
    let mut metric = Metric::gauge("etlsched_source_consecutive_failures", help);
    for job in jobs {
        let labelled = |(name, runs): (&String, &u64)| (vec![("job", job.job.clone()), ("source", name.clone())], *runs as f64);
        metric.samples.extend(job.sources_failing.iter().map(labelled));
    }
    metric
}

/// How runs went.
fn runs(measured: &Measured<'_>) -> Vec<Metric> {
    let Measured { version: _, jobs, broken: _, ended, outbox: _ } = measured;
    let last = |job: &Health| ended.get(&job.job);
    let counts = |job: &Health| {
        let counts = job.run_counts;
        Some([("success", counts.success as f64), ("failed", counts.failed as f64), ("cancelled", counts.cancelled as f64)])
    };
    let statuses = |job: &Health| {
        let ends = [RunStatus::Success, RunStatus::Failed, RunStatus::Cancelled, RunStatus::Timeout];
        last(job).map(|run| ends.map(|status| (status.as_str(), f64::from(u8::from(status == run.status)))))
    };
    let rows = |job: &Health| {
        let totals = last(job)?.totals;
        let kinds = [
            ("processed", totals.processed),
            ("added", totals.added),
            ("updated", totals.updated),
            ("deleted", totals.deleted),
            ("rejected", totals.rejected),
        ];
        Some(kinds.map(|(kind, rows)| (kind, rows as f64)))
    };
    let total = Metric {
        kind: "counter",
        ..Metric::gauge("etlsched_job_runs_total", "Runs that ended, by how; failed ones with those that hit their time limit.")
    };
    vec![
        total.each_of(jobs, "status", counts),
        Metric::gauge("etlsched_job_last_success_timestamp_seconds", "When a run of the job last succeeded.")
            .each(jobs, |job| job.last_success_at.map(seconds)),
        Metric::gauge("etlsched_job_last_run_timestamp_seconds", "When the last run ended.")
            .each(jobs, |job| Some(seconds(last(job)?.completed_at))),
        Metric::gauge("etlsched_job_last_run_status", "1 for how the last run ended.").each_of(jobs, "status", statuses),
        Metric::gauge("etlsched_job_last_run_duration_seconds", "How long the last run took.")
            .each(jobs, |job| last(job)?.duration_seconds),
        Metric::gauge("etlsched_job_last_run_rows", "Rows of the last run, by what became of them.").each_of(jobs, "kind", rows),
    ]
}

fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_millis() as f64 / 1000.0
}

/// The value of a label as the format wants it.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_plain() {
        let broken = [Broken { job: "a\"b\\c\nd".to_owned(), errors: 1, place: String::new(), is_setting: false }];
        let measured = Measured { version: "1.0", jobs: &[], broken: &broken, ended: &HashMap::new(), outbox: None };
        let expected = "# HELP etlsched_build_info The version of etlsched that wrote this; always 1.\n\
                        # TYPE etlsched_build_info gauge\n\
                        etlsched_build_info{version=\"1.0\"} 1\n\
                        # HELP etlsched_job_file_valid Whether the file of the job has no errors.\n\
                        # TYPE etlsched_job_file_valid gauge\n\
                        etlsched_job_file_valid{job=\"a\\\"b\\\\c\\nd\"} 0\n\
                        # HELP etlsched_job_well Whether the job is not broken, late, past its deadline, in error or stuck, and no source of \
                        it starves; 1 if inactive or paused.\n\
                        # TYPE etlsched_job_well gauge\n\
                        etlsched_job_well{job=\"a\\\"b\\\\c\\nd\"} 0\n";
        assert_eq!(text(&measured), expected);
        let time = "2026-11-24T02:00:00.5Z".parse().unwrap();
        assert_eq!(format!("{}", seconds(time)), "1795485600.5");
    }
}
