//! PgBouncer in front of sources and destinations: loads are right, and nothing of theirs is left in a session that others get.

use std::path::PathBuf;

use crate::etl::Etl;
use crate::postgres_source::{change_settings, own_database, workspace};
use crate::servers::{self, PASSWORD, Pooler, Server, postgresql, psql};

/// What the tests of a pooler find in it: settings that sessions have by themselves.
const SETTINGS: &str = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN ('TimeZone', 'DateStyle', \
     'IntervalStyle', 'extra_float_digits', 'bytea_output', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', \
     'client_connection_check_interval', 'client_min_messages', 'standard_conforming_strings', 'default_transaction_read_only')";

/// Everything that a session holds: prepared statements, locks, temporary tables.
const HELD: &str = "SELECT (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
     (SELECT oid FROM pg_database WHERE datname = current_database())), \
     (SELECT count(*) FROM pg_class WHERE relpersistence = 't')";

#[track_caller]
fn is_untouched(pooler: &Pooler, database: &str, before: &str) {
    // Each of the pool's few server connections is asked.
    for _ in 0..6 {
        assert_eq!(psql(&pooler.server, database, SETTINGS), before);
        assert_eq!(psql(&pooler.server, database, HELD), "0|0|0");
    }
}

/// A table with a type that the client's library has to look up, and a numeric, an interval and bytes, whose texts depend on settings.
const SETUP: &str = "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN word AS text;
    CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), m mood, w word, moods mood[], i interval, b bytea, f real);
    INSERT INTO t SELECT g, timestamptz '2026-01-01 00:00Z' + g * interval '1 s', 'sad', 'w', '{glad,sad}', interval '1 mon 2 d 3 h', '\\x00ff', 0.1
      FROM generate_series(1, 5000) AS g;";

const READ: &str = "SELECT count(*), count(DISTINCT id), max(at), min(m), min(w), min(moods), min(i), min(f) FROM t";

const INCREMENTAL: &str = "    etl_config: {mode: incremental, timestamp_column: at, batch_size: 500}\n";

/// A workspace that reads `t` of a database through a pooler, and loads it into a schema of the same database through it.
fn through(pooler: &Pooler, database: &str, keys: &str) -> Etl {
    psql(postgresql(), database, "CREATE SCHEMA IF NOT EXISTS dwh");
    let etl = workspace(&pooler.server, ", schema: dwh", &format!("    table: public.t\n{keys}"));
    change_settings(&etl, "database: etl", &format!("database: {database}"));
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", format!("destination: erp\n{settings}"));
    etl
}

fn equal(database: &str) -> String {
    // Enums and arrays arrive as text.
    let columns = "id, at, m::text, w::text, moods::text, i::text, b, f";
    psql(
        postgresql(),
        database,
        &format!(
            "SELECT (SELECT count(*) FROM (SELECT {columns} FROM t EXCEPT ALL SELECT {columns} FROM dwh.t) AS lost), \
             (SELECT count(*) FROM (SELECT {columns} FROM dwh.t EXCEPT ALL SELECT {columns} FROM t) AS more), (SELECT count(*) FROM dwh.t)"
        ),
    )
}

#[test]
fn a_source_behind_a_pooler_of_transactions_is_read_and_left_as_it_was() {
    let (database, _) = own_database(SETUP, "");
    for mode in ["transaction", "session"] {
        let pooler = servers::pooler(postgresql(), &format!("pool_mode={mode}\ndefault_pool_size=2\n"));
        let before = psql(&pooler.server, &database, SETTINGS);
        let etl = workspace(&pooler.server, "", &format!("    table: t\n{INCREMENTAL}"));
        change_settings(&etl, "database: etl", &format!("database: {database}"));
        for _ in 0..3 {
            etl.run(&["run", "load"]).exits(0);
            assert_eq!(
                etl.warehouse().rows(READ),
                ["5000|5000|2026-01-01T01:23:20Z|sad|w|{glad,sad}|1 mon 2 days 03:00:00|0.10000000149011612"],
                "{mode}"
            );
        }
        etl.run(&["source", "test", "load"]).exits(0);
        etl.run(&["source", "preview", "load", "t"]).exits(0);
        etl.run(&["run", "load", "--since", "2026-01-01", "--until", "2026-01-02"]).exits(0);
        is_untouched(&pooler, &database, &before);
    }
}

