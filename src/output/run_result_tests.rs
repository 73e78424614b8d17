//! Whole outputs of runs, at 80 and 200 columns.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::exit_code;
use crate::run::Trigger;
use crate::state::JobStatus;

fn began() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a valid instant")
}

fn error(code: &str, message: &str, hint: Option<&str>) -> WorkerError {
    WorkerError::new(code, message, hint)
}

fn refreshed(name: &str, added: u64, rejected: u64) -> SourceReport {
    SourceReport::ended(name, SourceStatus::Success, 0.5, Ok(Counts { added, rejected, ..Counts::default() }))
}

fn report(status: RunStatus, exit_code: u8, sources: Vec<SourceReport>) -> RunReport {
    let rejects = sources.iter().map(|source| PathBuf::from(format!("rejects/r1/{}.csv", source.name))).collect();
    RunReport {
        run_id: Some("0190a000-0000-7000-8000-000000000001".to_owned()),
        job: "sales".to_owned(),
        slot: None,
        trigger: Trigger::Manual,
        status,
        exit_code,
        is_dry_run: false,
        started_at: began(),
        completed_at: began() + TimeDelta::seconds(2),
        duration_seconds: 1.25,
        sources,
        rejects,
        error: None,
        job_status: None,
    }
}

fn partly_failed() -> RunReport {
    let missing = error("not_found", "open data/regions.csv: no such file", Some("check the path"));
    let sources =
        vec![refreshed("orders_of_all_shops", 1_234_567, 0), SourceReport::ended("regions", SourceStatus::Failed, 0.1, Err(missing))];
    RunReport { job_status: Some((JobStatus::Active, JobStatus::Error)), ..report(RunStatus::Failed, exit_code::PARTLY_FAILED, sources) }
}

fn stopped(status: RunStatus, source: SourceStatus, exit_code: u8, why: &WorkerError) -> RunReport {
    let skipped = SourceReport::ended("later", SourceStatus::Skipped, 0.0, Ok(Counts::default()));
    let sources = vec![SourceReport::ended("orders", source, 2.0, Err(why.clone())), skipped];
    RunReport { error: Some(why.clone()), ..report(status, exit_code, sources) }
}

#[track_caller]
fn check(report: &RunReport, width: u16, expected: &str, said: &str) {
    assert_eq!(text_within(report, Statements::Counted, Some(width)), expected, "stdout");
    assert_eq!(if report.exit_code == 0 { String::new() } else { failures(report) }, said, "stderr");
}

#[test]
fn a_success_with_rejected_rows_is_told_whole() {
    let report = report(RunStatus::Success, 0, vec![refreshed("orders", 26_115, 3), refreshed("regions", 16, 0)]);
    check(
        &report,
        80,
        "\
Source   Target   Status     Rows   Added  Updated  Deleted  Rejected  Seconds
orders   orders   success  26,118  26,115        0        0         3     0.50
regions  regions  success      16      16        0        0         0     0.50

sales: success, 26,134 rows in 1.25 s, run 0190a000-0000-7000-8000-000000000001
orders: 3 rows rejected, kept in rejects/r1/orders.csv",
        "",
    );
    check(
        &report,
        200,
        "\
Source   Target   Status     Rows   Added  Updated  Unchanged  Deleted  Rejected  Seconds  Rows/s  Memory
orders   orders   success  26,118  26,115        0          0        0         3     0.50  52,236   46 MB
regions  regions  success      16      16        0          0        0         0     0.50      32   46 MB

sales: success, 26,134 rows in 1.25 s, run 0190a000-0000-7000-8000-000000000001
orders: 3 rows rejected, kept in rejects/r1/orders.csv",
        "",
    );
}

