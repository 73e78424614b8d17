//! PostgreSQL as destination, from end to end: what the program loads is read back by psql.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::etl::Etl;
use crate::servers::{PASSWORD, Server, own_postgresql, pooler, postgresql, psql, restart_at_once};

/// Makes a schema and returns a workspace that loads into it.
pub fn into_schema(etl: Etl, server: &Server, schema: &str) -> Etl {
    psql(server, "etl", &format!("CREATE SCHEMA \"{schema}\""));
    let port = server.port;
    etl.env("DWH_PASSWORD", PASSWORD).file(
        "etlsched.yaml",
        format!(
            "destination: dwh\ndefaults: {{max_retries: 0}}\nconnections:\n  dwh: {{type: postgresql, host: 127.0.0.1, port: {port}, database: etl, user: etl, \
             password: \"${{DWH_PASSWORD}}\", schema: {schema}}}\n"
        ),
    )
}

/// Runs SQL in a schema of the shared server.
#[track_caller]
fn ask(schema: &str, sql: &str) -> String {
    psql(postgresql(), "etl", &format!("SET search_path = {schema}; SET timezone = 'UTC'; {sql}"))
}

#[track_caller]
fn counts(etl: &Etl, arguments: &[&str]) -> [u64; 4] {
    let result = etl.run(arguments).exits(0).json();
    let source = &result["runs"][0]["sources"][0];
    ["added", "updated", "unchanged", "deleted"].map(|name| source[format!("records_{name}")].as_u64().unwrap_or(0))
}

#[test]
fn the_sample_fills_five_tables_with_types() {
    let etl = into_schema(Etl::sample(), postgresql(), "sample");
    etl.run(&["run", "flights", "--dry-run"]).exits(0);
    assert_eq!(ask("sample", "SELECT count(*) FROM pg_class WHERE relnamespace = 'sample'::regnamespace"), "0");
    for _ in 0..2 {
        etl.run(&["run", "flights"]).exits(0);
        for (table, rows) in [("airlines", 16), ("airports", 1_458), ("planes", 3_322), ("weather", 26_115), ("flights", 27_004)] {
            assert_eq!(ask("sample", &format!("SELECT count(*) FROM {table}")), rows.to_string(), "{table}");
        }
    }
    let types = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) FROM information_schema.columns \
         WHERE table_schema = 'sample' AND table_name = 'weather'";
    assert_eq!(
        ask("sample", types),
        "origin text, year bigint, month bigint, day bigint, hour bigint, temp double precision, dewp double precision, \
         humid double precision, wind_dir bigint, wind_speed double precision, wind_gust double precision, precip double precision, \
         pressure double precision, visib double precision, time_hour timestamp with time zone"
    );
    assert_eq!(
        ask("sample", "SELECT origin, temp, wind_gust, time_hour FROM weather ORDER BY time_hour, origin LIMIT 1"),
        "EWR|39.02||2013-01-01 06:00:00+00"
    );
    let state = etl.run(&["state", "show", "flights", "-o", "json"]).exits(0).json();
    assert_eq!(state["cursors"].as_array().map(Vec::len), Some(5), "{state:#}");
}

#[test]
fn a_key_merges_with_exact_counts() {
    let csv = "id,at,name\n1,2024-01-01T00:00:00Z,a\n2,2024-01-02T00:00:00Z,b\n3,2024-01-03T00:00:00Z,\n";
    let keys = "primary_key: [id]\netl_config: {mode: incremental}\n";
    let etl = into_schema(Etl::new().csv_job("people", keys, csv), postgresql(), "merged");
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [3, 0, 0, 0]);
    etl.write("jobs/data/people.csv", "id,at,name\n1,2024-01-01T00:00:00Z,a\n2,2024-01-02T00:00:00Z,B\n4,2024-01-04T00:00:00Z,d\n");
    assert_eq!(counts(&etl, &["run", "people", "--dry-run", "-o", "json"]), [1, 1, 1, 0]);
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [1, 1, 1, 0]);
    assert_eq!(counts(&etl, &["run", "people", "-o", "json"]), [0, 0, 0, 0], "nothing is new");
    assert_eq!(ask("merged", "SELECT id, name FROM people ORDER BY id"), "1|a\n2|B\n3|\n4|d");
    assert_eq!(counts(&etl, &["run", "people", "--full-refresh", "-o", "json"]), [3, 0, 0, 4]);
    assert_eq!(ask("merged", "SELECT id, at FROM people ORDER BY id LIMIT 1"), "1|2024-01-01 00:00:00+00");
}

#[test]
fn a_table_with_rows_of_others_is_refused_with_the_way_out() {
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), postgresql(), "foreign_rows");
    ask("foreign_rows", "CREATE TABLE people (id bigint); INSERT INTO people VALUES (7)");
    etl.run(&["run", "people"]).exits(1).mentions("has 1 row that etlsched did not load").mentions("--take-over");
    assert_eq!(ask("foreign_rows", "SELECT id FROM people"), "7");
    etl.run(&["state", "reset", "people", "--source", "people", "--take-over", "--yes"]).exits(0);
    etl.run(&["run", "people"]).exits(0);
    assert_eq!(ask("foreign_rows", "SELECT id FROM people"), "1");
}

#[test]
fn what_keeps_the_server_from_being_reached_is_told_without_the_password() {
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), postgresql(), "unreached").env("DWH_PASSWORD", "hunter22-wrong");
    let ended = etl.run(&["run", "people"]).exits(1).mentions("password authentication failed");
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter22"), "{}", ended.stderr);
    let etl = into_schema(Etl::new().csv_job("people", "", "id\n1\n"), postgresql(), "dropped");
    ask("public", "DROP SCHEMA dropped");
    etl.run(&["run", "people"]).exits(1).mentions("there is no schema dropped").mentions("CREATE SCHEMA \"dropped\"");
}

