//! MariaDB as destination, from end to end: what the program loads is read back by its own client.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::etl::Etl;
use crate::servers::mariadb::{crash_mariadb, mariadb, mariadb_root, mariadb_sql, own_mariadb};
use crate::servers::{PASSWORD, Server};

/// Makes a database and returns a workspace that loads into it.
pub fn into_database(etl: Etl, server: &Server, database: &str, more: &str) -> Etl {
    mariadb_root(server, &format!("CREATE DATABASE {database}"));
    let port = server.port;
    etl.env("DWH_PASSWORD", PASSWORD).file(
        "etlsched.yaml",
        format!(
            "destination: dwh\ndefaults: {{max_retries: 0}}\nconnections:\n  dwh: {{type: mysql, host: localhost, port: {port}, database: etl, user: etl, \
             password: \"${{DWH_PASSWORD}}\", schema: {database}{more}}}\n"
        ),
    )
}

/// Runs SQL in a database of the shared server.
#[track_caller]
fn ask(database: &str, sql: &str) -> String {
    mariadb_sql(mariadb(), database, sql)
}

#[track_caller]
fn counts(etl: &Etl, arguments: &[&str]) -> [u64; 4] {
    let result = etl.run(arguments).exits(0).json();
    let source = &result["runs"][0]["sources"][0];
    ["added", "updated", "unchanged", "deleted"].map(|name| source[format!("records_{name}")].as_u64().unwrap_or(0))
}

const SAMPLE: [(&str, u64); 5] = [("airlines", 16), ("airports", 1_458), ("planes", 3_322), ("weather", 26_115), ("flights", 27_004)];

#[test]
fn the_sample_fills_five_tables_with_types() {
    let etl = into_database(Etl::sample(), mariadb(), "sample", "");
    etl.run(&["run", "flights", "--dry-run"]).exits(0);
    assert_eq!(ask("sample", "SHOW TABLES"), "");
    for _ in 0..2 {
        etl.run(&["run", "flights"]).exits(0);
        for (table, rows) in SAMPLE {
            assert_eq!(ask("sample", &format!("SELECT count(*) FROM {table}")), rows.to_string(), "{table}");
        }
    }
    let types = "SELECT group_concat(column_name, ' ', column_type ORDER BY ordinal_position SEPARATOR ', ') FROM information_schema.columns \
         WHERE table_schema = 'sample' AND table_name = 'weather'";
    assert_eq!(
        ask("sample", types),
        "origin longtext, year bigint(20), month bigint(20), day bigint(20), hour bigint(20), temp double, dewp double, humid double, \
         wind_dir bigint(20), wind_speed double, wind_gust double, precip double, pressure double, visib double, time_hour datetime(6)"
    );
    assert_eq!(
        ask("sample", "SELECT origin, temp, wind_gust, time_hour FROM weather ORDER BY time_hour, origin LIMIT 1"),
        "EWR\t39.02\tNULL\t2013-01-01 06:00:00.000000"
    );
    let state = etl.run(&["state", "show", "flights", "-o", "json"]).exits(0).json();
    assert_eq!(state["cursors"].as_array().map(Vec::len), Some(5), "{state:#}");
}

/// An old server's settings, no LOAD DATA, TLS with a certificate that is checked.
#[test]
fn a_lax_server_over_tls_holds_the_same_rows() {
    let settings = ["--ssl", "--sql-mode=", "--local-infile=0", "--character-set-server=latin1"];
    let server = own_mariadb(&settings);
    let more = format!(", sslmode: verify-full, sslrootcert: {}", server.folder.join("ca.crt").display());
    let etl = into_database(Etl::sample(), &server, "sample", &more);
    etl.run(&["run", "flights"]).exits(0);
    for (table, rows) in SAMPLE {
        assert_eq!(mariadb_sql(&server, "sample", &format!("SELECT count(*) FROM {table}")), rows.to_string(), "{table}");
    }
    assert_eq!(
        mariadb_sql(&server, "sample", "SELECT name FROM airports WHERE faa = 'ORD'"),
        ask_sample_airport(&etl),
        "the same text as in the file"
    );
}

/// Reads the name of an airport from the sample's own file.
fn ask_sample_airport(etl: &Etl) -> String {
    let text = std::fs::read_to_string(etl.path("jobs/data/airports.csv")).expect("the sample's file");
    let line = text.lines().find(|line| line.starts_with("ORD,")).expect("O'Hare");
    line.split(',').nth(1).expect("a name").trim_matches('"').to_owned()
}

#[test]
fn a_key_merges_with_exact_counts() {
    let csv = "id,at,name\na,2024-01-01T00:00:00Z,a\nA,2024-01-02T00:00:00Z,b\n3,2024-01-03T00:00:00Z,\n";
    let keys = "primary_key: [id]\netl_config: {mode: incremental}\n";
    let etl = into_database(Etl::new().csv_job("people", keys, csv), mariadb(), "merged", "");
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [3, 0, 0, 0]);
    etl.write("jobs/data/people.csv", "id,at,name\na,2024-01-01T00:00:00Z,a\nA,2024-01-02T00:00:00Z,B\n4,2024-01-04T00:00:00Z,d\n");
    assert_eq!(counts(&etl, &["run", "people", "--dry-run", "-o", "json"]), [1, 1, 1, 0]);
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [1, 1, 1, 0]);
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [0, 0, 0, 0], "nothing is new");
    assert_eq!(ask("merged", "SELECT id, name FROM people ORDER BY id"), "3\tNULL\n4\td\nA\tB\na\ta");
    assert_eq!(counts(&etl, &["run", "people", "--full-refresh", "-o", "json"]), [3, 0, 0, 4]);
    assert_eq!(ask("merged", "SELECT id, at FROM people ORDER BY at LIMIT 1"), "a\t2024-01-01 00:00:00.000000");
}