#[test]
fn a_partly_failed_run_says_what_failed_and_what_was_refreshed_all_the_same() {
    check(
        &partly_failed(),
        80,
        "\
Source               Status        Rows      Added  Updated  Deleted  Rejected
orders_of_all_shops  success  1,234,567  1,234,567        0        0         0
regions              failed           -          -        -        -         -

sales: failed, 1 of 2 sources refreshed, 1,234,567 rows in 1.25 s, run
  0190a000-0000-7000-8000-000000000001; the job is in error now: its schedule no
  longer starts it",
        "\
error: job sales, source regions: open data/regions.csv: no such file
hint: check the path
refreshed all the same: orders_of_all_shops
log: etlsched logs --run 0190a000-0000-7000-8000-000000000001",
    );
    check(&partly_failed(), 200, "\
Source               Target               Status        Rows      Added  Updated  Unchanged  Deleted  Rejected  Seconds     Rows/s  Memory
orders_of_all_shops  orders_of_all_shops  success  1,234,567  1,234,567        0          0        0         0     0.50  2,469,134   46 MB
regions              regions              failed           -          -        -          -        -         -     0.10          -   46 MB

sales: failed, 1 of 2 sources refreshed, 1,234,567 rows in 1.25 s, run 0190a000-0000-7000-8000-000000000001; the job is in error now: its schedule no longer starts it", "\
error: job sales, source regions: open data/regions.csv: no such file
hint: check the path
refreshed all the same: orders_of_all_shops
log: etlsched logs --run 0190a000-0000-7000-8000-000000000001");
}

#[test]
fn a_cancelled_run_says_once_why_it_ended() {
    let why = error("cancelled", "cancelled by SIGINT", None);
    check(
        &stopped(RunStatus::Cancelled, SourceStatus::Cancelled, exit_code::INTERRUPTED, &why),
        80,
        "\
Source  Target  Status     Rows  Added  Updated  Deleted  Rejected  Seconds
orders  orders  cancelled     -      -        -        -         -     2.00
later   -       skipped       -      -        -        -         -     0.00

sales: cancelled, 0 of 2 sources refreshed, 0 rows in 1.25 s, run
  0190a000-0000-7000-8000-000000000001",
        "\
error: job sales: cancelled by SIGINT
not attempted: later
log: etlsched logs --run 0190a000-0000-7000-8000-000000000001",
    );
}

#[test]
fn a_run_out_of_time_names_its_limit_and_what_was_not_attempted() {
    let why = error("timeout", "its time limit of 60 minutes passed", Some("raise timeout_minutes"));
    check(
        &stopped(RunStatus::Timeout, SourceStatus::Timeout, exit_code::TIMEOUT, &why),
        80,
        "\
Source  Target  Status   Rows  Added  Updated  Deleted  Rejected  Seconds
orders  orders  timeout     -      -        -        -         -     2.00
later   -       skipped     -      -        -        -         -     0.00

sales: timeout, 0 of 2 sources refreshed, 0 rows in 1.25 s, run
  0190a000-0000-7000-8000-000000000001",
        "\
error: job sales: its time limit of 60 minutes passed
hint: raise timeout_minutes
not attempted: later
log: etlsched logs --run 0190a000-0000-7000-8000-000000000001",
    );
}

#[test]
fn several_jobs_are_one_object_and_one_table_for_scripts() {
    let refused = Failure::new(exit_code::OVERLAP, "overlap", "job stock: run r2 holds the lease").hint("wait for it");
    let results =
        [JobResult { job: "sales".to_owned(), run: Ok(partly_failed()) }, JobResult { job: "stock".to_owned(), run: Err(refused) }];
    assert_eq!(csv(&results), "\
job,run,source,stream,target,status,records_processed,records_added,records_updated,records_unchanged,records_folded,records_skipped,records_deleted,records_rejected,duration_seconds,error
sales,0190a000-0000-7000-8000-000000000001,orders_of_all_shops,orders_of_all_shops,orders_of_all_shops,success,1234567,1234567,0,0,0,0,0,0,0.500,
sales,0190a000-0000-7000-8000-000000000001,regions,regions,regions,failed,0,0,0,0,0,0,0,0,0.100,open data/regions.csv: no such file
stock,,,,,,,,,,,,,,,job stock: run r2 holds the lease
");
    assert_eq!(format!("{:#}\n", object(&results)), include_str!("run_result_tests.json"));
}
