//! The real program with MariaDB as destination: a server that goes on while its client is killed.

use std::process::Command;

use super::judge::{Loader, Row, Tables};
use super::program::{deliver_csv, parse, survives};
use crate::etl::Etl;
use crate::mysql_destination::into_database;
use crate::servers::mariadb::{mariadb, mariadb_sql};

const TARGETS: [&str; 2] = ["whole", "merged"];

struct Program {
    etl: Etl,
}

#[test]
fn loads_into_mariadb_survive_kills_at_any_moment() {
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
    let etl = into_database(Etl::new().file("jobs/kills.yaml", job), mariadb(), "kills", "");
    survives("mariadb", &Program { etl }, super::setting("ETLSCHED_KILLS", 30));
}

impl Loader for Program {
    fn first_rows(&self) -> u32 {
        8_000
    }

    fn deliver(&self, rows: &[Row]) {
        deliver_csv(&self.etl, rows);
    }

    fn command(&self) -> Command {
        self.etl.command(&["run", "kills"])
    }

    fn tables(&self) -> Tables {
        let read = |name: &str| {
            let is_there = !mariadb_sql(mariadb(), "kills", &format!("SHOW TABLES LIKE '{name}'")).is_empty();
            let query = format!("SELECT concat_ws('|', id, stamp, value) FROM {name} ORDER BY id, stamp, value");
            let rows = if is_there { mariadb_sql(mariadb(), "kills", &query) } else { String::new() };
            (name.to_owned(), rows.lines().map(parse).collect())
        };
        TARGETS.into_iter().map(read).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        let staging =
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'kills' AND table_name REGEXP '^_etlsched_[0-9a-f]{8}_'";
        let mut found: Vec<String> = mariadb_sql(mariadb(), "kills", staging).lines().map(str::to_owned).collect();
        found.extend(self.etl.state().rows("SELECT 'lease of ' || job FROM leases"));
        found
    }

    fn log(&self) -> Vec<String> {
        super::program::log(&self.etl)
    }
}
