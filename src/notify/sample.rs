//! Messages about nothing that happened, for `notify test` and for whoever wants to see what they will look like.

use chrono::{DateTime, Duration, Utc};

use crate::exit_code;
use crate::run::{RejectReason, RunStatus, SourceStatus, Trigger};
use crate::zone::Zone;

use super::message::{self, Cause, JobFacts, Kind, Message, RunFacts, SourceFacts, Standing, StripRun};

/// What of a sample is true.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The job.
    pub job: JobFacts,
    /// The workspace's folder.
    pub workspace: String,
    /// The host.
    pub host: String,
    /// The job's zone, in which times are shown.
    pub timezone: String,
    /// That of etlsched.yaml, in which those of files with errors are.
    pub timezone_of_files: String,
    /// The last slots of the job's schedule, oldest first; none where it has none.
    pub slots: Vec<DateTime<Utc>>,
    /// The last slot whose deadline is over, and that; where the job has one.
    pub deadline: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The names of the job's sources.
    pub sources: Vec<String>,
    /// `failure_threshold`.
    pub failure_threshold: u32,
    /// The present moment.
    pub at: DateTime<Utc>,
}

/// The id of the run that samples tell of.
const RUN_ID: &str = "00000000-0000-7000-8000-000000000000";

/// Returns a sample of a kind: what it tells of didn't happen, and it says so.
pub fn sample(kind: Kind, setting: &Setting) -> Message {
    let Setting { job, workspace, host, timezone, sources, failure_threshold, at, .. } = setting;
    let timezone = if kind == Kind::Invalid { &setting.timezone_of_files } else { timezone };
    let is_bad = matches!(kind, Kind::Failure | Kind::Disabled | Kind::DisabledSoon);
    let has_run = !matches!(kind, Kind::Missed | Kind::Deadline | Kind::Invalid);
    let threshold = u64::from(*failure_threshold);
    let failures = match kind {
        Kind::Disabled => threshold,
        Kind::DisabledSoon => threshold.saturating_sub(1),
        Kind::Failure => 1,
        _ => 0,
    };
    let is_all = matches!(kind, Kind::Disabled | Kind::DisabledSoon);
    let facts: Vec<SourceFacts> =
        sources.iter().enumerate().map(|(place, name)| source(kind, name, is_bad && (is_all || place == 0))).collect();
    let failed: Vec<String> =
        facts.iter().filter(|source| source.status == SourceStatus::Failed).map(|source| source.name.clone()).collect();
    let code = match failed.len() {
        _ if !is_bad => exit_code::DONE,
        number if number < facts.len() => exit_code::PARTLY_FAILED,
        _ => exit_code::FAILED,
    };
    let deadline = setting.deadline.unwrap_or((*at - Duration::hours(2), *at - Duration::hours(1)));
    let slots: Vec<DateTime<Utc>> = match kind {
        Kind::Missed if !setting.slots.is_empty() => setting.slots.clone(),
        Kind::Missed => (1..=3).rev().map(|days| *at - Duration::days(days)).collect(),
        Kind::Deadline => vec![deadline.0],
        _ => Vec::new(),
    };
    Message {
        kind,
        is_test: true,
        is_by_job: false,
        job: match kind {
            // Nobody can read the file's own words.
            Kind::Invalid => JobFacts { id: job.id.clone(), name: job.id.clone(), schedule: String::new(), next_run: None },
            Kind::Disabled => JobFacts { next_run: None, ..job.clone() },
            _ => job.clone(),
        },
        workspace: workspace.clone(),
        host: host.clone(),
        at: *at,
        timezone: timezone.clone(),
        run: has_run.then(|| run(code, *at)),
        roundup: None,
        causes: match kind {
            Kind::Invalid => vec![mistake(&job.id)],
            _ if failed.is_empty() => Vec::new(),
            _ => vec![cause(failed)],
        },
        sources: if has_run { facts } else { Vec::new() },
        source_count: None,
        last_error: (kind == Kind::Recovery).then(|| FAILURE.to_owned()),
        works_since: None,
        slot_count: slots.len() as u64,
        slots,
        slots_since: None,
        deadline: (kind == Kind::Deadline).then_some(deadline.1),
        schema_changes: match (kind, sources.first()) {
            (Kind::SchemaChange, Some(name)) => {
                vec![
                    format!("{name}: column discount added (decimal(12,2))"),
                    format!("{name}: column total widened from integer to bigint"),
                ]
            }
            _ => Vec::new(),
        },
        standing: is_bad.then_some(Standing { consecutive_failures: failures, failure_threshold: *failure_threshold }),
        strip: strip(kind, failures, *at),
        log_tail: if is_bad { log_tail(sources, *at, timezone) } else { Vec::new() },
    }
}

