//! What is late, what runs, what is in error or paused, what waits to be sent, as `status` shows it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::check::{blocks_within, object};
use super::findings::{Finding, Kind};
use super::logs::short_id;
use super::measure::{abbreviation, bytes, local, span, utc};
use super::table::{Align, Rows, terminal_width};
use super::wrap::fitted;
use super::{Tone, toned};
use crate::state::{JobRecord, OutboxWaiting, RunRecord};
use crate::text::{count, grouped, printable};
use crate::zone::Zone;

/// A run that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningRun {
    /// The run.
    pub run: RunRecord,
    /// What its process wrote last about its sources: a JSON object.
    pub progress: Value,
    /// Who asked it to stop.
    pub cancel_requested_by: Option<String>,
}

/// What `status` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// What is to be said of jobs, the gravest first.
    pub findings: Vec<Finding>,
    /// What runs.
    pub running: Vec<RunningRun>,
    /// Runs whose process is gone and that no later run of the job has settled.
    pub interrupted: Vec<RunRecord>,
    /// Jobs in error.
    pub in_error: Vec<JobRecord>,
    /// Jobs that are paused now.
    pub paused: Vec<JobRecord>,
    /// Messages that wait to be sent.
    pub outbox: Option<OutboxWaiting>,
    /// The job whose slot is due next, and when.
    pub next: Option<(String, DateTime<Utc>)>,
    /// The present instant.
    pub now: DateTime<Utc>,
}

/// Returns the overview as an object.
pub fn json(overview: &Overview) -> Value {
    let Overview { findings, running, interrupted, in_error, paused, outbox, next, now } = overview;
    let running: Vec<Value> = running.iter().map(|run| running_object(run, *now)).collect();
    let interrupted: Vec<Value> =
        interrupted.iter().map(|run| json!({"id": run.id, "job": run.job, "started_at": utc(run.started_at)})).collect();
    let in_error: Vec<Value> = in_error.iter().map(error_object).collect();
    let paused: Vec<Value> = paused.iter().map(|job| json!({"id": job.id, "paused_until": job.paused_until.map(utc)})).collect();
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut said = object(finding);
            said["job"] = finding.job.clone().into();
            said
        })
        .collect();
    let next = next.as_ref().map(|(job, at)| json!({"job": job, "at": utc(*at)}));
    json!({
        "success": true,
        "findings": findings,
        "running": running,
        "interrupted": interrupted,
        "error": in_error,
        "paused": paused,
        "outbox": outbox.as_ref().map(outbox_object),
        "next": next,
    })
}

fn outbox_object(outbox: &OutboxWaiting) -> Value {
    let OutboxWaiting { count, oldest_at, due_at, last_error, given_up } = outbox;
    json!({"waiting": count, "oldest_at": oldest_at.map(utc), "next_try_at": due_at.map(utc), "last_error": last_error, "given_up": given_up})
}

fn running_object(running: &RunningRun, now: DateTime<Utc>) -> Value {
    let run = &running.run;
    json!({
        "id": run.id,
        "job": run.job,
        "status": run.status,
        "started_at": utc(run.started_at),
        "elapsed_seconds": elapsed(run, now),
        "triggered_by": run.trigger,
        "slot": run.slot,
        "host": run.host,
        "pid": run.pid,
        "user": run.user,
        "cancel_requested_by": running.cancel_requested_by,
        "progress": running.progress,
    })
}

fn error_object(job: &JobRecord) -> Value {
    json!({
        "id": job.id,
        "since": utc(job.status_changed_at),
        "consecutive_failures": job.consecutive_failures,
        "last_run_id": job.last_run.as_ref().map(|run| &run.id),
    })
}

/// Returns what runs, as rows: one a source at work.
pub fn running_rows(running: &[RunningRun], now: DateTime<Utc>) -> Rows {
    let mut rows = Rows::new([
        ("Job", Align::Left),
        ("Run", Align::Left),
        ("Running", Align::Right),
        ("Source", Align::Left),
        ("Phase", Align::Left),
        ("Rows", Align::Right),
        ("Rows/s", Align::Right),
        ("Read", Align::Right),
        ("Left", Align::Right),
        ("Sources", Align::Right),
    ])
    .giving_way(&["Run", "Sources", "Left", "Read"], "Source");
    for run in running {
        let head = [run.run.job.clone(), short_id(&run.run.id).to_owned(), span(elapsed(&run.run, now))];
        let done = match (run.progress["sources_done"].as_u64(), run.progress["sources_total"].as_u64()) {
            (Some(done), Some(total)) => format!("{done}/{total}"),
            _ => "-".to_owned(),
        };
        let none = Vec::new();
        let sources = run.progress["sources"].as_array().unwrap_or(&none);
        for source in sources {
            rows.push(head.iter().cloned().chain(source_cells(source)).chain([done.clone()]).collect());
        }
        if sources.is_empty() {
            // Between two attempts, or before the first worker has said anything.
            let cells = ["-", "waiting", "-", "-", "-", "-"].map(str::to_owned);
            rows.push(head.into_iter().chain(cells).chain([done]).collect());
        }
    }
    rows
}

