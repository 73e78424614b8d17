//! The real program: a job of two sources, one loaded whole, one merged by its key.

use std::process::Command;

use super::judge::{Loader, Row, Tables, judge};
use crate::etl::Etl;

#[test]
fn the_program_survives_kills_at_any_moment() {
    let kills = super::setting("ETLSCHED_KILLS", 30);
    let seed = super::setting("ETLSCHED_KILLS_SEED", 1);
    let program = Program::new();
    match judge(&program, kills, seed) {
        Ok(tally) => assert!(tally.too_late < tally.kills, "no kill met a run at work: {tally:?}"),
        Err(conviction) => panic!("ETLSCHED_KILLS={kills} ETLSCHED_KILLS_SEED={seed}: {conviction}"),
    }
}

struct Program {
    etl: Etl,
}

impl Program {
    fn new() -> Self {
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
        Self { etl: Etl::new().file("jobs/kills.yaml", job) }
    }
}

impl Loader for Program {
    fn first_rows(&self) -> u32 {
        20_000
    }

    fn deliver(&self, rows: &[Row]) {
        let lines: String = rows.iter().map(|Row { id, stamp, value }| format!("{id},{stamp},{value}\n")).collect();
        self.etl.write("data/rows.csv", format!("id,stamp,value\n{lines}"));
    }

    fn command(&self) -> Command {
        self.etl.command(&["run", "kills"])
    }

    fn tables(&self) -> Tables {
        let warehouse = self.etl.warehouse();
        let read = |name: &str| {
            let rows = warehouse.rows(&format!("SELECT id, stamp, value FROM {name} ORDER BY id, stamp, value"));
            (name.to_owned(), rows.iter().map(|row| parse(row)).collect())
        };
        ["whole", "merged"].map(read).into()
    }

    fn leftovers(&self) -> Vec<String> {
        let mut found = self.etl.warehouse().staging();
        found.extend(self.etl.state().rows("SELECT 'lease of ' || job FROM leases"));
        found
    }

    fn log(&self) -> Vec<String> {
        let printed = self.etl.run(&["logs", "kills", "--page-size", "1000", "--output", "json"]).exits(0).json();
        let newest_first = printed["logs"].as_array().expect("logs is a list");
        newest_first.iter().rev().map(|run| run["status"].as_str().expect("a run has a status").to_owned()).collect()
    }
}

fn parse(row: &str) -> Row {
    let mut numbers = row.split('|').map(|field| field.parse().unwrap_or_else(|_| panic!("{row:?} holds more than numbers")));
    let mut next = || numbers.next().expect("three columns");
    Row { id: next(), stamp: next(), value: next() }
}