#[test]
fn both_ends_behind_a_small_pool_are_loaded_by_every_mode() {
    for mode in ["transaction", "session"] {
        let (database, _) = own_database(SETUP, "");
        // One connection reads while the other writes.
        let size = if mode == "transaction" { 2 } else { 4 };
        let pooler = servers::pooler(postgresql(), &format!("pool_mode={mode}\ndefault_pool_size={size}\n"));
        let before = psql(&pooler.server, &database, SETTINGS);
        let etl = through(&pooler, &database, INCREMENTAL);
        etl.run(&["run", "load", "--dry-run"]).exits(0);
        etl.run(&["run", "load"]).exits(0);
        assert_eq!(equal(&database), "0|0|5000", "{mode}");
        psql(postgresql(), &database, "UPDATE t SET at = now(), m = 'glad' WHERE id % 7 = 0; INSERT INTO t (id) VALUES (6000)");
        etl.run(&["run", "load"]).exits(0);
        assert_eq!(equal(&database), "0|0|5001", "{mode}");
        psql(postgresql(), &database, "UPDATE t SET w = 'other' WHERE at < '2026-01-01 00:10Z'");
        etl.run(&["run", "load", "--until", "2026-01-01T00:10:00Z"]).exits(0);
        etl.run(&["run", "load", "--dry-run"]).exits(0);
        assert_eq!(equal(&database), "0|0|5001", "{mode}");
        etl.run(&["run", "load", "--full-refresh"]).exits(0);
        assert_eq!(equal(&database), "0|0|5001", "{mode}");
        is_untouched(&pooler, &database, &before);
    }
}

#[test]
fn late_commits_are_seen_through_a_pooler() {
    let (database, _) =
        own_database("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO t VALUES (1)", "");
    let pooler = servers::pooler(postgresql(), "pool_mode=transaction\ndefault_pool_size=4\n");
    let etl = workspace(&pooler.server, "", &format!("    table: t\n{INCREMENTAL}"));
    change_settings(&etl, "database: etl", &format!("database: {database}"));
    etl.run(&["run", "load"]).exits(0);
    // The writer goes through the same pooler.
    let mut late = servers::session(&pooler.server, &database);
    late.say("BEGIN; INSERT INTO t VALUES (2);");
    psql(&pooler.server, &database, "INSERT INTO t VALUES (3)");
    etl.run(&["run", "load"]).exits(0);
    late.say("COMMIT;");
    etl.run(&["run", "load"]).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3"]);
}

#[test]
fn a_pool_of_one_connection_for_both_ends_is_refused_with_the_reason() {
    let (database, _) = own_database(SETUP, "");
    let pooler = servers::pooler(postgresql(), "pool_mode=transaction\ndefault_pool_size=1\nquery_wait_timeout=2\n");
    // More batches than may wait, so that the read goes on while the load wants to write.
    let etl = through(&pooler, &database, "    etl_config: {batch_size: 100}\n");
    etl.run(&["run", "load"]).exits(1).mentions("see pool_size");
    assert_eq!(psql(postgresql(), &database, "SELECT to_regclass('dwh.t') IS NULL"), "t");
}

#[test]
fn a_stopped_run_ends_its_statement_through_a_pooler() {
    let setup = "CREATE VIEW t AS SELECT g AS id, repeat('x', 1000) AS pad FROM (SELECT generate_series(1, 50000000) AS g) AS n";
    let (database, _) = own_database(setup, "");
    let pooler = servers::pooler(postgresql(), "pool_mode=transaction\ndefault_pool_size=2\n");
    let etl = workspace(&pooler.server, "", "    table: t\n");
    change_settings(&etl, "database: etl", &format!("database: {database}"));
    let at_work = etl.start("load");
    let kill = std::process::Command::new("kill").args(["-TERM", &at_work.id().to_string()]).status().expect("kill starts");
    assert!(kill.success());
    assert_eq!(at_work.end().0, Some(143));
    let running = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'COPY%' AND state = 'active'");
    servers::wait_until("the server's statement ends", || psql(postgresql(), "etl", &running) == "0");
}

/// The pooler's fixture, kept by the servers' rules.
#[test]
fn a_pooler_answers_with_the_servers_password() {
    let pooler: Pooler = servers::pooler(postgresql(), "pool_mode=transaction\n");
    let Server { folder, .. } = &pooler.server;
    assert_eq!(psql(&pooler.server, "etl", "SELECT current_user"), "etl");
    let log: PathBuf = folder.join("log");
    let said = std::fs::read_to_string(log).expect("the pooler's log");
    assert!(!said.contains(PASSWORD), "{said}");
}
