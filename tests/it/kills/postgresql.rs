//! The real program with PostgreSQL as destination: a server that goes on while its client is killed.

use std::process::Command;

use super::judge::{Loader, Row, Tables};
use super::program::{deliver_csv, parse, survives};
use crate::etl::Etl;
use crate::postgres_destination::into_schema;
use crate::servers::{postgresql, psql};

const TARGETS: [&str; 2] = ["whole", "merged"];

struct Program {
    etl: Etl,
}

#[test]
fn loads_into_postgresql_survive_kills_at_any_moment() {
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
    let etl = into_schema(Etl::new().file("jobs/kills.yaml", job), postgresql(), "kills");
    survives("postgresql", &Program { etl }, super::setting("ETLSCHED_KILLS", 30));
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
            let rows = psql(postgresql(), "etl", &format!("SELECT id, stamp, value FROM kills.{name} ORDER BY id, stamp, value"));
            (name.to_owned(), rows.lines().map(parse).collect())
        };
        TARGETS.into_iter().map(read).collect()
    }

    fn leftovers(&self) -> Vec<String> {
        let staging = "SELECT relname FROM pg_class WHERE relnamespace = 'kills'::regnamespace AND relname ~ '^_etlsched_[0-9a-f]{8}_'";
        let mut found: Vec<String> = psql(postgresql(), "etl", staging).lines().map(str::to_owned).collect();
        found.extend(self.etl.state().rows("SELECT 'lease of ' || job FROM leases"));
        found
    }

    fn log(&self) -> Vec<String> {
        super::program::log(&self.etl)
    }
}
