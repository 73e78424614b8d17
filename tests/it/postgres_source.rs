//! PostgreSQL as a source: a real server, the whole program, the rows read back by SQLite's own SQL.

mod errors;
mod partitions;
mod standby;
mod streams;
mod types;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::etl::{Database, Ended, Etl};
use crate::servers::{self, PASSWORD, Server, postgresql, psql};

static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

/// Makes a schema of its own in the shared database; `{s}` in the setup stands for it.
fn schema(setup: &str) -> String {
    let schema = format!("it_{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
    sql(&schema, &format!("CREATE SCHEMA {{s}}; {setup}"));
    schema
}

#[track_caller]
fn sql(schema: &str, statements: &str) -> String {
    psql(postgresql(), "etl", &statements.replace("{s}", schema))
}

/// A workspace whose connection `erp` is a server, with more keys, and whose job `load` has one source.
pub fn workspace(server: &Server, keys: &str, source: &str) -> Etl {
    let connection = format!("type: postgresql, host: 127.0.0.1, port: {}, database: etl, user: etl", server.port);
    let settings = format!("defaults: {{max_retries: 0}}\nconnections:\n  erp: {{{connection}, password: \"${{PG_PASSWORD}}\"{keys}}}\n");
    let etl = Etl::new().env("PG_PASSWORD", PASSWORD).file("etlsched.yaml", settings);
    etl.file("jobs/load.yaml", format!("schedule_type: manual\ndata_sources:\n  - connection: erp\n    target: t\n{source}"))
}

fn of_table(schema: &str, keys: &str) -> Etl {
    workspace(postgresql(), "", &format!("    table: {schema}.t\n{keys}"))
}

/// Makes a database of its own, whose open transactions no other test sees, with a job that loads its table `t` by a cursor.
pub fn own_database(setup: &str, keys: &str) -> (String, Etl) {
    let database = format!("own_{}", SCHEMAS.fetch_add(1, Ordering::SeqCst));
    psql(postgresql(), "postgres", &format!("CREATE DATABASE {database}"));
    psql(postgresql(), &database, setup);
    let etl = workspace(postgresql(), "", &format!("    table: t\n{keys}"));
    change_settings(&etl, "database: etl", &format!("database: {database}"));
    (database, etl)
}

#[track_caller]
pub fn change_settings(etl: &Etl, from: &str, to: &str) {
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    assert!(settings.contains(from), "{settings}");
    etl.write("etlsched.yaml", settings.replace(from, to));
}

fn run(etl: &Etl) -> Ended {
    etl.run(&["run", "load"])
}

const INCREMENTAL: &str = "    etl_config: {mode: incremental, timestamp_column: at, lookback_minutes: 0}\n";

/// The columns of the matrix: type, literal, what SQLite holds then (as its own `quote` writes it).
const MATRIX: &[(&str, &str, &str)] = &[
    ("bool", "true", "1"),
    ("int2", "-32768", "-32768"),
    ("int4", "2147483647", "2147483647"),
    ("int8", "9223372036854775807", "9223372036854775807"),
    ("float4", "'0.1'", "0.10000000149011612"),
    ("float8", "'1.7976931348623157e308'", "1.7976931348623157e+308"),
    ("numeric(38,10)", "-9999999999999999999999999999.9999999999", "'-9999999999999999999999999999.9999999999'"),
    ("numeric(12,2)", "1.5", "'1.50'"),
    ("numeric", "123456789012345678901234567890.0123456789012345678900", "'123456789012345678901234567890.0123456789012345678900'"),
    ("numeric", "'NaN'", "'NaN'"),
    ("numeric(3,-2)", "12345", "'12300'"),
    ("text", "'naïve ☃ 👩‍👩‍👧 '' \"'", "'naïve ☃ 👩‍👩‍👧 '' \"'"),
    ("varchar(5)", "''", "''"),
    ("char(4)", "'a'", "'a   '"),
    ("name", "'n'", "'n'"),
    ("\"char\"", "'x'", "'x'"),
    ("bytea", "'\\x00ff'", "X'00FF'"),
    ("date", "'1969-12-31'", "'1969-12-31'"),
    ("date", "'9999-12-31'", "'9999-12-31'"),
    ("time", "'23:59:59.999999'", "'23:59:59.999999'"),
    ("timetz", "'23:59:59.5+05:30'", "'23:59:59.5+05:30'"),
    ("timestamp", "'0001-01-01 00:00:00'", "'0001-01-01T00:00:00'"),
    ("timestamp", "'9999-12-31 23:59:59.999999'", "'9999-12-31T23:59:59.999999'"),
    ("timestamptz", "'2026-10-25 02:30:00.000001+02'", "'2026-10-25T00:30:00.000001Z'"),
    ("uuid", "'ABABABAB-abab-abab-abab-abababababab'", "'abababab-abab-abab-abab-abababababab'"),
    ("json", "'{\"b\": 1,  \"a\": [null]}'", "'{\"b\": 1,  \"a\": [null]}'"),
    ("jsonb", "'{\"b\": 1,  \"a\": [null]}'", "'{\"a\": [null], \"b\": 1}'"),
    ("inet", "'10.0.0.1'", "'10.0.0.1'"),
    ("inet", "'10.0.0.1/8'", "'10.0.0.1/8'"),
    ("cidr", "'10.0.0.0/8'", "'10.0.0.0/8'"),
    ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:03'"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:05'"),
    ("interval", "'1 year 2 mons -3 days 04:05:06.000007'", "'1 year 2 mons -3 days +04:05:06.000007'"),
    ("money", "'-92233720368547758.08'", "'-92233720368547758.08'"),
    ("bit(3)", "B'101'", "'101'"),
    ("varbit", "B''", "''"),
    ("xml", "'<a>é</a>'", "'<a>é</a>'"),
    ("int4[]", "'{1,NULL,3}'", "'{1,NULL,3}'"),
    ("text[]", "'{\"a,b\",\"\"}'", "'{\"a,b\",\"\"}'"),
    ("int4[]", "'[0:1][1:1]={{1},{2}}'", "'[0:1][1:1]={{1},{2}}'"),
    ("int4range", "'[1,5)'", "'[1,5)'"),
    ("tstzrange", "'[2026-01-01 00:00+00,infinity)'", "'[\"2026-01-01 00:00:00+00\",infinity)'"),
    ("int4multirange", "'{[1,2),[5,7)}'", "'{[1,2),[5,7)}'"),
    ("{s}.mood", "'sad ☹'", "'sad ☹'"),
    ("{s}.positive", "7", "7"),
    ("{s}.short", "'1.5'", "'1.50'"),
    ("{s}.pair", "'(1,\"a b\")'", "'(1,\"a b\")'"),
    ("tsvector", "'a:1 b:2'", "'''a'':1 ''b'':2'"),
    ("tsquery", "'a & b'", "'''a'' & ''b'''"),
    ("oid", "4294967295", "4294967295"),
    ("xid8", "'18446744073709551615'", "'18446744073709551615'"),
    ("pg_lsn", "'16/B374D848'", "'16/B374D848'"),
    ("point", "'(1,2.5)'", "'(1,2.5)'"),
    ("polygon", "'((0,0),(1,1),(0,1))'", "'((0,0),(1,1),(0,1))'"),
    ("jsonpath", "'$.a'", "'$.\"a\"'"),
    ("regclass", "'pg_class'", "'pg_class'"),
    ("int4", "NULL", "NULL"),
    ("text", "NULL", "NULL"),
    ("inet", "NULL", "NULL"),
    ("int4[]", "NULL", "NULL"),
];

#[test]
fn every_type_of_a_stock_server_arrives_exactly() {
    let columns: Vec<String> = MATRIX.iter().enumerate().map(|(place, (name, ..))| format!("c{place} {name}")).collect();
    let values: Vec<&str> = MATRIX.iter().map(|(_, value, _)| *value).collect();
    let schema = schema(&format!(
        "CREATE TYPE {{s}}.mood AS ENUM ('sad ☹', 'ok'); CREATE DOMAIN {{s}}.positive AS int4 CHECK (VALUE > 0);
         CREATE DOMAIN {{s}}.short AS numeric(5,2); CREATE TYPE {{s}}.pair AS (a int, b text);
         CREATE TABLE {{s}}.t ({}); INSERT INTO {{s}}.t VALUES ({})",
        columns.join(", "),
        values.join(", ")
    ));
    let etl = of_table(&schema, "");
    run(&etl).exits(0);
    let warehouse = etl.warehouse();
    let found: Vec<(String, String)> =
        (0..MATRIX.len()).map(|place| (MATRIX[place].0.to_owned(), warehouse.value(&format!("SELECT quote(c{place}) FROM t")))).collect();
    let expected: Vec<(String, String)> = MATRIX.iter().map(|(name, _, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (found, expected) in found.iter().zip(&expected) {
        // SQLite writes a REAL with as many digits as it needs, or more.
        let is_same_number = found.1.parse::<f64>().is_ok() && found.1.parse::<f64>() == expected.1.parse::<f64>();
        assert!(found == expected || is_same_number, "{found:?} should be {expected:?}");
    }
}

#[test]
fn a_row_that_is_committed_after_later_ones_is_not_lost() {
    let (database, etl) =
        own_database("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO t VALUES (1)", INCREMENTAL);
    run(&etl).exits(0);
    // Stamped before the second row, committed after it was read.
    let mut late = servers::session(postgresql(), &database);
    late.say("BEGIN; INSERT INTO t VALUES (2);");
    psql(postgresql(), &database, "INSERT INTO t VALUES (3)");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "3"]);
    late.say("COMMIT;");
    drop(late);
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3"]);
    // Now nobody writes: a fourth run finds what is new alone.
    psql(postgresql(), &database, "INSERT INTO t VALUES (4)");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    assert_eq!(result["runs"][0]["records_processed"], 2, "the last row of before, because equal stamps may come, and the new one");
    assert_eq!(etl.warehouse().rows("SELECT count(*), count(DISTINCT id) FROM t"), ["4|4"]);
}

#[test]
fn a_number_that_is_committed_after_greater_ones_is_not_lost() {
    let (database, etl) = own_database(
        "CREATE TABLE t (at bigint PRIMARY KEY); INSERT INTO t VALUES (1)",
        "    etl_config: {mode: incremental, timestamp_column: at, lookback_value: 0}\n",
    );
    run(&etl).exits(0);
    let mut late = servers::session(postgresql(), &database);
    late.say("BEGIN; INSERT INTO t VALUES (2);");
    psql(postgresql(), &database, "INSERT INTO t VALUES (3)");
    run(&etl).exits(0);
    late.say("COMMIT;");
    drop(late);
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT at FROM t ORDER BY at"), ["1", "2", "3"]);
}

#[test]
fn a_prepared_transaction_is_not_lost() {
    let (database, etl) =
        own_database("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO t VALUES (1)", INCREMENTAL);
    run(&etl).exits(0);
    let mut prepared = servers::session(postgresql(), &database);
    prepared.say(&format!("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION '{database}';"));
    drop(prepared);
    psql(postgresql(), &database, "INSERT INTO t VALUES (3)");
    run(&etl).exits(0);
    psql(postgresql(), &database, &format!("COMMIT PREPARED '{database}'"));
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3"]);
}

#[test]
fn a_foreign_table_does_not_tell_who_writes_it_and_is_looked_back_upon() {
    let (remote, _) =
        own_database("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO t VALUES (1)", "");
    let setup = format!(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{}', dbname '{remote}');
         CREATE USER MAPPING FOR etl SERVER far OPTIONS (user 'etl', password '{}');
         CREATE FOREIGN TABLE far_t (id int, at timestamptz) SERVER far OPTIONS (table_name 't'); CREATE VIEW t AS SELECT * FROM far_t",
        postgresql().port,
        PASSWORD.replace('\'', "''")
    );
    let (_, etl) = own_database(&setup, "    primary_key: [id]\n    etl_config: {mode: incremental, timestamp_column: at}\n");
    run(&etl).exits(0);
    let mut late = servers::session(postgresql(), &remote);
    late.say("BEGIN; INSERT INTO t VALUES (2);");
    psql(postgresql(), &remote, "INSERT INTO t VALUES (3)");
    etl.run(&["run", "load", "-v"]).exits(0).mentions("another server by a foreign table");
    late.say("COMMIT;");
    drop(late);
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t ORDER BY id"), ["1", "2", "3"]);
}

#[test]
fn a_role_that_is_not_shown_every_session_is_told_so() {
    let setup = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO t VALUES (1);
         CREATE ROLE reader LOGIN PASSWORD 'pw-of-reader'; GRANT SELECT ON t TO reader";
    let (database, etl) = own_database(setup, INCREMENTAL);
    change_settings(&etl, "user: etl, password: \"${PG_PASSWORD}\"", "user: reader, password: pw-of-reader");
    let mut other = servers::session(postgresql(), &database);
    other.say("SELECT 1;");
    etl.run(&["run", "load", "-v"]).exits(0).mentions("GRANT pg_read_all_stats");
    psql(postgresql(), &database, "GRANT pg_read_all_stats TO reader");
    let told = etl.run(&["run", "load", "-v"]).exits(0);
    assert!(!told.stderr.contains("pg_read_all_stats"), "{}", told.stderr);
}

#[test]
fn null_cursors_are_loaded_first_and_skipped_later() {
    let (database, etl) = own_database("CREATE TABLE t (id int, at date); INSERT INTO t VALUES (1, '2026-01-01'), (2, NULL)", INCREMENTAL);
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id, at FROM t ORDER BY id"), ["1|2026-01-01", "2|NULL"]);
    psql(postgresql(), &database, "INSERT INTO t VALUES (3, NULL), (4, '2026-01-02')");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t WHERE at IS NOT NULL ORDER BY id"), ["1", "4"]);
}

#[test]
fn keys_come_from_the_catalogue_and_changed_rows_are_merged() {
    let (database, etl) = own_database(
        "CREATE TABLE t (b text, a int, at timestamptz DEFAULT now(), PRIMARY KEY (a, b)); INSERT INTO t VALUES ('x', 1), ('x', 2)",
        INCREMENTAL,
    );
    run(&etl).exits(0);
    psql(postgresql(), &database, "UPDATE t SET at = now() WHERE a = 2; INSERT INTO t VALUES ('y', 2)");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT a, b FROM t ORDER BY a, b"), ["1|x", "2|x", "2|y"]);
}

#[test]
fn a_source_is_tested_previewed_and_described() {
    let schema = schema("CREATE TABLE {s}.t (id int, total numeric(12,2)); INSERT INTO {s}.t VALUES (1, 2.5), (2, NULL)");
    let etl = of_table(&schema, "    name: orders\n");
    let tested = etl.run(&["source", "test", "load"]).exits(0);
    assert!(tested.stdout.contains("PostgreSQL ") && tested.stdout.contains("2 columns"), "{}", tested.stdout);
    let preview = etl.run(&["source", "preview", "load", "orders"]).exits(0);
    assert!(preview.stdout.contains("2.50"), "{}", preview.stdout);
    let described = etl.run(&["source", "schema", "load", "orders"]).exits(0);
    assert!(described.stdout.contains("decimal(12,2)") && described.stdout.contains("integer"), "{}", described.stdout);
    etl.run(&["validate", "--online"]).exits(0);
}

#[test]
fn a_server_that_dies_amid_the_rows_leaves_the_old_table() {
    let server = servers::own_postgresql(&[]);
    psql(&server, "etl", "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id");
    let etl = workspace(&server, "", "    table: s.t\n");
    run(&etl).exits(0);
    // Far more than fits into what waits between server and worker, and each row slow enough that the end is far away.
    psql(
        &server,
        "etl",
        "DROP TABLE s.t; CREATE VIEW s.t AS SELECT g AS id, repeat('x', 1000) AS pad FROM (SELECT generate_series(1, 50000000) AS g) AS n",
    );
    let at_work = etl.start("load");
    servers::restart_at_once(&server);
    let (code, said) = at_work.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("read source t on 127.0.0.1:"), "{said}");
    assert_eq!(etl.warehouse().rows("SELECT * FROM t"), ["1"]);
    psql(&server, "etl", "DROP VIEW s.t; CREATE TABLE s.t AS SELECT 2 AS id");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().rows("SELECT id FROM t"), ["2"]);
    assert_eq!(etl.warehouse().staging(), Vec::<String>::new());
}

