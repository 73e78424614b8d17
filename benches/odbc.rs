//! How fast rows come through ODBC: 2 million rows of 8 columns from PostgreSQL through psqlODBC (UseDeclareFetch) into SQLite, beside the same by our
//! own PostgreSQL source. The time is that of the whole run, loading included, so that reading is at least as fast. Asserts nothing.
//!
//! `cargo bench --bench odbc`; `-- ROWS` another number. It needs what tests/run.sh installs.
#![expect(clippy::print_stdout, reason = "a benchmark is there to print")]

mod measure;
#[path = "../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod servers;

use measure::{etlsched, measure, workspace_of};
use servers::{PASSWORD, driver_file, own_postgresql, psql};

const PAIRS: usize = 3;

const COLUMNS: &str = "n AS id, n::bigint * 7 AS l, (n % 1000)::numeric(12,2) / 100 AS amount, n / 3.0::double precision AS ratio, \
     'name of row ' || n AS name, (n % 2 = 0) AS is_even, '2024-01-01'::date + (n % 365) AS day, \
     '2024-01-01'::timestamp + n * interval '1 second' AS at";

fn main() {
    // cargo bench adds --bench.
    let rows: u64 = std::env::args().skip(1).find(|word| !word.starts_with("--")).map_or(2_000_000, |word| word.parse().expect("a number"));
    driver_file("psqlodbcw.so", "odbc-postgresql");
    let server = own_postgresql(&[]);
    psql(&server, "etl", &format!("CREATE TABLE t AS SELECT {COLUMNS} FROM generate_series(1, {rows}) AS n"));
    psql(&server, "etl", "ALTER TABLE t ALTER amount TYPE numeric(12,2)");
    // Stands alone: a string of several statements is one transaction, in which VACUUM is refused.
    psql(&server, "etl", "VACUUM ANALYZE t");
    let password = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
    let login = format!("host: 127.0.0.1, port: {}, database: etl, user: etl, password: \"{password}\"", server.port);
    for round in 1..=PAIRS {
        for kind in ["type: odbc, driver: PostgreSQL Unicode", "type: postgresql"] {
            let workspace = workspace_of("data_sources:\n  - {connection: c, table: public.t}\n");
            std::fs::write(workspace.path().join("etlsched.yaml"), format!("connections:\n  c: {{{kind}, {login}}}\n")).expect("a file");
            let taken = measure(etlsched(&workspace, &["run", "rows"]), true);
            #[expect(clippy::cast_precision_loss, reason = "it is shown")]
            let speed = rows as f64 / taken.wall.as_secs_f64();
            println!(
                "round {round}, {kind}: {:.2} s, {speed:.0} rows/s, {} MB ({} MB anonymous)",
                taken.wall.as_secs_f64(),
                taken.resident / 1000,
                taken.anonymous / 1000
            );
        }
    }
}