fn source_cells(source: &Value) -> [String; 6] {
    let number = |key: &str| source[key].as_f64().filter(|value| *value >= 0.0);
    let name = source["source"].as_str().unwrap_or("-");
    let stream = source["stream"].as_str().filter(|stream| *stream != name).map(|stream| format!("/{stream}")).unwrap_or_default();
    let attempt = source["attempt"].as_u64().filter(|attempt| *attempt > 1).map(|attempt| format!(" (try {attempt})")).unwrap_or_default();
    let read = match (source["bytes"].as_u64(), source["bytes_total"].as_u64()) {
        (Some(read), Some(total)) if total > 0 => format!("{:.0} %", (read as f64 * 100.0 / total as f64).min(100.0)),
        (Some(read), _) => bytes(read),
        (None, _) => "-".to_owned(),
    };
    let counted = |key: &str| number(key).map_or_else(|| "-".to_owned(), |value| grouped(value as u64));
    let left = left_seconds(source).map_or_else(|| "-".to_owned(), |seconds| format!("~{}", span(seconds)));
    let phase = source["phase"].as_str().unwrap_or("starting").to_owned();
    [format!("{name}{stream}{attempt}"), phase, counted("rows"), counted("rows_per_second"), read, left]
}

/// Returns how long the rest of a source takes at its pace so far, where its size is known.
fn left_seconds(source: &Value) -> Option<f64> {
    let number = |key: &str| source[key].as_f64().filter(|value| *value > 0.0);
    let (read, total) = (number("bytes")?, number("bytes_total")?);
    let seconds = number("rows")? / number("rows_per_second")?;
    Some(seconds * (total - read).max(0.0) / read)
}

fn elapsed(run: &RunRecord, now: DateTime<Utc>) -> f64 {
    (now - run.started_at).as_seconds_f64().max(0.0)
}

/// Returns the overview as text for people: what needs somebody first.
pub fn text(overview: &Overview, zone: Zone) -> String {
    text_within(overview, zone, terminal_width())
}

fn text_within(overview: &Overview, zone: Zone, width: Option<u16>) -> String {
    let Overview { findings, running, interrupted, in_error, paused, outbox, next, now } = overview;
    let shown = |time: DateTime<Utc>| format!("{} {}", local(time, zone), abbreviation([time], zone));
    let mut sections = Vec::new();
    let of_kinds = |kinds: &[Kind]| blocks_within(findings.iter().filter(|finding| kinds.contains(&finding.kind)), width);
    let mut section = |title: &str, text: String| {
        if !text.is_empty() {
            sections.push(format!("{}\n{text}", toned(title, Tone::Bold)));
        }
    };
    section("Late", of_kinds(&[Kind::Deadline, Kind::Late]));
    section("Stuck", of_kinds(&[Kind::Stuck]));
    // Jobs without a file, and paused ones, have no findings.
    let is_told = |run: &RunRecord| findings.iter().any(|finding| finding.kind == Kind::Stuck && finding.job == run.job);
    let lines: Vec<String> = interrupted
        .iter()
        .filter(|run| !is_told(run))
        .map(|run| format!("  {}: run {} of {}", run.job, short_id(&run.id), shown(run.started_at)))
        .collect();
    section("Interrupted (the next run of the job settles it)", lines.join("\n"));
    let attention = std::mem::take(&mut sections);

    let mut section = |title: &str, text: String| {
        if !text.is_empty() {
            sections.push(format!("{}\n{text}", toned(title, Tone::Bold)));
        }
    };
    section("In error", in_error_lines(findings, in_error, &shown, width));
    section("Broken", of_kinds(&[Kind::Broken]));
    section("Failing", of_kinds(&[Kind::Source, Kind::Failing]));
    section("Missed", of_kinds(&[Kind::Missed]));
    let until =
        |job: &JobRecord| job.paused_until.map_or_else(|| "until it is resumed".to_owned(), |until| format!("until {}", shown(until)));
    let lines: Vec<String> = paused.iter().map(|job| format!("  {}: {}", job.id, until(job))).collect();
    section("Paused", lines.join("\n"));
    section("Messages", outbox.as_ref().map(|outbox| outbox_lines(outbox, *now, &shown)).unwrap_or_default());

    let now_running = running_text(running, next.as_ref(), *now, &shown, width);
    let mut text: Vec<String> = attention;
    text.push(now_running);
    text.extend(sections);
    format!("{}\n", fitted(&text.join("\n\n"), 2, width))
}

/// What runs, with what is not in its table.
fn running_text(
    running: &[RunningRun],
    next: Option<&(String, DateTime<Utc>)>,
    now: DateTime<Utc>,
    shown: &dyn Fn(DateTime<Utc>) -> String,
    width: Option<u16>,
) -> String {
    if running.is_empty() {
        let next = next.map(|(job, at)| format!(" Next: {job} at {}.", shown(*at))).unwrap_or_default();
        return format!("Nothing runs.{next}");
    }
    let mut text = running_rows(running, now).leaving_rest_to("-o json").text_within(width);
    for RunningRun { run, cancel_requested_by, .. } in running {
        if let Some(slot) = &run.slot {
            let _ = write!(text, "\n{}: {} of slot {slot}", run.job, run.trigger.as_str());
        }
        if let Some(by) = cancel_requested_by {
            let _ = write!(text, "\n{}: {} asked it to stop", run.job, printable(by));
        }
    }
    text
}