/// Why runs of samples failed.
const FAILURE: &str = "connecting to db1.example.com:5432: connection refused";

/// How long the run of a sample took.
const TOOK: Duration = Duration::seconds(185);

fn run(code: u8, at: DateTime<Utc>) -> RunFacts {
    RunFacts {
        id: RUN_ID.to_owned(),
        status: if code == exit_code::DONE { RunStatus::Success } else { RunStatus::Failed },
        trigger: Trigger::Schedule,
        slot_at: Some(at - TOOK),
        started_at: at - TOOK,
        completed_at: at,
        duration_seconds: TOOK.as_seconds_f64(),
        exit_code: code,
        error: None,
    }
}

fn cause(sources: Vec<String>) -> Cause {
    Cause {
        sources,
        host: Some("db1.example.com:5432".to_owned()),
        code: "unreachable".to_owned(),
        message: FAILURE.to_owned(),
        hint: Some("check that the server runs and that host and port of its connection are right".to_owned()),
        attempts: 4,
    }
}

fn mistake(job: &str) -> Cause {
    Cause {
        sources: vec![format!("jobs/{job}.yaml, line 4")],
        host: None,
        code: "invalid".to_owned(),
        message: "hour: expected a whole number from 0 to 23".to_owned(),
        hint: Some("write hour: 2".to_owned()),
        attempts: 1,
    }
}

fn source(kind: Kind, name: &str, is_failed: bool) -> SourceFacts {
    SourceFacts {
        name: name.to_owned(),
        status: if is_failed { SourceStatus::Failed } else { SourceStatus::Success },
        records_processed: if is_failed { 0 } else { 26_115 },
        records_added: if is_failed { 0 } else { 120 },
        records_updated: if is_failed { 0 } else { 31 },
        records_deleted: 0,
        records_rejected: if kind == Kind::RejectedRows { 17 } else { 0 },
        records_left_out: 0,
        is_replaced: false,
        table_count: u64::from(!is_failed),
        tables_in_all: 1,
        tables_refreshed: Vec::new(),
        rejects_path: (kind == Kind::RejectedRows).then(|| format!(".etlsched/rejects/{name}.csv")),
        reject_reasons: if kind == Kind::RejectedRows { reasons(name) } else { Vec::new() },
        duration_seconds: if is_failed { 92.4 } else { 12.3 },
        attempt: if is_failed { 4 } else { 1 },
    }
}

fn reasons(name: &str) -> Vec<RejectReason> {
    let reason = |rows, column: &str, row: u32, fault: &str, value: &str| RejectReason {
        rows,
        what: format!("column {column} {fault}"),
        first: format!("{name}.csv, row {row}, column {column}: \"{value}\" {fault}"),
    };
    vec![
        reason(15, "total", 1204, "does not fit decimal(12,2)", "n/a"),
        reason(2, "ordered_at", 8071, "does not fit timestamp", "31.11.2026"),
    ]
}

/// Returns 14 runs, a day apart, the last one that of the sample; none where no run tells.
fn strip(kind: Kind, failures: u64, at: DateTime<Utc>) -> Vec<StripRun> {
    let failed = (failures as usize).min(14);
    if kind == Kind::Invalid {
        return Vec::new();
    }
    let status = |place: usize| match kind {
        Kind::Recovery if place == 12 => RunStatus::Failed,
        _ if place >= 14 - failed => RunStatus::Failed,
        _ if place == 3 => RunStatus::Timeout,
        _ => RunStatus::Success,
    };
    (0..14)
        .map(|place| StripRun {
            status: status(place),
            started_at: at - TOOK - Duration::days(13 - place as i64),
            duration_seconds: Some(TOOK.as_seconds_f64()),
            records_processed: if status(place) == RunStatus::Success { 78_345 } else { 0 },
        })
        .collect()
}

fn log_tail(sources: &[String], at: DateTime<Utc>, timezone: &str) -> Vec<String> {
    let zone = Zone::parse(timezone).unwrap_or(Zone::UTC);
    let time = |seconds: i64| message::log_time(at - Duration::seconds(seconds), zone);
    let name = sources.first().map_or("orders", String::as_str);
    vec![
        format!("{} info  run started", time(185)),
        format!("{} info  {name}: attempt 4 of 4", time(30)),
        format!("{} warn  {name}: connecting to db1.example.com:5432: connection refused", time(28)),
        format!("{} error run failed", time(0)),
    ]
}