#[test]
fn a_table_with_rows_of_others_is_refused_with_the_way_out() {
    let etl = into_database(Etl::new().csv_job("people", "", "id\n1\n"), mariadb(), "foreign_rows", "");
    ask("foreign_rows", "CREATE TABLE people (id bigint); INSERT INTO people VALUES (7)");
    etl.run(&["run", "people"]).exits(1).mentions("has 1 row that etlsched did not load").mentions("--take-over");
    assert_eq!(ask("foreign_rows", "SELECT id FROM people"), "7");
    etl.run(&["state", "reset", "people", "--source", "people", "--take-over", "--yes"]).exits(0);
    etl.run(&["run", "people"]).exits(0);
    assert_eq!(ask("foreign_rows", "SELECT id FROM people"), "1");
}

#[test]
fn what_keeps_the_server_from_being_reached_is_told_without_the_password() {
    let etl = into_database(Etl::new().csv_job("people", "", "id\n1\n"), mariadb(), "unreached", "").env("DWH_PASSWORD", "hunter22-wrong");
    let ended = etl.run(&["run", "people"]).exits(1).mentions("Access denied");
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter22"), "{}", ended.stderr);
    let etl = into_database(Etl::new().csv_job("people", "", "id\n1\n"), mariadb(), "dropped", "");
    mariadb_root(mariadb(), "DROP DATABASE dropped");
    etl.run(&["run", "people"]).exits(1).mentions("there is no database dropped").mentions("CREATE DATABASE `dropped`");
}

/// Full loads, alternately of 1,000 rows of 1 and of 2,000 rows of 2, under the eyes of a reader.
#[test]
fn a_reader_never_sees_an_empty_or_a_mixed_table() {
    let rows = |value: u32| format!("id,value\n{}", (0..1_000 * value).map(|id| format!("{id},{value}\n")).collect::<String>());
    let etl = into_database(Etl::new().csv_job("watched", "", rows(1)), mariadb(), "watched", "");
    etl.run(&["run", "watched"]).exits(0);
    let is_over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        // A load that fails must not leave the reader reading.
        let over = Over(&is_over);
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let seen = ask("watched", &"SELECT count(*), min(value), max(value) FROM watched;".repeat(20));
                assert!(seen.lines().all(|seen| seen == "1000\t1\t1" || seen == "2000\t2\t2"), "{seen}");
                looks += 20;
            }
            looks
        });
        for number in 0..12 {
            // Half of them with a trigger on the table, which then stays itself.
            if number == 6 {
                ask("watched", "CREATE TABLE log (id bigint); CREATE TRIGGER noted AFTER INSERT ON watched FOR EACH ROW SET @x = 1");
            }
            etl.write("jobs/data/watched.csv", rows(2 - number % 2));
            etl.run(&["run", "watched"]).exits(0);
        }
        drop(over);
        reader.join().expect("the reader saw old or new loads only")
    });
    assert!(looks > 20, "{looks} looks");
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A reader that holds its lock delays the publish, and nobody queues behind the loader for long.
#[test]
fn a_lock_that_a_reader_holds_is_waited_for() {
    let etl = into_database(Etl::new().csv_job("held", "", "id\n1\n"), mariadb(), "held", "");
    etl.run(&["run", "held"]).exits(0);
    let reader = std::thread::spawn(|| ask("held", "START TRANSACTION; SELECT * FROM held; SELECT sleep(7); COMMIT"));
    while ask("held", "SELECT count(*) FROM information_schema.processlist WHERE db = 'held' AND info LIKE '%sleep(7)'") != "1" {
        std::thread::yield_now();
    }
    etl.write("jobs/data/held.csv", "id\n2\n");
    etl.run(&["run", "held"]).exits(0);
    reader.join().expect("the reader");
    assert_eq!(ask("held", "SELECT id FROM held"), "2");
}

#[test]
fn a_server_that_is_killed_in_mid_load_leaves_the_old_table_and_the_next_run_succeeds() {
    let server = own_mariadb(&[]);
    let wide = |rows: u32| {
        let padding = "x".repeat(500);
        format!("id,padding\n{}", (0..rows).map(|id| format!("{id},{padding}\n")).collect::<String>())
    };
    let etl = into_database(Etl::new().csv_job("wide", "", wide(10)), &server, "killed", "");
    etl.run(&["run", "wide"]).exits(0);
    etl.write("jobs/data/wide.csv", wide(100_000));
    let run = etl.start("wide");
    let staging =
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'killed' AND table_name REGEXP '^_etlsched_[0-9a-f]{8}_'";
    while mariadb_root(&server, staging) == "0" {
        std::thread::yield_now();
    }
    crash_mariadb(&server, &[]);
    let (code, said) = run.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("event=stream_failed"), "{said}");
    assert_eq!(mariadb_sql(&server, "killed", "SELECT count(*) FROM wide"), "10");
    etl.run(&["run", "wide"]).exits(0);
    assert_eq!(mariadb_sql(&server, "killed", "SELECT count(*) FROM wide"), "100000");
    assert_eq!(mariadb_root(&server, staging), "0");
}
