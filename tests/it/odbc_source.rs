//! Databases behind ODBC drivers, by the whole program: PostgreSQL through psqlODBC, SQLite through its driver; rows read back by SQLite's own SQL.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::etl::{Ended, Etl};
use crate::servers::cutter::cutter;
use crate::servers::mariadb::mariadb;
use crate::servers::{self, PASSWORD, driver_file, postgresql, psql};

static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

/// Makes a schema of its own in the shared database; `{s}` in the setup stands for it.
fn schema(setup: &str) -> String {
    let schema = format!("odbc_{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
    psql(postgresql(), "etl", &format!("CREATE SCHEMA {schema}; {}", setup.replace("{s}", &schema)));
    schema
}

/// A workspace whose connection `old` is a server behind psqlODBC, with more keys, and whose job `load` has one source.
fn workspace(port: u16, keys: &str, source: &str) -> Etl {
    driver_file("psqlodbcw.so", "odbc-postgresql");
    let server =
        format!("driver: PostgreSQL Unicode, host: 127.0.0.1, port: {port}, database: etl, user: etl, password: \"${{PG_PASSWORD}}\"");
    connected(&format!("{server}{keys}"), source).env("PG_PASSWORD", PASSWORD)
}

fn connected(keys: &str, source: &str) -> Etl {
    let etl = Etl::new().file("etlsched.yaml", format!("defaults: {{max_retries: 0}}\nconnections:\n  old: {{type: odbc, {keys}}}\n"));
    etl.file("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n  - connection: old\n    target: t\n{source}"))
}

fn run(etl: &Etl) -> Ended {
    etl.run(&["run", "load"])
}

#[test]
fn rows_are_loaded_then_only_what_is_new_by_the_key_of_the_catalogue() {
    let schema = schema(
        "CREATE TABLE {s}.t (id int PRIMARY KEY, name text, total numeric(12,2), at timestamptz); \
         INSERT INTO {s}.t VALUES (1, 'naïve 😀', 1.50, '2026-01-01 10:00:00.000001+00'), (2, NULL, NULL, '2026-01-02 10:00:00+00')",
    );
    let keys = "    etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}\n";
    let etl = workspace(postgresql().port, "", &format!("    table: {schema}.t\n{keys}"));
    run(&etl).exits(0);
    let rows = || etl.warehouse().rows("SELECT id, name, total, at FROM t ORDER BY id");
    assert_eq!(rows(), ["1|naïve 😀|1.50|2026-01-01T10:00:00.000001Z", "2|NULL|NULL|2026-01-02T10:00:00Z"]);
    psql(
        postgresql(),
        "etl",
        &format!(
            "UPDATE {schema}.t SET name = 'changed', at = '2026-01-03 00:00:00+00' WHERE id = 1; INSERT INTO {schema}.t VALUES (3, 'new', 0, '2026-01-04 00:00:00+00')"
        ),
    );
    run(&etl).exits(0).mentions("added=1 updated=1");
    assert_eq!(rows(), ["1|changed|1.50|2026-01-03T00:00:00Z", "2|NULL|NULL|2026-01-02T10:00:00Z", "3|new|0.00|2026-01-04T00:00:00Z"]);
}

#[test]
fn a_source_is_tested_shown_and_its_columns_listed() {
    let schema = schema("CREATE TABLE {s}.t AS SELECT n AS id, 'row ' || n AS name FROM generate_series(1, 50) AS n");
    let etl = workspace(postgresql().port, "", &format!("    table: {schema}.t\n"));
    etl.run(&["source", "test", "load"]).exits(0).mentions("through psqlodbcw.so").mentions("2 columns");
    etl.run(&["source", "preview", "load"]).exits(0).mentions("row 1").mentions("row 2");
    etl.run(&["source", "schema", "load"]).exits(0).mentions("name").mentions("text");
}

#[test]
fn a_data_source_and_a_whole_connection_string_reach_the_server_too() {
    let schema = schema("CREATE TABLE {s}.t AS SELECT 1 AS id");
    driver_file("psqlodbcw.so", "odbc-postgresql");
    let port = postgresql().port;
    let source = format!("    table: {schema}.t\n");
    let etl = connected("dsn: erp, user: etl, password: \"${PG_PASSWORD}\"", &source).env("PG_PASSWORD", PASSWORD);
    let ini = format!("[erp]\nDriver = PostgreSQL Unicode\nServername = 127.0.0.1\nPort = {port}\nDatabase = etl\n");
    let etl = etl.file("odbc.ini", ini);
    let path = etl.path("odbc.ini").display().to_string();
    let etl = etl.env("ODBCINI", &path);
    run(&etl).exits(0);
    let whole = format!("DRIVER={{PostgreSQL Unicode}};SERVER=127.0.0.1;PORT={port};DATABASE=etl;UID=etl;PWD={{{PASSWORD}}}");
    let etl = connected("connection_string: \"${WHOLE}\"", &source).env("WHOLE", &whole);
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT id FROM t"), "1");
    let etl = connected("connection_string: \"${WHOLE}\"", &source).env("WHOLE", &whole.replace(PASSWORD, "hunter22"));
    let ended = run(&etl).exits(1).mentions("authentication failed");
    let logs = etl.run(&["logs", "--run", "last"]).stdout;
    assert!(!format!("{}{}{logs}", ended.stdout, ended.stderr).contains("hunter22"));
}

