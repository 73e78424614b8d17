//! Makes a workspace with many jobs and a long run log, to look at listings and to measure them:
//!
//!     cargo run --release --example seed -- FOLDER [JOBS] [RUNS]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use etlsched::state::{NewJob, Store};
use rusqlite::{Connection, params};

/// The last run's begin; fixed, so that two seeds are equal.
const END: &str = "2026-11-23T22:00:00Z";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: seed FOLDER [JOBS] [RUNS]")?);
    let jobs: u64 = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let runs: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    write_jobs(&folder, jobs)?;
    let path = folder.join(".etlsched").join("state.db");
    let mut store = Store::open(&etlsched::state::StateLocation::Sqlite(path.clone()))?;
    let end: DateTime<Utc> = END.parse()?;
    for number in 0..jobs {
        store.register_job(&new_job(number), end - TimeDelta::days(400))?;
    }
    drop(store);
    write_runs(&path, jobs, runs, end)
}

fn job_id(number: u64) -> String {
    const WORDS: [&str; 5] = ["sales", "leads", "warehouse_stock", "daily-orders", "hr"];
    format!("{}_{number:03}", WORDS[number as usize % WORDS.len()])
}

fn new_job(number: u64) -> NewJob {
    let id = job_id(number);
    let file = format!("jobs/{id}.yaml");
    NewJob { id, file, fingerprint: String::new(), schedule_fingerprint: String::new(), owner: "etl".to_owned(), host: "here".to_owned() }
}

fn write_jobs(folder: &Path, jobs: u64) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder.join("jobs"))?;
    fs::create_dir_all(folder.join("data"))?;
    fs::write(folder.join("etlsched.yaml"), "timezone: Europe/Paris\n")?;
    fs::write(folder.join("data/rows.csv"), "id,name\n1,a\n")?;
    for number in 0..jobs {
        let text = format!(
            "name: Refresh of table {number}\nschedule_type: daily\nhour: {}\nminute: {}\ntimezone: America/New_York\n\
             data_sources:\n  - name: t{number}_a\n    path: data/rows.csv\n  - name: t{number}_b\n    path: data/rows.csv\n",
            number % 24,
            number % 60
        );
        fs::write(folder.join("jobs").join(format!("{}.yaml", job_id(number))), text)?;
    }
    Ok(())
}

fn write_runs(path: &Path, jobs: u64, runs: u64, end: DateTime<Utc>) -> Result<(), Box<dyn Error>> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    for number in 0..runs {
        let started = end - TimeDelta::minutes(5 * i64::try_from(runs - number)?);
        let id = run_id(started, number);
        let job = number % jobs;
        let (status, code, processed, failed) = outcome(number, job);
        let ended = started + TimeDelta::milliseconds(i64::try_from(800 + number * 7919 % 90_000)?);
        let error = (status == "failed").then(|| format!("t{job}_b: data/rows.csv, row {number}: 3 fields, the header has 2"));
        transaction
            .prepare_cached(
                "INSERT INTO runs (id, job, status, triggered_by, started_at, completed_at, execution_time_seconds, exit_code,
             data_sources_processed, data_sources_failed, total_records_processed, total_records_added, bytes_read, peak_memory_usage_mb,
             cpu_time_seconds, error_message, host, pid, process_start, username, version)
             VALUES (?1, ?2, ?3, 'schedule', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, 64.5, 1.25, ?12, 'etl1', 4242, '1', 'etl', '0.1.0')",
            )?
            .execute(params![
                id,
                job_id(job),
                status,
                stored(started),
                stored(ended),
                (ended - started).as_seconds_f64(),
                code,
                processed,
                failed,
                whole(number * 13 % 1_000_000),
                whole(number * 997 % 50_000_000),
                error
            ])?;
        for (position, source) in [format!("t{job}_a"), format!("t{job}_b")].into_iter().enumerate() {
            transaction.prepare_cached(
                "INSERT INTO run_sources (run_id, source, position, status, attempt, records_added, duration_seconds) VALUES (?1, ?2, ?3, 'success', 1, ?4, 0.5)",
            )?
            .execute(params![id, source, i64::try_from(position)?, whole(number)])?;
        }
        transaction
            .prepare_cached("INSERT INTO run_events (run_id, sequence, at, level, message) VALUES (?1, 1, ?2, 'info', 'run began')")?
            .execute(params![id, stored(started)])?;
    }
    transaction.execute_batch(
        "UPDATE jobs SET success_count = (SELECT count(*) FROM runs WHERE job = jobs.id AND status = 'success'),
             failure_count = (SELECT count(*) FROM runs WHERE job = jobs.id AND status = 'failed');
         UPDATE jobs SET (last_run_id, last_run_at, last_run_status) =
             (SELECT id, started_at, status FROM runs WHERE job = jobs.id ORDER BY started_at DESC LIMIT 1);",
    )?;
    transaction.commit()?;
    Ok(())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn outcome(number: u64, job: u64) -> (&'static str, u8, String, String) {
    let names = |words: &[&str]| format!("[{}]", words.iter().map(|word| format!("\"t{job}_{word}\"")).collect::<Vec<_>>().join(","));
    match number % 17 {
        0 => ("failed", 3, names(&["a"]), names(&["b"])),
        _ => ("success", 0, names(&["a", "b"]), names(&[])),
    }
}

/// Returns a time as diesel writes it.
fn stored(time: DateTime<Utc>) -> String {
    time.naive_utc().format("%F %T%.f").to_string()
}

/// Returns an id of version 7: 48 bits of time, then the number.
fn run_id(time: DateTime<Utc>, number: u64) -> String {
    let hexadecimal = format!("{:012x}", time.timestamp_millis());
    format!("{}-{}-7000-8000-{number:012x}", &hexadecimal[..8], &hexadecimal[8..])
}