/// What waits to be sent, and what was given up; nothing where nothing does.
fn outbox_lines(outbox: &OutboxWaiting, now: DateTime<Utc>, shown: &dyn Fn(DateTime<Utc>) -> String) -> String {
    let OutboxWaiting { count: waiting, oldest_at, due_at, last_error, given_up } = outbox;
    let mut lines = Vec::new();
    if *waiting > 0 {
        let oldest = oldest_at.map(|at| format!(", the oldest of {}", shown(at))).unwrap_or_default();
        let verb = if *waiting == 1 { "waits" } else { "wait" };
        let next = match due_at.filter(|at| *at > now) {
            Some(at) => format!("tried again at {} by any run from then on", shown(at)),
            None => "any run sends them".to_owned(),
        };
        lines.push(format!("  {} {verb} to be sent{oldest}; {next}", count(*waiting, "message")));
        lines.extend(last_error.iter().map(|error| format!("  the last try: {}", printable(error))));
    }
    if *given_up > 0 {
        lines.push(format!("  {} of the last 7 days could not be sent for 3 days, and will not be", count(*given_up, "message")));
    }
    lines.join("\n")
}

/// Jobs in error: by their findings, and those without a file by their records.
fn in_error_lines(findings: &[Finding], in_error: &[JobRecord], shown: &dyn Fn(DateTime<Utc>) -> String, width: Option<u16>) -> String {
    let told: Vec<Finding> = findings.iter().filter(|finding| finding.kind == Kind::Error).cloned().collect();
    let mut lines: Vec<String> = Vec::new();
    if !told.is_empty() {
        lines.push(blocks_within(&told, width));
    }
    for job in in_error.iter().filter(|job| told.iter().all(|finding| finding.job != job.id)) {
        let is_broken = findings.iter().any(|finding| finding.kind == Kind::Broken && finding.job == job.id);
        let also = if is_broken { "it is broken too" } else { "it has no good file" };
        lines.push(format!("  {}: since {}; {also}", job.id, shown(job.status_changed_at)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::findings::Severity;
    use crate::output::wrap::columns;

    fn overview() -> Overview {
        let now: DateTime<Utc> = "2026-11-29T08:00:00Z".parse().expect("an instant");
        let job = "a_job_with_a_name_as_long_as_the_rules_for_the_names_of_jobs_al";
        let finding = |kind| Finding {
            job: job.to_owned(),
            kind,
            severity: Severity::Critical,
            since: None,
            reason: "5 runs in a row refreshed nothing: its schedule does not start it any more".to_owned(),
            remedy: format!("etlsched logs {job}; then: etlsched enable {job}"),
        };
        Overview {
            findings: [Kind::Late, Kind::Error, Kind::Failing].map(finding).to_vec(),
            running: Vec::new(),
            interrupted: Vec::new(),
            in_error: Vec::new(),
            paused: Vec::new(),
            outbox: Some(OutboxWaiting {
                count: 12,
                oldest_at: Some(now),
                due_at: Some(now),
                last_error: Some(format!("mail to ops@example.com: 10.0.0.1:587 answers: 550 {}", "表".repeat(60))),
                given_up: 3,
            }),
            next: Some((job.to_owned(), now)),
            now,
        }
    }

    #[test]
    fn a_job_that_missed_slots_is_not_said_to_be_failing() {
        let mut overview = overview();
        overview.findings.truncate(1);
        overview.findings[0].kind = Kind::Missed;
        let text = text_within(&overview, Zone::UTC, None);
        assert!(text.contains("\n\nMissed\nmissed  a_job") && !text.contains("Failing"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_lost() {
        let whole = text_within(&overview(), Zone::UTC, None);
        let words = |text: &str| text.split_whitespace().collect::<String>();
        for width in [60, 80, 200] {
            let text = text_within(&overview(), Zone::UTC, Some(width));
            let is_typed = |line: &str| line.trim_start().starts_with("etlsched ");
            let wide: Vec<&str> = text.lines().filter(|line| columns(line) > usize::from(width) && !is_typed(line)).collect();
            assert_eq!(wide, Vec::<&str>::new());
            assert_eq!(words(&text), words(&whole));
        }
        let eighty = text_within(&overview(), Zone::UTC, Some(80));
        let messages = "\
Messages
  12 messages wait to be sent, the oldest of 2026-11-29 08:00:00 UTC; any run
    sends them
  the last try: mail to ops@example.com: 10.0.0.1:587 answers: 550 表表表表表表
    表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表
    表表表表表表表表表表表表表表表表
  3 messages of the last 7 days could not be sent for 3 days, and will not be
";
        assert!(eighty.ends_with(messages), "{eighty}");
    }
}
