//! `partitions`: a table read in several parts side by side.

use std::process::Command;

use super::{change_settings, of_table, own_database, run, schema, workspace};
use crate::etl::Etl;
use crate::servers::{self, postgresql, psql};

const ROWS: &str = "CREATE TABLE {s}.t AS SELECT g AS id, repeat('x', 100) AS pad FROM generate_series(1, 20000) AS g;
    ALTER TABLE {s}.t ADD PRIMARY KEY (id); ANALYZE {s}.t";

#[track_caller]
fn has_all(etl: &Etl) {
    assert_eq!(etl.warehouse().rows("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t"), ["20000|20000|1|20000"]);
}

#[test]
fn parts_are_read_side_by_side_and_stopped_together() {
    let setup = format!("{ROWS}; CREATE TABLE {{s}}.slow AS SELECT * FROM {{s}}.t");
    let schema = schema(&setup);
    let etl = of_table(&schema, "    partitions: 4\n");
    run(&etl).exits(0);
    has_all(&etl);
    let slow = of_table(&schema, "    partitions: 4\n    where: pg_sleep(0.002) IS NOT NULL\n    etl_config: {batch_size: 200}\n");
    let at_work = slow.start("load");
    let running = format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%{schema}\"%' AND state = 'active'");
    assert_eq!(psql(postgresql(), "etl", &running), "4");
    let kill = Command::new("kill").args(["-TERM", &at_work.id().to_string()]).status().expect("kill starts");
    assert!(kill.success());
    assert_eq!(at_work.end().0, Some(143));
    servers::wait_until("the server's statements end", || psql(postgresql(), "etl", &running) == "0");
}

#[test]
fn parts_take_no_more_memory_than_one() {
    let schema = schema(
        "CREATE UNLOGGED TABLE {s}.t AS SELECT g AS id, repeat('x', 1000) AS pad FROM generate_series(1, 200000) AS g; ANALYZE {s}.t",
    );
    let peak = |partitions: u32| {
        let etl = of_table(&schema, &format!("    partitions: {partitions}\n"));
        let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
        assert_eq!(etl.warehouse().value("SELECT count(DISTINCT id) FROM t"), "200000");
        result["runs"][0]["sources"][0]["peak_memory_usage_mb"].as_f64().unwrap_or_else(|| panic!("{result:#}"))
    };
    let (one, eight) = (peak(1), peak(8));
    // Eight connections have buffers of their own.
    assert!(eight < one + 24.0, "{one} MiB in one part, {eight} MiB in eight");
}

#[test]
fn parts_and_cursors_go_through_a_pooler_that_parts_transactions() {
    // The server is asked for each type that is nobody's own.
    let setup = "CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b mood); CREATE DOMAIN moods AS mood[]; CREATE SCHEMA s;
         CREATE TABLE s.t AS SELECT g AS id, now() AS at, 'sad'::mood AS m, NULL::pair AS p, NULL::moods AS ms FROM generate_series(1, 20000) AS g;
         ALTER TABLE s.t ADD PRIMARY KEY (id); ANALYZE s.t";
    let (database, etl) = own_database(setup, "");
    let pooler = servers::pgbouncer(postgresql(), 8);
    change_settings(&etl, &format!("port: {}", postgresql().port), &format!("port: {}", pooler.port));
    let keys = "etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}, partitions: 4";
    etl.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources: [{{connection: erp, table: s.t, target: t, {keys}}}]\n"));
    run(&etl).exits(0);
    has_all(&etl);
    // Every run meets the server's connections as others left them.
    for number in 1..=4 {
        psql(postgresql(), &database, &format!("INSERT INTO s.t VALUES ({}, clock_timestamp(), 'sad')", 20000 + number));
        run(&etl).exits(0);
        assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), (20000 + number).to_string());
    }
}

