//! The real program: a job of two sources, one loaded whole, one merged by its key; one that reads a window from its cursor; and one of
//! wide rows.

use std::path::Path;
use std::process::Command;

use rusqlite::{Connection, params};

use super::judge::{Fault, Loader, Row, Tables, Tally, judge_into};
use crate::etl::Etl;

/// Demands that a loader into a destination survives so many kills; prints a line that `tests/soak.sh` adds up.
#[track_caller]
pub(super) fn survives(destination: &str, program: &dyn Loader, kills: u64) {
    let seed = super::setting("ETLSCHED_KILLS_SEED", 1);
    let mut tally = Tally::default();
    let verdict = judge_into(&mut tally, program, kills, seed);
    let is = |fault: Fault| verdict.as_ref().is_err_and(|conviction| conviction.fault == fault);
    let (lost, doubled) = verdict.as_ref().err().map_or((0, 0), |conviction| conviction.rows);
    let Tally { kills: done, too_late, supervisors, alone, workers, all, before_publish, after_publish, .. } = tally;
    println!(
        "kills: destination={destination} seed={seed} kills={done} lost={lost} doubled={doubled} open_runs={} manual_repairs={} \
         old_load={before_publish} new_load={after_publish} supervisors={supervisors} alone={alone} workers={workers} all={all} too_late={too_late} \
         recoveries={} rows_compared={}",
        u64::from(is(Fault::FalseLog) || is(Fault::Hung)),
        u64::from(is(Fault::NextRunFailed) || is(Fault::Leftovers)),
        tally.recoveries,
        tally.rows_compared,
    );
    if let Err(conviction) = verdict {
        panic!("ETLSCHED_KILLS={kills} ETLSCHED_KILLS_SEED={seed}: {conviction}");
    }
    assert!(tally.too_late < tally.kills, "no kill met a run at work: {tally:?}");
}

#[test]
fn whole_and_merged_loads_of_files_survive_kills_at_any_moment() {
    let job = "
etl_config: {max_parallel_sources: 2}
max_retries: 0
data_sources:
  - name: whole
    path: data/rows.csv
  - name: merged
    path: data/rows.csv
    primary_key: [id]
    etl_config: {mode: incremental}
";
    let program =
        Program { etl: Etl::new().file("jobs/kills.yaml", job), targets: &["whole", "merged"], deliver: deliver_csv, first_rows: 8_000 };
    survives("sqlite", &program, super::setting("ETLSCHED_KILLS", 30));
}

#[test]
fn loads_of_a_window_survive_kills_at_any_moment() {
    let job = "
max_retries: 0
data_sources:
  - name: windowed
    connection: shop
    table: rows
    primary_key: [id]
    etl_config: {mode: incremental, timestamp_column: stamp}
";
    let etl = Etl::new()
        .file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: data/shop.db}\n")
        .file("data/.keep", "")
        .file("jobs/kills.yaml", job);
    survives(
        "sqlite-window",
        &Program { etl, targets: &["windowed"], deliver: deliver_sqlite, first_rows: 8_000 },
        super::setting("ETLSCHED_KILLS", 30),
    );
}

#[test]
fn loads_in_many_chunks_survive_kills_at_any_moment() {
    let job = "
max_retries: 0
data_sources:
  - name: wide
    path: data/rows.csv
";
    let etl = Etl::new().file("jobs/kills.yaml", job);
    let program = Program { etl, targets: &["wide"], deliver: deliver_wide_csv, first_rows: WIDE_ROWS };
    survives("sqlite-chunks", &program, super::setting("ETLSCHED_KILLS", 30).div_ceil(3));
}

/// Rows of 2 kB, 80 MB of them: more than three chunks of staging, so that the log is copied beside the load and begun anew within it.
const WIDE_ROWS: u32 = 40_000;

struct Program {
    etl: Etl,
    first_rows: u32,
    targets: &'static [&'static str],
    deliver: fn(&Etl, &[Row]),
}

pub(super) fn deliver_csv(etl: &Etl, rows: &[Row]) {
    let lines: String = rows.iter().map(|Row { id, stamp, value }| format!("{id},{stamp},{value}\n")).collect();
    etl.write("data/rows.csv", format!("id,stamp,value\n{lines}"));
}

fn deliver_wide_csv(etl: &Etl, rows: &[Row]) {
    let padding = "x".repeat(2_000);
    let lines: String = rows.iter().map(|Row { id, stamp, value }| format!("{id},{stamp},{value},{padding}\n")).collect();
    etl.write("data/rows.csv", format!("id,stamp,value,padding\n{lines}"));
}

fn deliver_sqlite(etl: &Etl, rows: &[Row]) {
    let mut shop = Connection::open(etl.path("data/shop.db")).expect("the shop's database");
    shop.execute_batch("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, stamp INTEGER, value INTEGER)").expect("its table");
    let transaction = shop.transaction().expect("a transaction");
    for Row { id, stamp, value } in rows {
        transaction.execute("REPLACE INTO rows VALUES (?1, ?2, ?3)", params![id, stamp, value]).expect("a row");
    }
    transaction.commit().expect("the delivery");
}

impl Loader for Program {
    fn first_rows(&self) -> u32 {
        self.first_rows
    }

    fn deliver(&self, rows: &[Row]) {
        (self.deliver)(&self.etl, rows);
    }

    fn command(&self) -> Command {
        let temporary = self.etl.path("tmp");
        std::fs::create_dir_all(&temporary).expect("a folder for temporary files");
        let mut command = self.etl.command(&["run", "kills"]);
        command.env("TMPDIR", &temporary).env("SQLITE_TMPDIR", &temporary);
        command
    }

    fn tables(&self) -> Tables {
        let warehouse = self.etl.warehouse();
        let read = |name: &&str| {
            let rows = warehouse.rows(&format!("SELECT id, stamp, value FROM {name} ORDER BY id, stamp, value"));
            ((*name).to_owned(), rows.iter().map(|row| parse(row)).collect())
        };
        self.targets.iter().map(read).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        let mut found = self.etl.warehouse().staging();
        found.extend(self.etl.state().rows("SELECT 'lease of ' || job FROM leases"));
        let files = self.etl.listing().into_iter().filter_map(|(path, content)| content.map(|_| path));
        found.extend(files.filter(|path| is_litter(&self.etl, path)).map(|path| path.display().to_string()));
        found
    }

    fn log(&self) -> Vec<String> {
        log(&self.etl)
    }
}

/// Returns the status of every run, the last one last.
pub(super) fn log(etl: &Etl) -> Vec<String> {
    let printed = etl.run(&["logs", "kills", "--page-size", "1000", "--output", "json"]).exits(0).json();
    let newest_first = printed["logs"].as_array().expect("logs is a list");
    newest_first.iter().rev().map(|run| run["status"].as_str().expect("a run has a status").to_owned()).collect()
}

/// Returns whether a file of the workspace is neither its own nor one of the two stores, closed.
fn is_litter(etl: &Etl, path: &Path) -> bool {
    let path = path.strip_prefix(etl.path("")).expect("a path of the workspace");
    let is_known = ["etlsched.yaml", "jobs/kills.yaml", ".etlsched/warehouse.db", ".etlsched/state.db", ".etlsched/workspace-id"]
        .iter()
        .any(|known| path == *known);
    !is_known && !path.starts_with("data")
}

pub(super) fn parse(row: &str) -> Row {
    let mut numbers = row.split('|').map(|field| field.parse().unwrap_or_else(|_| panic!("{row:?} holds more than numbers")));
    let mut next = || numbers.next().expect("three columns");
    Row { id: next(), stamp: next(), value: next() }
}