#[test]
fn a_stopped_run_ends_the_statement_at_the_server() {
    let schema =
        schema("CREATE VIEW {s}.t AS SELECT g AS id, repeat('x', 1000) AS pad FROM (SELECT generate_series(1, 50000000) AS g) AS n");
    let etl = of_table(&schema, "");
    let at_work = etl.start("load");
    let kill = Command::new("kill").args(["-TERM", &at_work.id().to_string()]).status().expect("kill starts");
    assert!(kill.success());
    assert_eq!(at_work.end().0, Some(143));
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'COPY%{schema}.%' AND state = 'active'"
    );
    let running = || psql(postgresql(), "etl", &running.replace(&format!("{schema}.%"), &format!("{schema}\"%")));
    servers::wait_until("the server's statement ends", || running() == "0");
}

#[test]
fn tls_means_what_the_word_says() {
    let server = servers::own_postgresql(&["ssl=on"]);
    psql(&server, "etl", "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id");
    let ca = server.folder.join("ca.crt");
    let other = server.folder.join("other.crt");
    let check = |keys: &str, expected: Result<(), &str>| {
        let etl = workspace(&server, keys, "    custom_sql: SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()\n    name: s\n");
        let ended = run(&etl);
        match expected {
            Ok(()) => {
                ended.exits(0);
                let is_encrypted = if keys.contains("disable") { "0" } else { "1" };
                assert_eq!(etl.warehouse().value("SELECT ssl FROM t"), is_encrypted, "{keys}");
            }
            Err(text) => {
                let said = format!("{}{}", ended.stdout, ended.stderr);
                assert!(ended.code == Some(1) && said.contains(text), "{keys}: {said}");
            }
        }
    };
    let with = |mode: &str, root: &Path| format!(", sslmode: {mode}, sslrootcert: {}", root.display());
    check("", Ok(()));
    check(", sslmode: disable", Ok(()));
    check(", sslmode: prefer", Ok(()));
    check(", sslmode: require", Ok(()));
    check(", sslmode: verify-ca", Err("UnknownIssuer"));
    check(&with("require", &other), Err("UnknownIssuer"));
    check(&with("verify-ca", &ca), Ok(()));
    check(&with("verify-ca", &other), Err("UnknownIssuer"));
    // The certificate is that of localhost, and the connection's host is 127.0.0.1.
    check(&with("verify-full", &ca), Err("not valid for name"));
    let etl = workspace(&server, &with("verify-full", &ca), "    table: s.t\n");
    change_settings(&etl, "127.0.0.1", "localhost");
    run(&etl).exits(0);
    check(", sslmode: verify-full, sslrootcert: gone.crt", Err("gone.crt"));
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    let etl = workspace(postgresql(), ", sslmode: require", "    custom_sql: SELECT 1 AS one\n    name: s\n");
    run(&etl).exits(1).mentions("server does not support TLS");
}