#[test]
fn a_machine_without_the_driver_says_which_there_are_and_how_one_is_installed() {
    let etl = connected("driver: No Such Driver, host: h", "    table: t\n");
    run(&etl).exits(1).mentions("no ODBC driver is called No Such Driver; there are ").mentions("apt-cache search odbc");
    let etl = etl.env("ODBCSYSINI", "/nowhere").env("ODBCINSTINI", "/nowhere/odbcinst.ini");
    run(&etl).exits(1).mentions("odbcinst.ini lists no driver").mentions("apt-cache search odbc");
    let etl = Etl::new().env("ODBCSYSINI", "/nowhere").env("ODBCINSTINI", "/nowhere/odbcinst.ini");
    let etl = etl.file("etlsched.yaml", "connections:\n  a: {type: sqlserver, host: h}\n  b: {type: oracle, host: h, service: s}\n");
    let etl = etl
        .file("jobs/a.yaml", "data_sources: [{connection: a, table: t}]\n")
        .file("jobs/b.yaml", "data_sources: [{connection: b, table: t}]\n");
    etl.run(&["run", "a"]).exits(1).mentions("no ODBC driver for SQL Server is installed").mentions("tdsodbc").mentions("msodbcsql18");
    etl.run(&["run", "b"]).exits(1).mentions("no ODBC driver for Oracle is installed").mentions("Instant Client");
}

#[test]
fn a_server_that_never_answers_is_given_up_by_our_own_limit() {
    let hole = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let etl = workspace(hole.local_addr().expect("its address").port(), ", connect_timeout_seconds: 1", "    table: t\n");
    let begun = Instant::now();
    run(&etl).exits(1).mentions("check host and port");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Loads 1000 rows again and again over connections that are cut, each time later.
fn cut_everywhere(load: impl Fn(usize) -> Etl) {
    let (mut failed, mut done) = (0, 0);
    for step in 0..24_usize {
        let etl = load(step * step * 97 + 40);
        let ended = run(&etl);
        match ended.code {
            Some(0) => {
                assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "1000");
                done += 1;
            }
            code => {
                assert_eq!(code, Some(1), "{}{}", ended.stdout, ended.stderr);
                let is_there = etl.path(".etlsched/warehouse.db").exists();
                let tables = "SELECT count(*) FROM sqlite_master WHERE name = 't'";
                assert!(!is_there || etl.warehouse().value(tables) == "0", "{}{}", ended.stdout, ended.stderr);
                failed += 1;
            }
        }
    }
    assert!(failed > 5 && done > 0, "{failed} failed, {done} done");
}

/// psqlODBC 13.02 crashes where a connection is cut below its cursor, MariaDB's 3.1 wherever one is cut: the worker dies, and the run says so.
#[test]
fn a_connection_that_is_cut_anywhere_publishes_nothing_or_everything() {
    let source = "    custom_sql: SELECT n AS id, repeat('x', 30) AS pad FROM generate_series(1, 1000) AS n\n    name: s\n";
    cut_everywhere(|bytes_max| workspace(cutter(postgresql().port, bytes_max), "", source));
    driver_file("libmaodbc.so", "odbc-mariadb");
    let source = "    custom_sql: SELECT seq AS id, repeat('x', 30) AS pad FROM seq_1_to_1000\n    name: s\n";
    cut_everywhere(|bytes_max| {
        let port = cutter(mariadb().port, bytes_max);
        let server =
            format!("driver: MariaDB Unicode, host: 127.0.0.1, port: {port}, database: etl, user: etl, password: \"${{PASSWORD}}\"");
        connected(&server, source).env("PASSWORD", PASSWORD)
    });
}

#[test]
fn a_server_that_dies_amid_a_read_leaves_the_table_as_it_was() {
    let server = servers::own_postgresql(&[]);
    psql(&server, "etl", "CREATE VIEW t AS SELECT n AS id, repeat('x', 200) AS pad FROM generate_series(1, 3) AS n");
    let etl = workspace(server.port, "", "    table: t\n");
    run(&etl).exits(0);
    psql(&server, "etl", "CREATE OR REPLACE VIEW t AS SELECT n AS id, repeat('x', 200) AS pad FROM generate_series(1, 20000000) AS n");
    let at_work = etl.start("load");
    servers::restart_at_once(&server);
    let (code, said) = at_work.end();
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "3");
    assert_eq!(etl.state().value("SELECT status FROM runs ORDER BY started_at DESC LIMIT 1"), "failed");
}