#[test]
fn fewer_connections_make_fewer_parts_and_lose_nothing() {
    let schema = schema(ROWS);
    let pooler = servers::pgbouncer(postgresql(), 2);
    let etl = workspace(&pooler, ", connect_timeout_seconds: 2", &format!("    table: {schema}.t\n    partitions: 5\n"));
    etl.run(&["run", "load", "-v"]).exits(0).mentions("partitions: 5, but only 2 connections to be had now");
    has_all(&etl);
    let server = servers::own_postgresql(&["max_connections=5"]);
    psql(&server, "etl", &format!("CREATE SCHEMA s; {}", ROWS.replace("{s}", "s")));
    let etl = workspace(&server, "", "    table: s.t\n    partitions: 16\n");
    etl.run(&["run", "load", "-v"]).exits(0).mentions("partitions: 16, but only ").mentions("connections to be had now");
    has_all(&etl);
}

#[test]
fn partitions_of_what_has_none_are_refused() {
    let schema = schema("CREATE VIEW {s}.t AS SELECT 1 AS id");
    let commands: [&[&str]; 3] = [&["run", "load"], &["source", "test", "load"], &["validate", "--online"]];
    for arguments in commands {
        let ended = of_table(&schema, "    partitions: 2\n").run(arguments);
        assert_ne!(ended.code, Some(0), "{arguments:?}");
        ended.mentions("is a view").mentions("remove partitions");
    }
    of_table(&schema, "    partitions: 2\n").run(&["source", "preview", "load"]).exits(0);
    let etl = workspace(postgresql(), "", "    custom_sql: SELECT 1 AS id\n    name: q\n    partitions: 2\n");
    etl.run(&["validate"]).exits(4).mentions("partitions is what only tables have");
    for count in ["0", "65", "two"] {
        of_table(&schema, &format!("    partitions: {count}\n")).run(&["validate"]).exits(4).mentions("partitions");
    }
    let etl = Etl::new().file("etlsched.yaml", "connections:\n  shop: {type: sqlite, path: shop.db}\n");
    etl.write("jobs/load.yaml", "data_sources: [{connection: shop, table: t, partitions: 2}]\n");
    etl.run(&["validate"]).exits(4).mentions("partitions is what only PostgreSQL sources have");
}

#[test]
fn writers_with_long_transactions_lose_nothing_to_many_runs_of_parts_and_streams() {
    let setup = "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), n int);
         CREATE TABLE b (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), n int);
         INSERT INTO a (n) SELECT g FROM generate_series(1, 2000) AS g; INSERT INTO b (n) SELECT g FROM generate_series(1, 2000) AS g; ANALYZE";
    let (database, etl) = own_database(setup, "");
    let keys = "tables: [a, b], partitions: 3, etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}";
    etl.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources: [{{name: s, connection: erp, {keys}}}]\n"));
    let (end, is_over) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Dropped where a check fails, too: then the writers end.
        let end = end;
        let is_over = std::sync::Arc::new(std::sync::Mutex::new(is_over));
        for writer in 0..3 {
            let (is_over, database) = (is_over.clone(), &database);
            scope.spawn(move || {
                let mut session = servers::session(postgresql(), database);
                let is_running = || is_over.lock().expect("nobody panics").try_recv() == Err(std::sync::mpsc::TryRecvError::Empty);
                let mut number = 0;
                while is_running() {
                    number += 1;
                    // Each third is rolled back, each lasts as long as a run or two.
                    let last = if number % 3 == 0 { "ROLLBACK" } else { "COMMIT" };
                    let pause = 0.05 * f64::from((number * 7 + writer * 3) % 11);
                    session.say(&format!(
                        "BEGIN; INSERT INTO a (n) VALUES ({number}); INSERT INTO b (n) VALUES ({number}), ({number}); \
                         UPDATE a SET at = now(), n = -1 WHERE id = {}; SELECT pg_sleep({pause}) \\g /dev/null\n\
                         INSERT INTO b (n) VALUES ({number}); {last};",
                        number * 3 + writer
                    ));
                }
            });
        }
        for _ in 0..12 {
            run(&etl).exits(0);
        }
        drop(end);
    });
    run(&etl).exits(0);
    let all = |table: &str| {
        let source = psql(postgresql(), &database, &format!("SELECT id, n FROM {table} ORDER BY id"));
        let target = etl.warehouse().rows(&format!("SELECT id, n FROM {table} ORDER BY id"));
        assert!(source.lines().count() > 2000, "the writers wrote");
        assert!(source.lines().eq(target.iter().map(String::as_str)), "{table} differs");
    };
    all("a");
    all("b");
}