#[test]
fn a_connection_is_a_url_too_and_parts_beside_it_are_refused() {
    let schema = schema("CREATE TABLE {s}.t AS SELECT 7 AS id");
    let etl = Etl::new().file("jobs/load.yaml", format!("data_sources:\n  - {{connection: erp, table: {schema}.t, target: t}}\n"));
    let encoded: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let etl = etl.env("ERP_URL", &format!("postgresql://etl:{encoded}@127.0.0.1:{}/etl", postgresql().port));
    etl.write("etlsched.yaml", "connections:\n  erp: {type: postgresql, url: \"${ERP_URL}\"}\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT id FROM t"), "7");
    let shown = etl.run(&["source", "list"]).exits(0).stdout;
    assert!(shown.contains(&format!("{schema}.t")) && !shown.contains("%70"), "{shown}");
    etl.write("etlsched.yaml", "connections:\n  erp: {type: postgresql, url: \"${ERP_URL}\", host: db}\n");
    etl.run(&["validate"]).exits(4).mentions("host beside url");
    etl.write("etlsched.yaml", "connections:\n  erp: {type: postgresql, host: db}\n");
    etl.run(&["validate"]).exits(4).mentions("no user");
    etl.write("etlsched.yaml", "destination: erp\nconnections:\n  erp: {type: postgresql, host: db, user: u}\n");
    etl.write("password", format!("{PASSWORD}\n"));
    let port = postgresql().port;
    let keys = format!("host: 127.0.0.1, port: {port}, user: etl, password: {{file: password}}");
    etl.write("etlsched.yaml", format!("connections:\n  erp: {{type: postgresql, {keys}}}\n"));
    run(&etl).exits(0);
}

#[test]
fn memory_is_bounded_by_batches() {
    let schema = schema("CREATE VIEW {s}.t AS SELECT g AS id, repeat('x', 1000) AS pad FROM (SELECT generate_series(1, 200000) AS g) AS n");
    let etl = of_table(&schema, "");
    let result = etl.run(&["run", "load", "-o", "json"]).exits(0).json();
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "200000");
    let text = result.to_string();
    let peak = result["runs"][0]["sources"][0]["peak_memory_usage_mb"].as_f64().unwrap_or_else(|| panic!("no peak memory in {text}"));
    // 200 MB of rows.
    assert!(peak < 100.0, "{peak} MiB");
}

/// For `Database`, which other files open by path.
#[test]
fn a_sqlite_destination_takes_rows_of_postgresql_by_name() {
    let schema = schema("CREATE TABLE {s}.t AS SELECT 1 AS id");
    let etl = of_table(&schema, "");
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    etl.write("etlsched.yaml", format!("destination: marts\n{settings}  marts: {{type: sqlite, path: marts.db}}\n"));
    run(&etl).exits(0);
    assert_eq!(Database::open(&etl.path("marts.db")).value("SELECT id FROM t"), "1");
}