/// Twenty full loads, alternately of 1,000 rows of 1 and of 2,000 rows of 2, under the eyes of a reader.
#[test]
fn a_reader_never_sees_an_empty_or_a_mixed_table() {
    let rows = |value: u32| format!("id,value\n{}", (0..1_000 * value).map(|id| format!("{id},{value}\n")).collect::<String>());
    let etl = into_schema(Etl::new().csv_job("watched", "", rows(1)), postgresql(), "watched");
    etl.run(&["run", "watched"]).exits(0);
    let is_over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let seen = ask("watched", "SELECT count(*), min(value), max(value) FROM watched");
                assert!(seen == "1000|1|1" || seen == "2000|2|2", "{seen}");
                looks += 1;
            }
            looks
        });
        for number in 0..20 {
            // A third of them with an index on the table, and one with a view, so that it is filled in its place.
            match number {
                7 => drop(ask("watched", "CREATE INDEX ON watched (value)")),
                14 => drop(ask("watched", "CREATE VIEW of_watched AS SELECT value FROM watched")),
                _ => {}
            }
            etl.write("jobs/data/watched.csv", rows(2 - number % 2));
            etl.run(&["run", "watched"]).exits(0);
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader saw old or new loads only")
    });
    assert!(looks > 20, "{looks} looks");
}

/// A reader that holds its lock delays the publish, and nobody queues behind the loader for long.
#[test]
fn a_lock_that_a_reader_holds_is_waited_for() {
    let etl = into_schema(Etl::new().csv_job("held", "", "id\n1\n"), postgresql(), "held");
    etl.run(&["run", "held"]).exits(0);
    let reader = std::thread::spawn(|| ask("held", "BEGIN; SELECT FROM held; SELECT pg_sleep(7); COMMIT"));
    while ask("held", "SELECT count(*) FROM pg_locks WHERE relation = 'held'::regclass AND pid <> pg_backend_pid()") == "0" {
        std::thread::yield_now();
    }
    etl.write("jobs/data/held.csv", "id\n2\n");
    etl.run(&["run", "held"]).exits(0);
    reader.join().expect("the reader");
    assert_eq!(ask("held", "SELECT id FROM held"), "2");
}

/// Four sources through two sessions that everybody shares: no step of a load keeps anything in one.
#[test]
fn a_pooler_in_transaction_mode_may_stand_in_front() {
    let names = ["plain", "indexed", "viewed", "keyed"];
    let source = |name: &&str| {
        let keys = if *name == "keyed" { ", primary_key: [id], etl_config: {mode: incremental}" } else { "" };
        format!("  - {{name: {name}, path: jobs/data/rows.csv, target: {name}{keys}}}\n")
    };
    let job = format!("data_sources:\n{}", names.iter().map(source).collect::<String>());
    let csv = |name: &str| format!("id,name\n{}", (0..30_000).map(|id| format!("{id},{name}\n")).collect::<String>());
    let etl = into_schema(Etl::new(), postgresql(), "pooled").file("jobs/all.yaml", job).file("jobs/data/rows.csv", csv("a"));
    ask("pooled", "CREATE TABLE indexed (id bigserial PRIMARY KEY, name text); CREATE INDEX ON indexed (lower(name));");
    ask("pooled", "CREATE TABLE viewed (id bigint, name text); CREATE VIEW of_it AS SELECT * FROM viewed");
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("it is text");
    let through = pooler(postgresql(), "pool_mode=transaction\ndefault_pool_size=2\n").server;
    etl.write("etlsched.yaml", settings.replace(&format!("port: {}", postgresql().port), &format!("port: {}", through.port)));
    for name in ["a", "b"] {
        etl.write("jobs/data/rows.csv", csv(name));
        etl.run(&["run", "all"]).exits(0);
        for table in names {
            let found = ask("pooled", &format!("SELECT count(*), min(name), max(name) FROM {table}"));
            assert_eq!(found, format!("30000|{name}|{name}"), "{table}");
        }
    }
    assert_eq!(ask("pooled", "SELECT count(*) FROM pg_indexes WHERE schemaname = 'pooled' AND tablename = 'indexed'"), "2");
}

#[test]
fn a_server_that_is_restarted_in_mid_load_leaves_the_old_table_and_the_next_run_succeeds() {
    let server = own_postgresql(&[]);
    let wide = |rows: u32| {
        let padding = "x".repeat(500);
        format!("id,padding\n{}", (0..rows).map(|id| format!("{id},{padding}\n")).collect::<String>())
    };
    let etl = into_schema(Etl::new().csv_job("wide", "", wide(10)), &server, "restarted");
    etl.run(&["run", "wide"]).exits(0);
    etl.write("jobs/data/wide.csv", wide(200_000));
    let run = etl.start("wide");
    restart_at_once(&server);
    let (code, said) = run.end();
    assert_eq!(code, Some(1), "{said}");
    let is_told = ["staging rows for wide: ", "beginning a transaction on ", "committing on "].iter().any(|what| said.contains(what));
    assert!(is_told && said.contains("event=stream_failed"), "{said}");
    assert_eq!(psql(&server, "etl", "SELECT count(*) FROM restarted.wide"), "10");
    etl.run(&["run", "wide"]).exits(0);
    assert_eq!(psql(&server, "etl", "SELECT count(*) FROM restarted.wide"), "200000");
    let staging = "SELECT count(*) FROM pg_class WHERE relname ~ '^_etlsched_[0-9a-f]{8}_'";
    assert_eq!(psql(&server, "etl", staging), "0");
}
